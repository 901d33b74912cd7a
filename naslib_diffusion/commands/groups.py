"""Help: groups that say what each command is for, and commands with options in sections."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import click

COLUMN = 24
"""Width of the column of options, which leaves room for their help in a terminal of 80."""


class Group(click.Group):
    """A group whose help lists its commands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the first paragraph of the help of each command, which click would cut."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first(self.commands[name])) for name in self.commands])


class Sectioned(click.Command):
    """A command with many options: its help shows them in sections, the common ones first.

    Args:
        sections: titles of the sections, and the names of their options, in order. Options that
            no section names come last.
    """

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self.sections = sections

    def records(self, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
        """Return the options by section: how each is written, and its help."""
        known = {parameter.name: parameter for parameter in self.get_params(ctx)}
        named = {title: [n for n in names if n in known] for title, names in self.sections.items()}
        listed = {name for names in named.values() for name in names}
        named["Other options"] = [str(name) for name in known if name not in listed]
        found = {
            title: [known[name].get_help_record(ctx) for name in names]
            for title, names in named.items()
        }
        return {
            title: [record for record in records if record is not None]
            for title, records in found.items()
            if any(records)
        }

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections."""
        for title, records in self.records(ctx).items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=COLUMN)


def _first(command: click.Command) -> str:
    paragraph = inspect.cleandoc(command.help or "").split("\n\n")[0]
    return " ".join(paragraph.split())
