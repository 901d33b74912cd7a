"""`naslib-diffusion search`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from naslib_diffusion.commands.groups import Sectioned
from naslib_diffusion.commands.options import (
    POSITIVE,
    SECTIONS,
    Whole,
    batch_option,
    quiet_option,
    resume_option,
    seed_option,
    seeds_option,
    strategy_option,
    table_options,
)
from naslib_diffusion.commands.table_run import check_priors, run_search


@click.command(cls=Sectioned, sections=SECTIONS)
@table_options("--data", "--api-file")
@click.option(
    "--budget",
    metavar="N",
    type=POSITIVE,
    default=50,
    show_default=True,
    help="How many architectures each search may evaluate, the random start included.",
)
@seeds_option
@seed_option
@click.option(
    "--initial",
    metavar="N",
    type=Whole(min=0),
    help="How many random architectures each search evaluates at the start.  [default: 10, or 0 "
    "with --prior]",
)
@batch_option
@strategy_option
@click.option(
    "--surrogate",
    type=click.Choice(["gp", "ensemble"]),
    default="gp",
    show_default=True,
    help="The model that predicts how good candidates are: a Gaussian process, or an ensemble of "
    "networks.",
)
@click.option(
    "--prior",
    metavar="NAME",
    multiple=True,
    help="What to expect of architectures before any is measured: what other tasks say (tasks), "
    "what untrained networks say (zero-cost), or all that ships for the space (default). May also "
    "be a .safetensors file, or a table of another task, FILE or FILE:COLUMN. May be given "
    "several times; each counts by how well it explains what is observed.",
)
@click.option(
    "--noisy",
    is_flag=True,
    help="Each evaluation returns one of the trainings of an architecture, not their mean.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the results.  [default: runs/search-NAME-TIME]",
)
@resume_option
@quiet_option
@click.pass_context
def search(
    context: click.Context, /, out: Path | None, resume: bool, quiet: bool, **_: Any
) -> None:
    """Search for the best architectures of a benchmark or of your own table.

    Starts with random architectures, then repeats: fit a surrogate, generate candidates under its
    guidance, evaluate the best. Writes trials.csv (a line per evaluation, at once), summary.json
    and report.html. Without any option it searches nasbench201/cifar100.

    \b
    Examples:
      naslib-diffusion search
      naslib-diffusion search --benchmark nasbench201/imagenet16 --budget 100 --seeds 5
      naslib-diffusion search --benchmark nasbench201/imagenet16 --prior zero-cost
      naslib-diffusion search --space nasbench201 --table mine.csv.gz --objective latency_ms \\
          --direction minimize --out runs/latency
      naslib-diffusion search --out runs/latency --resume
    """
    if not resume:
        check_priors(context)
    run_search(context, out, resume, quiet)
