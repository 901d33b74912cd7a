"""What commands say, in plain lines."""

from __future__ import annotations

import click

from naslib_diffusion.runtime.text import printable


def say(text: str, *, err: bool = False) -> None:
    """Print lines, on stderr if told; names that others chose cannot command the terminal."""
    click.echo("\n".join(map(printable, text.split("\n"))), err=err)
