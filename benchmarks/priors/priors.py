"""What priors are worth, and whether they ever hurt, on tables that they help on and others."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from naslib_diffusion.benchmarks.harness.common import (
    data_option,
    load_task,
    need_files,
    out_option,
    run_all,
    save,
    show,
)
from naslib_diffusion.benchmarks.harness.searching import best_so_far, evaluations_until
from naslib_diffusion.benchmarks.priors import kernel_studies
from numpy.typing import NDArray

from naslib_diffusion.search import Search
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.nasbench201 import Cell
from naslib_diffusion.spaces.restricted import Restricted
from naslib_diffusion.surrogates.prior import Prior
from naslib_diffusion.transfer.priors import load_priors

DEVELOPED = (
    "cifar10_test_200",
    "cifar100_test_200",
    "cifar100_test_12",
    "cifar10_pgd_eps2",
    "cifar10_apgd_eps1",
    "cifar10_test_200 negated",
    "cifar100_test_200 negated",
)
"""Tables that were looked at while settings were chosen."""

HELD_OUT = (
    "nasbench201/imagenet16",
    "cifar10_apgd_eps0.5",
    "cifar10_fgsm_eps2",
    "cifar10_square_eps2",
    "analog/baseline_accuracy",
    "analog/analog_accuracy",
    "nasbench201/imagenet16 negated",
    "nasbench201/imagenet16 permuted",
    "cifar10_square_eps2 permuted",
)
"""Tables that no setting was chosen on: another data set, robustness, analog hardware; and
relabelled ones on which a prior misleads (negated) or says nothing (permuted over the classes).
The first attack is that of a table above, only weaker."""

QUICK = ("cifar100_test_200", "nasbench201/imagenet16", "nasbench201/imagenet16 negated")

METHODS: Mapping[str, Sequence[str]] = {
    "none": (),
    "zero-cost": ("zero-cost",),
    "tasks": ("tasks",),
    "default": ("default",),
}
"""Names of the priors of each method; the default is both."""

MOMENTS = (5, 10, 20, 50)
"""Evaluations after which the regret is told."""

PARTS = ("cells", "kernels")

PRESENT = 0.9
"""Share of the classes that are there for other seeds than 0."""

CLOSE = 0.999
"""Quantile of the values of distinct architectures that the top 0.1 % have."""


@dataclass(frozen=True)
class Task:
    """A table as values of the isomorphism classes, to be maximised."""

    values: Mapping[Hashable, float]

    def __call__(self, cell: Cell) -> float:
        """Return the value of a cell's class."""
        return self.values[NASBench201().canonical(cell)]

    @functools.cached_property
    def sorted(self) -> NDArray[np.float64]:
        """The values, the best last."""
        return np.sort(np.array(list(self.values.values())))

    def regret(self, value: float) -> float:
        """Return the gap to the best; that of the median architecture is 1, and worse ones too."""
        best, median = float(self.sorted[-1]), float(np.median(self.sorted))
        return min((best - value) / (best - median), 1.0)


@functools.cache
def space_of(seed: int) -> Space[Cell]:
    """Return where a run searches: seed 0 everywhere, others among a random nine tenths.

    With a prior, hardly anything depends on the seed of a search. So it is the table that varies,
    for all methods alike, and tells what is chance.
    """
    whole = NASBench201()
    if not seed:
        return whole
    classes = list(dict.fromkeys(whole.canonical(cell) for cell in whole))
    random = torch.Generator().manual_seed(seed)
    drawn = torch.rand(len(classes), generator=random) < PRESENT
    kept = {classes[i] for i in drawn.nonzero()[:, 0].tolist()}
    return Restricted(whole, lambda cell: whole.canonical(cell) in kept)


@functools.lru_cache(maxsize=8)
def load(name: str, data: Path | None, seed: int) -> Task:
    """Return a table by name, relabelled where the name says so.

    Args:
        name: of a benchmark or column; "negated" behind it turns best into worst, "permuted" deals
            the values to the classes anew.
        data: folder of the columns.
        seed: of the permutation, and of the classes that are there.
    """
    source, _, how = name.partition(" ")
    table, space = load_task(source, data), space_of(seed)
    sign = (1 if table.direction == "maximize" else -1) * (-1 if how == "negated" else 1)
    values: dict[Hashable, float] = {}
    for cell in filter(space.is_valid, NASBench201()):
        values.setdefault(space.canonical(cell), sign * table[cell])
    if how == "permuted":
        order = torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))
        dealt = [list(values.values())[i] for i in order.tolist()]
        values = dict(zip(values, dealt, strict=True))
    return Task(values)


@functools.cache
def priors_of(method: str) -> tuple[Prior, ...]:
    return load_priors(METHODS[method], NASBench201())


def curve(name: str, data: Path | None, method: str, seed: int, budget: int) -> list[float]:
    """Return the best value after each evaluation, up to the best of the table."""
    task = load(name, data, seed)
    search = Search(space_of(seed), strategy="enumerate", seed=seed, prior=priors_of(method))
    best: list[float] = best_so_far(search, task, budget, float(task.sorted[-1]))
    return best


