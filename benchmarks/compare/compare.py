"""Every method on the same tables, seeds and random start; also a method of your own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from naslib_diffusion.benchmarks.baselines.methods import METHODS, find
from naslib_diffusion.benchmarks.compare.page import write_page
from naslib_diffusion.benchmarks.compare.runs import Job, make, run
from naslib_diffusion.benchmarks.compare.summary import Row, Runs, ranks, summarise
from naslib_diffusion.benchmarks.compare.tasks import EMBEDDED, HONEST, PAPER, Task
from naslib_diffusion.benchmarks.harness.common import (
    budget_option,
    data_option,
    out_option,
    processes_option,
    run_all,
    save,
    seeds_option,
    show,
)

from naslib_diffusion.tables import Direction

NOTES = (
    "Medians, quartiles in brackets; a run that missed the table's best counts as budget + 1.",
    "p: Wilcoxon's signed-rank test against {reference}, paired by seed, two-sided, adjusted "
    "after Holm within a table.",
)


@click.command()
@click.option(
    "--method",
    "own",
    multiple=True,
    metavar="FILE.py:CLASS",
    help="Your own method, beside the others: a class made by (space, seed), with ask() -> "
    "architecture and tell(architecture, value); may be given several times.",
)
@click.option(
    "--methods",
    metavar="A,B,...",
    help=f"Methods to compare, of {', '.join(METHODS)}.  [default: all]",
)
@click.option(
    "--benchmark",
    "benchmarks",
    multiple=True,
    metavar="NAME",
    help="What to search: a benchmark such as nasbench201/cifar100, or a column of --data. "
    "May be given several times. A column with _val_ is judged by that with _test_.",
)
@click.option(
    "--table",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your own measurements to search instead.",
)
@click.option("--objective", metavar="COLUMN", help="Column of --table to search.")
@click.option("--report", metavar="COLUMN", help="Column of --table that judges what was chosen.")
@click.option(
    "--space", default="nasbench201", show_default=True, metavar="NAME", help="Space of --table."
)
@click.option(
    "--direction",
    type=click.Choice(["maximize", "minimize"]),
    default="maximize",
    show_default=True,
    help="Which values of --objective are better.",
)
@click.option(
    "--reference",
    default="guided",
    show_default=True,
    help="Method that the tests compare the others with.",
)
@click.option(
    "--start", default=10, show_default=True, help="Number of random evaluations at the start."
)
@data_option
@out_option
@seeds_option(default=20)
@budget_option(default=100)
@processes_option
def main(
    own: tuple[str, ...],
    methods: str | None,
    benchmarks: tuple[str, ...],
    table: Path | None,
    objective: str | None,
    report: str | None,
    space: str,
    direction: Direction,
    reference: str,
    start: int,
    data: Path | None,
    out: Path | None,
    seeds: int,
    budget: int,
    processes: int,
) -> None:
    """Compare search methods on the same tables, seeds and random start.

    With --data, the methods search for test accuracy on the CIFARs, as the paper does, and for
    validation accuracy, where the test accuracy of the chosen cell is reported. Without --data,
    they search for validation accuracy on the three data sets that are installed. With --out, each
    search is kept as a JSON file, so that the same command goes on where it was stopped, and the
    tables and curves are in compare.html.
    """
    if table is not None:
        if objective is None:
            raise click.UsageError("--table needs --objective, the column to search")
        tasks = [Task(objective, table, None, space, direction, report)]
    else:
        every = (*PAPER, *HONEST) if data is not None else EMBEDDED
        tasks = [Task(name, data=data) for name in benchmarks or every]
    listed = [name.strip() for name in methods.split(",")] if methods else METHODS
    names = list(dict.fromkeys((*listed, *own)))
    fit, notes = fitting(tasks, names)
    jobs = [Job(task, name, seed, budget, start) for seed in range(seeds) for task, name in fit]
    folder = None if out is None else out / "runs"
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    found = run_all(run, [(job, folder) for job in jobs], processes, "searches")
    runs: dict[tuple[str, str], list[Any]] = {}
    for job, result in zip(jobs, found, strict=True):
        runs.setdefault((job.task.name, job.method), []).append(result)
    tell(tasks, runs, budget, reference, notes, out)


def fitting(
    tasks: Sequence[Task], names: Sequence[str]
) -> tuple[list[tuple[Task, str]], list[str]]:
    """Return which method can search which task, and notes on those that cannot.

    Raises:
        click.UsageError: if there is no such method or table.
    """
    fit, notes = [], []
    try:
        entries = {name: find(name) for name in names}
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    for name, entry in entries.items():
        for task in tasks:
            try:
                make(task, entry, 0)
            except ValueError as error:
                notes.append(f"{name} is left out on {task.name}: {error}")
            else:
                fit.append((task, name))
    return fit, notes


def tell(
    tasks: Sequence[Task],
    runs: Runs,
    budget: int,
    reference: str,
    left_out: Sequence[str],
    out: Path | None,
) -> None:
    """Print and write the tables, and the page."""
    notes = [*(note.format(reference=reference) for note in NOTES), *left_out]
    tables = [summarise(task, runs, budget, reference) for task in tasks]
    for task, rows in zip(tasks, tables, strict=True):
        shown = [{k: v for k, v in row.items() if k not in ("task", "seeds")} for row in rows]
        show(f"{task.searched.name}, {task.searched.objective}", shown, notes)
    ranked, difference = ranks(tasks, runs, budget)
    differ = f"Mean ranks that are less than {difference:.2f} apart do not differ at 5 %."
    show("Mean ranks over tables and seeds: by the last value, then by speed", ranked, [differ])
    if out is not None:
        every = alike([row for rows in tables for row in rows])
        save(
            out, "compare", every, notes=notes, budget=budget, ranks=ranked, difference=difference
        )
        write_page(out, tasks, tables, runs, budget, reference, (ranked, difference), notes)


def alike(rows: Sequence[Row]) -> list[Row]:
    """Return rows of equal keys, in the order of the longest: what a row has not is empty."""
    longest = max(rows, key=len)
    keys = dict.fromkeys([*longest, *(key for row in rows for key in row)])
    return [{key: row.get(key, "") for key in keys} for row in rows]


if __name__ == "__main__":
    main()
