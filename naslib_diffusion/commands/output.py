"""What commands say, in plain lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from naslib_diffusion.runtime.text import printable

if TYPE_CHECKING:
    from naslib_diffusion.runs import RunFolder


def say(text: str, *, err: bool = False) -> None:
    """Print lines, on stderr if told; names that others chose cannot command the terminal."""
    click.echo("\n".join(map(printable, text.split("\n"))), err=err)


def note_versions(run: RunFolder) -> None:
    """Say where a run that goes on meets other versions than those that it was begun with."""
    if run.other_versions:
        say(
            f"note: this run was begun with {run.other_versions}; "
            "from here on it may differ from what it would have done then",
            err=True,
        )
