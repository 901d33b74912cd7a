"""What the runs of a comparison add up to: one table for each task, and ranks over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from naslib_diffusion.benchmarks.compare.runs import Run
from naslib_diffusion.benchmarks.compare.tasks import Task, signed
from naslib_diffusion.benchmarks.harness.statistics import (
    Floats,
    critical_difference,
    evaluations_to,
    holm,
    mean_ranks,
    paired,
)

Row = dict[str, object]
Runs = Mapping[tuple[str, str], Sequence[Run]]
"""By task and method: a run for each seed, in order."""


def padded(rows: Sequence[Sequence[float]], budget: int) -> Floats:
    """Return rows of equal length, `seeds x budget`: what ended early stays as it was."""
    return np.array([[*row[:budget], *[row[-1]] * (budget - len(row))] for row in rows])


def best_so_far(task: Task, runs: Sequence[Run], budget: int) -> Floats:
    """Return the best value after each evaluation, to be maximised: `seeds x budget`."""
    values = [signed(task.searched, run["values"]).tolist() for run in runs]
    found: Floats = np.maximum.accumulate(padded(values, budget), axis=1)
    return found


def summarise(task: Task, runs: Runs, budget: int, reference: str) -> list[Row]:
    """Return one row for each method, the fewest evaluations to the best first."""
    table, methods = task.searched, [m for name, m in runs if name == task.name]
    curves = {m: best_so_far(task, runs[task.name, m], budget) for m in methods}
    counts = {m: evaluations_to(c, float(signed(table, table.optimum))) for m, c in curves.items()}
    last = {m: c[:, -1] for m, c in curves.items()}
    others = [m for m in methods if m != reference]
    tests = {
        name: dict(zip(others, holm([paired(by[reference], by[m]) for m in others]), strict=True))
        for name, by in (("evaluations", counts), ("best", last))
        if reference in methods
    }
    rows: list[Row] = []
    for method in sorted(methods, key=lambda m: (np.median(counts[m]), -last[m].mean())):
        own, seeds = runs[task.name, method], len(curves[method])
        shown = signed(table, curves[method])
        row: Row = {"task": task.name, "method": method, "seeds": seeds}
        for step in checkpoints(budget):
            row[f"best at {step}"] = quartiles(shown[:, step - 1], 2)
        row["to the table's best"] = quartiles(counts[method], 1)
        row["missed"] = int((counts[method] > budget).sum())
        if task.reported is not None:
            chosen = padded([run["reported"] for run in own], budget)[:, -1]
            row["test of the chosen"] = spread(chosen)
        for name, by in tests.items():
            row[f"p, {name}"] = "" if method == reference else f"{by[method]:.3f}"
        row["CPU s per ask"] = f"{seconds_per_ask(own):.3f}"
        rows.append(row)
    return rows


def checkpoints(budget: int) -> list[int]:
    """Return the evaluations at which the tables say how far a method is."""
    return sorted({min(step, budget) for step in (20, 50, budget)})


def quartiles(values: Floats, decimals: int) -> str:
    """Write the median, and the quartiles in brackets."""
    low, middle, high = (float(v) for v in np.quantile(values, [0.25, 0.5, 0.75]))

    def write(value: float) -> str:
        return f"{value:.{decimals}f}".removesuffix(".0")

    return f"{write(middle)} ({write(low)}-{write(high)})"


def spread(values: Floats) -> str:
    """Write mean and standard deviation."""
    deviation = values.std(ddof=1) if len(values) > 1 else 0.0
    return f"{values.mean():.2f} +- {deviation:.2f}"


def seconds_per_ask(runs: Sequence[Run]) -> float:
    """Return the CPU seconds of a method for one evaluation after the random start."""
    asks = sum(len(run["values"]) - run["start"] for run in runs)
    return float(sum(run["seconds"] for run in runs) / max(asks, 1))


def ranks(tasks: Sequence[Task], runs: Runs, budget: int) -> tuple[list[Row], float]:
    """Return the mean ranks of what ran on all tasks, and by how much they must differ."""
    found = {m for _, m in runs}
    methods = [m for m in dict.fromkeys(m for _, m in runs) if m in found]
    methods = [m for m in methods if all((task.name, m) in runs for task in tasks)]
    each = [
        mean_ranks([best_so_far(task, runs[task.name, m], budget) for m in methods])
        for task in tasks
    ]
    means = np.mean(each, axis=0)
    blocks = sum(len(runs[task.name, methods[0]]) for task in tasks) if methods else 1
    rows: list[Row] = [
        {"method": methods[i], "mean rank": float(means[i])} for i in np.argsort(means)
    ]
    return rows, critical_difference(max(len(methods), 2), blocks)


def facts_of(runs: Runs) -> dict[str, Any]:
    """Return what all runs have in common, and what differs: commits, versions, machines."""
    every = [run for own in runs.values() for run in own]
    return {
        name: sorted({str(run[name]) for run in every})
        for name in ("commit", "versions", "machine")
    }
