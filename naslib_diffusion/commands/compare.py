"""`naslib-diffusion compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from naslib_diffusion.commands.errors import UserError
from naslib_diffusion.commands.options import quiet_option, refuse_existing

if TYPE_CHECKING:
    from naslib_diffusion.runs.finished import FinishedRun


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="HTML page to write, with curves and settings.  [default: none]",
)
@click.option("--force", is_flag=True, help="Overwrite --out if it exists.")
@quiet_option
def compare(runs: tuple[Path, ...], out: Path | None, force: bool, quiet: bool) -> None:
    """Lay finished runs side by side.

    RUN is the folder of a finished run of `search` or `transfer`. Prints what each run found, and
    where their settings differ. With --out it writes a page, with the curves of the runs.

    \b
    Examples:
      naslib-diffusion compare runs/first runs/second
      naslib-diffusion compare runs/* --out compare.html
    """
    from naslib_diffusion.report.side_by_side import render_comparison
    from naslib_diffusion.runs import RunError, write_atomically
    from naslib_diffusion.runs.finished import read_run

    if out is not None:
        refuse_existing(out, force)
    try:
        found = [read_run(path) for path in runs]
    except RunError as error:
        raise UserError(str(error)) from None
    if out is not None:
        write_atomically(out, render_comparison(found).encode())
    if not quiet:
        _print(found, out)


def _print(runs: Sequence[FinishedRun], out: Path | None) -> None:
    from rich.markup import escape
    from rich.table import Table

    from naslib_diffusion.commands.terminal import console
    from naslib_diffusion.report.side_by_side import comparable, differences, row

    screen, grid = console(), Table()
    grid.add_column("run", overflow="fold")
    for heading in ("seeds", "evaluations", "best", "median of seeds", "found at"):
        grid.add_column(heading, justify="right")
    for one in map(row, runs):
        cells = (f"{one.best:.6g}", f"{one.median:.6g}", f"{one.steps:g}")
        grid.add_row(escape(one.name), str(one.seeds), str(one.evaluations), *cells)
    screen.print(grid)
    if not comparable(runs):
        screen.print("These runs are of different tables or objectives: do not compare values.")
    for name, values in differences(runs):
        screen.print(f"{escape(name)}: {escape(' | '.join(values))}", soft_wrap=True)
    if out is not None:
        screen.print(f"[bold cyan]page: {escape(str(out))}[/]", soft_wrap=True)
