"""`naslib-diffusion report`."""

from __future__ import annotations

from pathlib import Path

import click

from naslib_diffusion.commands.errors import UserError
from naslib_diffusion.commands.options import quiet_option, refuse_existing
from naslib_diffusion.commands.output import say


@click.command()
@click.option(
    "--study",
    metavar="URL",
    required=True,
    help="Storage of the study: sqlite:///FILE, another database as SQLAlchemy names it, or "
    "journal:FILE.",
)
@click.option(
    "--name",
    metavar="NAME",
    help="Which study, if the storage holds several.  [default: the only one]",
)
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="HTML page to write.",
)
@click.option("--force", is_flag=True, help="Overwrite --out if it exists.")
@quiet_option
def report(study: str, name: str | None, out: Path, force: bool, quiet: bool) -> None:
    """Make a page of a stored Optuna study.

    The page shows the best trials, or the front of several objectives, and which parameters
    matter. For studies of DiffusionNAGSampler it also shows what was predicted of each trial
    beside what was observed. The page needs no network and no other file. The study is only read.

    \b
    Examples:
      naslib-diffusion report --study sqlite:///study.db
      naslib-diffusion report --study sqlite:///all.db --name second --out second.html
    """
    from naslib_diffusion.plugins.optuna.view import read_study
    from naslib_diffusion.report.study_page import render_study
    from naslib_diffusion.runs import write_atomically

    refuse_existing(out, force)
    try:
        page = render_study(read_study(study, name))
    except ValueError as error:
        raise UserError(f"--study: {error}") from None
    write_atomically(out, page.encode())
    if not quiet:
        say(f"page: {out}")
