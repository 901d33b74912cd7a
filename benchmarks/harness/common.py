"""What the measurements share: where tables come from, and how results are shown and kept."""

from __future__ import annotations

import csv
import functools
import importlib.util
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
import torch
from naslib_diffusion.benchmarks.harness.provenance import command, facts
from naslib_diffusion.benchmarks.harness.statistics import Floats
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from tqdm import tqdm

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.tables import (
    Direction,
    Table,
    TableError,
    benchmark,
    load_table,
    with_equality,
)

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

VALIDATION_TASKS = ("nasbench201/cifar10", "nasbench201/cifar100", "nasbench201/imagenet16")
TEST_COLUMNS = ("cifar10_test_200", "cifar100_test_200")
HARDWARE_TUNED = (
    "cifar10_edgegpu_latency_ms",
    "cifar10_raspi4_latency_ms",
    "cifar10_fpga_energy_mj",
    "params_m",
)
HARDWARE_HELD_OUT = (
    "cifar10_edgegpu_energy_mj",
    "cifar10_pixel3_latency_ms",
    "cifar10_fpga_latency_ms",
    "cifar10_eyeriss_latency_ms",
)
"""Costs, to be minimised: columns on which settings were chosen, and those that were looked at
once, afterwards."""
ORACLE_ROWS = 1000
CELLS = "nasbench201.csv.gz"
"""File of the measurements of all cells."""

data_option = click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="NASLIB_DIFFUSION_DATA",
    help="Folder with nasbench201.csv.gz (columns cifar10_test_200, cifar100_test_200); "
    "or set NASLIB_DIFFUSION_DATA.",
)


def _made(context: click.Context, parameter: click.Parameter, folder: Path | None) -> Path | None:
    """Make a folder at once: where it cannot be, that must not show after hours."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return folder


out_option = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    callback=_made,
    help="Folder for the results as CSV and JSON.  [default: they are only printed]",
)


processes_option = click.option(
    "--processes",
    default=1,
    show_default=True,
    help="Number of processes that work at the same time.",
)
samples_option = click.option(
    "--samples",
    default=10_000,
    show_default=True,
    help="Number of architectures to sample from each network.",
)


def seeds_option(default: int) -> Callable[[F], F]:
    """Return the option of how often to repeat."""
    return click.option(
        "--seeds",
        default=default,
        show_default=True,
        help="Number of seeds; each repeats all that is random, and pairs what is compared.",
    )


def budget_option(default: int) -> Callable[[F], F]:
    """Return the option of when a search ends."""
    return click.option(
        "--budget",
        default=default,
        show_default=True,
        help="Number of evaluations after which each search stops.",
    )


def several(flag: str, choices: Iterable[str], what: str, unless: str = "all") -> Callable[[F], F]:
    """Return an option that may be given several times, under the plural of its flag."""
    return click.option(
        flag,
        f"{flag.removeprefix('--')}s",
        multiple=True,
        type=click.Choice(list(choices)),
        help=f"{what}; may be given several times.  [default: {unless}]",
    )


@functools.cache
def load_task(task: str, data: Path | None) -> Table[Any]:
    """Return a table by name: a benchmark's, or a column of `data/nasbench201.csv.gz`.

    Raises:
        click.UsageError: if there is no such table, or its package or file is missing.
    """
    cost = task in HARDWARE_TUNED + HARDWARE_HELD_OUT
    direction: Direction = "minimize" if cost else "maximize"
    try:
        if "/" in task:
            return benchmark(task)
        path = need_files(data, CELLS) / CELLS
        return with_equality(load_table(path, NASBench201(), task, direction))
    except TableError as error:
        raise click.UsageError(str(error)) from None


def need_tables(tasks: Iterable[str], data: Path | None) -> None:
    """Load tables before anything starts, so that what is missing is said at once."""
    for task in tasks:
        load_task(task, data)


def need_files(data: Path | None, *names: str) -> Path:
    """Return the folder of tables if it has these files.

    Raises:
        click.UsageError: if it was not named, or lacks one.
    """
    if data is None:
        raise click.UsageError(f"this needs {', '.join(names)}: name the folder, --data")
    for name in names:
        if not (data / name).is_file():
            raise click.UsageError(f"--data {data} has no {name}")
    return data


def need_modules(extra: str, *names: str) -> None:
    """Raise click.UsageError that says how to get a module, if one cannot be imported."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise click.UsageError(
                f"{name} is not installed: pip install 'naslib-diffusion[{extra}]'"
            )


def run_all(
    function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], processes: int, label: str
) -> list[T]:
    """Call `function` with each tuple of arguments, in processes of one thread; keep the order."""
    results: list[T | None] = [None] * len(jobs)
    if processes <= 1:
        for i, job in enumerate(tqdm(jobs, desc=label)):
            results[i] = function(*job)
        return results  # type: ignore[return-value]
    with ProcessPoolExecutor(processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        futures = {pool.submit(function, *job): i for i, job in enumerate(jobs)}
        for future in tqdm(as_completed(futures), total=len(jobs), desc=label):
            results[futures[future]] = future.result()
    return results  # type: ignore[return-value]


def run_methods(
    run: Callable[[str, int], Sequence[float]],
    methods: Sequence[str],
    seeds: int,
    processes: int,
    label: str,
) -> dict[str, Floats]:
    """Return what `run(method, seed)` returns, seeds x values, by method; as `run_all` does."""
    jobs = [(method, seed) for seed in range(seeds) for method in methods]
    found = run_all(run, jobs, processes, label)
    return {
        method: np.array([own for job, own in zip(jobs, found, strict=True) if job[0] == method])
        for method in methods
    }


def show(title: str, rows: Sequence[Mapping[str, object]], notes: Sequence[str] = ()) -> None:
    """Print rows of equal keys as a table."""
    table = RichTable(title=title, title_justify="left")
    for i, column in enumerate(rows[0]):
        table.add_column(column, justify="left" if i < 2 else "right")
    for row in rows:
        table.add_row(
            *(f"{v:.2f}" if isinstance(v, float) else escape(str(v)) for v in row.values())
        )
    console = Console(width=None if Console().is_terminal else 140)
    console.print(table)
    for note in notes:
        console.print(note)


def save(
    out: Path | None, name: str, rows: Sequence[Mapping[str, object]], **settings: object
) -> None:
    """Write rows to `out/name.csv`, if a folder was given; and to `name.json` with all about them.

    That is the command, the settings, and what `facts` tells.
    """
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    with (out / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    result = {"name": name, "command": command(), **settings, **facts(), "rows": rows}
    (out / f"{name}.json").write_text(json.dumps(result, indent=1, default=str) + "\n")
