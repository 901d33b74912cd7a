"""The reference of the command line: what `--help` prints, as text that wraps on any screen.

A line `::: command NAME` of a page becomes the help of that command, when the site is built.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from naslib_diffusion.cli import cli
from naslib_diffusion.commands.bench import MEASUREMENTS
from naslib_diffusion.commands.groups import Sectioned

MARK = re.compile(r"^::: command (.+)$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replace each mark of a page; MkDocs calls this for each page."""
    return MARK.sub(lambda found: "\n\n".join(_help(found[1].split())), markdown)


def _help(names: list[str]) -> Iterator[str]:
    """Yield the paragraphs of Markdown that say what a command does."""
    command: click.Command = cli
    context = click.Context(cli, info_name="naslib-diffusion")
    for name in names:
        assert isinstance(command, click.Group)
        command = command.commands[name]
        context = click.Context(command, info_name=name, parent=context)
    yield f"## {context.command_path}"
    yield f"    {context.command_path} {' '.join(command.collect_usage_pieces(context))}"
    yield from map(_paragraph, inspect.cleandoc(command.help or "").split("\n\n"))
    if names == ["bench"]:
        for room, measurements in MEASUREMENTS.items():
            yield f"**{room.capitalize()}**"
            yield from (_term(name, text) for name, text in sorted(measurements.items()))
        return
    if isinstance(command, Sectioned):
        for title, records in command.records(context).items():
            yield f"**{title}**"
            yield from (_term(*record) for record in records)
        return
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield _term(*record)


def _paragraph(text: str) -> str:
    """Return a paragraph; one that click prints line by line is its first line, and code."""
    if not text.startswith("\b"):
        return text
    _, title, *lines = text.split("\n")
    return "\n".join([title, "", *(f"    {line.removeprefix('  ')}" for line in lines)])


def _term(name: str, text: str) -> str:
    escaped = text.replace("*", r"\*").replace("<", "&lt;")
    return f"`{name}`\n:   {escaped}"
