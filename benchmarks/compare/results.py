"""The page of results in the documentation, made of the JSON files of measurements."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from naslib_diffusion.commands.bench import MEASUREMENTS
from naslib_diffusion.runtime.files import write_atomically

HEAD = """# Results

Made by `naslib-diffusion bench results` of the files in [measured/](measured/), which hold
settings, versions and commit of each measurement; a test fails where the two differ.
`naslib-diffusion bench all --data DATA` measures everything.
"""
TABLES = ("rows", "ranks")
"""Entries of a file that are tables."""


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the results in a folder, in the order of their names.

    Raises:
        click.UsageError: if there is none, or a file is no result.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            result = json.loads(path.read_text())
        except ValueError as error:
            raise click.UsageError(f"cannot read {path}: {error}") from None
        if not isinstance(result, dict) or not result.get("rows"):
            raise click.UsageError(f"{path} is not the result of a measurement")
        found.append(result)
    if not found:
        raise click.UsageError(f"there are no results in {folder}")
    return found


def render(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the page as Markdown."""
    return "\n".join([HEAD, *(section(result) for result in results)])


def section(result: Mapping[str, Any]) -> str:
    """Return what one measurement says, with its command and where it is from."""
    descriptions = {name: text for room in MEASUREMENTS.values() for name, text in room.items()}
    name = result["name"]
    lines = [f"## {name}", "", descriptions.get(name, ""), "", f"    {result['command']}", ""]
    for key in TABLES:
        if result.get(key):
            lines += [*table(result[key]), ""]
    lines += [f"{note}  " for note in result.get("notes", ())]
    versions = ", ".join(f"{k} {v}" for k, v in result["versions"].items())
    lines += [f"Commit {result['commit'] or 'unknown'}, {result['finished']}, {versions}.", ""]
    return "\n".join(lines)


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return rows of equal keys as lines of Markdown."""
    lines = [_line(rows[0].keys()), _line("---" for _ in rows[0])]
    return lines + [_line(_text(value) for value in row.values()) for row in rows]


def _line(cells: Any) -> str:
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def _text(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


@click.command()
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("docs/results/measured"),
    show_default=True,
    help="Folder of JSON files that measurements wrote with --out.",
)
@click.option(
    "--to",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("docs/results/measured.md"),
    show_default=True,
    help="Page to write.",
)
def main(source: Path, target: Path) -> None:
    """Write the page of results from the JSON files of measurements."""
    results = read(source)
    write_atomically(target, render(results).encode())
    click.echo(f"{target}: {', '.join(result['name'] for result in results)}")


if __name__ == "__main__":
    main()
