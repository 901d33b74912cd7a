"""`naslib-diffusion transfer`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from naslib_diffusion.commands.errors import UserError
from naslib_diffusion.commands.options import POSITIVE, SEED, table_options
from naslib_diffusion.commands.search import run_search


@click.command()
@table_options
@click.option(
    "--prior",
    metavar="NAME",
    multiple=True,
    default=("default",),
    show_default=True,
    help="What other tasks say: `default` ships for nasbench201 and nasbenchgraph; or tables of "
    "other tasks, FILE or FILE:COLUMN; may be given several times.",
)
@click.option(
    "--budget", metavar="N", type=POSITIVE, default=30, show_default=True, help="Evaluations."
)
@click.option(
    "--seeds", metavar="N", type=POSITIVE, default=3, show_default=True, help="Independent runs."
)
@click.option("--seed", metavar="N", type=SEED, default=0, show_default=True, help="First seed.")
@click.option(
    "--initial",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Random evaluations to start.",
)
@click.option(
    "--batch",
    metavar="N",
    type=POSITIVE,
    default=1,
    show_default=True,
    help="Evaluations asked for at a time.",
)
@click.option(
    "--strategy",
    type=click.Choice(["guided", "random", "mutation"]),
    default="guided",
    show_default=True,
    help="Where candidates come from.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the results.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, with its settings.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def transfer(
    context: click.Context, /, out: Path | None, resume: bool, quiet: bool, **_: Any
) -> None:
    """Search with what other tasks say about the architectures of this one.

    A meta-surrogate, trained once on other tasks, proposes the first architectures; each result
    adapts it. Writes trials.csv, summary.json and report.html, as `search` does.

    \b
    Examples:
      naslib-diffusion transfer --benchmark nasbench201/imagenet16 --budget 10
      naslib-diffusion transfer --table mine.csv --objective accuracy --out runs/mine
      naslib-diffusion transfer --table mine.csv --prior other.csv:accuracy --out runs/mine
    """
    if not resume:
        _check_priors(context)
    run_search(context, out, resume, quiet)


def _check_priors(context: click.Context) -> None:
    """Refuse a prior that cannot be used, before anything is written."""
    from naslib_diffusion.commands.options import make_space
    from naslib_diffusion.transfer.priors import load_priors

    benchmark = context.params["benchmark"] or ""
    implied = "nasbenchgraph" if benchmark.startswith("nasbenchgraph/") else "nasbench201"
    space = make_space(context.params["space"] or implied)
    try:
        load_priors(context.params["prior"], space, context.params["direction"])
    except ValueError as error:
        raise UserError(str(error)) from None