def figures(task: Task, best: list[float], budget: int) -> dict[str, float]:
    """Return evaluations to the best and to the top 0.1 %, and the regret on the way."""
    close = float(np.quantile(task.sorted, CLOSE))
    reached = [i for i, value in enumerate(best, 1) if value >= close]
    return {
        "best": evaluations_until(best, float(task.sorted[-1]), budget),
        "top 0.1 %": reached[0] if reached else budget + 1,
        **{f"r{n}": task.regret(best[:n][-1]) for n in MOMENTS if n <= budget},
    }


def summarise(
    name: str,
    method: str,
    runs: Sequence[Mapping[str, float]],
    without: Sequence[Sequence[float]],
) -> dict[str, object]:
    """Return one row: medians, mean regrets, and whether the last ones are worse than without.

    "worse" is the mean difference of the regrets, run by run, in units of its standard error.
    """
    row: dict[str, object] = {"table": name, "priors": method, "runs": len(runs)}
    for key in runs[0]:
        column = [run[key] for run in runs]
        middle = np.mean(column) if key.startswith("r") else np.median(column)
        row[key] = f"{middle:.3f}" if key.startswith("r") else f"{middle:g}"
    worse = [
        _excess([run[key] for run in runs], reference)
        for key, reference in zip(("r20", "r50"), without, strict=False)
    ]
    row["worse at 20, 50"] = ", ".join(f"{w:.1f}" for w in worse)
    return row


def _excess(own: Sequence[float], reference: Sequence[float]) -> float:
    """Return the mean difference in standard errors; 0 without one, infinite without spread."""
    differences = np.subtract(own, reference)
    mean, count = float(differences.mean()), len(differences)
    error = float(differences.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    if abs(mean) < 1e-9:
        return 0.0
    return mean / error if error > 0 else math.copysign(math.inf, mean)


def measure(
    names: Sequence[str], data: Path | None, seeds: int, budget: int, processes: int
) -> list[dict[str, object]]:
    """Return the rows of all tables and methods."""
    jobs = [
        (name, data, method, seed, budget)
        for name in names
        for method in METHODS
        for seed in range(seeds)
    ]
    curves = run_all(curve, jobs, processes, "searches")
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for (name, _, method, seed, _), best in zip(jobs, curves, strict=True):
        run = figures(load(name, data, seed), best, budget)
        found.setdefault((name, method), []).append(run)
    rows = []
    for (name, method), runs in found.items():
        reference = [
            [run[key] for run in found[name, "none"]] for key in ("r20", "r50") if key in runs[0]
        ]
        rows.append(summarise(name, method, runs, reference))
    return rows


def _parts_at_hand(data: Path | None, tasks: Sequence[str]) -> tuple[str, ...]:
    """Leave the kernels out where tables of cells are named, or theirs are missing."""
    if tasks or data is None or not all((data / f).is_file() for f in kernel_studies.FILES):
        return PARTS[:1]
    return PARTS


@click.command()
@data_option
@out_option
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(PARTS),
    help="What to measure; may be given several times.  [default: what is at hand]",
)
@click.option(
    "--task", "tasks", multiple=True, help="Tables to search.  [default: all that are at hand]"
)
@click.option(
    "--seeds",
    default=10,
    show_default=True,
    help="Number of runs of each search.",
)
@click.option("--budget", default=50, show_default=True, help="Number of evaluations of each run.")
@click.option("--processes", default=1, show_default=True, help="Number of runs at the same time.")
@click.option("--quick", is_flag=True, help="Three tables, three seeds, 20 evaluations.")
def main(
    data: Path | None,
    out: Path | None,
    parts: tuple[str, ...],
    tasks: tuple[str, ...],
    seeds: int,
    budget: int,
    processes: int,
    quick: bool,
) -> None:
    """Search with and without priors, on tables on which they help and on which they mislead.

    Part cells: "best" and "top 0.1 %" count the evaluations until such a cell is found. r5 to r50
    are the mean regret after so many evaluations: the gap to the best, in units of the gap of the
    median architecture. "worse" says by how many standard errors the regret is above that without
    a prior; it is negative where the prior helps. The first run is on all cells, each further one
    on a random nine tenths of the classes. Part kernels: the logarithm of the slowdown after a few
    trials on one card, where two others have been studied.
    """
    torch.set_num_threads(1)
    if quick:
        seeds, budget = min(seeds, 3), min(budget, 20)
    parts = parts or _parts_at_hand(data, tasks)
    if "cells" in parts:
        names = tasks or (QUICK if quick else (*DEVELOPED, *HELD_OUT))
        at_hand = [name for name in names if "/" in name or data is not None]
        if not at_hand:
            raise click.UsageError("name the folder of the tables: --data")
        rows = measure(at_hand, data, seeds, budget, processes)
        for title, half in (("Developed on", DEVELOPED), ("Held out", HELD_OUT)):
            shown = [row for row in rows if row["table"] in half]
            if shown:
                show(f"{title}: evaluations and regret", shown)
        save(out, "priors", rows, seeds=seeds, budget=budget)
    if "kernels" in parts:
        rows = kernel_studies.rows(need_files(data, *kernel_studies.FILES), seeds, processes)
        show(f"Log slowdown on a third card, {seeds} seeds", rows)
        save(out, "priors_kernels", rows, seeds=seeds)


if __name__ == "__main__":
    main()
