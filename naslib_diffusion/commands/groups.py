"""Groups of commands that say what each command is for, in a whole sentence."""

from __future__ import annotations

import inspect

import click


class Group(click.Group):
    """A group whose help lists its commands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the first paragraph of the help of each command, which click would cut."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first(self.commands[name])) for name in self.commands])


def _first(command: click.Command) -> str:
    paragraph = inspect.cleandoc(command.help or "").split("\n\n")[0]
    return " ".join(paragraph.split())
