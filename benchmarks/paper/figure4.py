"""Bayesian optimisation with four ways to maximise the acquisition function (paper, Figure 4)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from naslib_diffusion.benchmarks.harness.common import (
    CELLS,
    budget_option,
    data_option,
    load_task,
    need_files,
    out_option,
    processes_option,
    run_methods,
    save,
    seeds_option,
    several,
)
from naslib_diffusion.benchmarks.harness.common import show as show_table
from naslib_diffusion.benchmarks.harness.curves import save_curves
from naslib_diffusion.benchmarks.harness.searching import best_so_far
from naslib_diffusion.benchmarks.harness.statistics import Floats, evaluations_to, paired
from naslib_diffusion.benchmarks.paper.ofa import FILE as PREDICTOR
from naslib_diffusion.benchmarks.paper.ofa import AccuracyPredictor

from naslib_diffusion.search import Search
from naslib_diffusion.spaces import MobileNetV3, Space

STRATEGIES = ("guided", "mutation", "mutation+random", "random")
SURROGATES = {"GP-UCB": ("gp", "ucb"), "BANANAS": ("ensemble", "its")}
TASKS = {
    "nasbench201": "CIFAR-100 / NAS-Bench-201, test accuracy (%)",
    "mobilenetv3": "ImageNet / MobileNetV3 at 224, predicted accuracy (%)",
}
NEEDS = {"nasbench201": CELLS, "mobilenetv3": PREDICTOR}
"""File that each needs."""
CHECKPOINTS = (20, 50, 100)
INITIAL = 10
NOTE = "p: Wilcoxon's signed-rank test against guided, paired by seed, two-sided"


def curve(
    task: str, data: Path, surrogate: str, strategy: str, seed: int, budget: int
) -> list[float]:
    """Run one search; return the best value after each evaluation."""
    space: Space[Any]
    evaluate: Callable[[Any], float]
    optimum = np.inf
    if task == "nasbench201":
        table = load_task("cifar100_test_200", data)
        space, evaluate, optimum = table.space, table.__getitem__, table.optimum
    else:
        predictor = AccuracyPredictor(data)
        space, evaluate = MobileNetV3(), lambda arch: predictor([arch])[0]
    kind, acquisition = SURROGATES[surrogate]
    search = Search(
        space, kind, strategy, seed=seed, initial=INITIAL, acquisition=acquisition, device="cpu"
    )
    best: list[float] = best_so_far(search, evaluate, budget, optimum)
    return best + best[-1:] * (budget - len(best))  # nothing is left to find


def rows_of(
    task: str, surrogate: str, curves: dict[str, Floats], budget: int
) -> list[dict[str, object]]:
    """Return one row for each strategy: values at checkpoints, evaluations to the best, tests."""
    target = max(float(c.max()) for c in curves.values())
    counts = {name: evaluations_to(c, target) for name, c in curves.items()}
    rows = []
    for name, values in curves.items():
        row: dict[str, object] = {"task": task, "surrogate": surrogate, "strategy": name}
        for step in CHECKPOINTS:
            if step <= budget:
                at = values[:, step - 1]
                row[f"at {step}"] = (
                    f"{at.mean():.2f} +- {at.std(ddof=1) if len(at) > 1 else 0:.2f}"
                )
                other = curves["guided"][:, step - 1]
                row[f"p at {step}"] = "" if name == "guided" else f"{paired(other, at):.3f}"
        if task == "nasbench201":
            row["evaluations to the best"] = f"{np.median(counts[name]):.1f}"
            row["missed"] = int((counts[name] > budget).sum())
            p = paired(counts["guided"], counts[name])
            row["p, evaluations"] = "" if name == "guided" else f"{p:.3f}"
        rows.append(row)
    return rows


@click.command()
@data_option
@out_option
@several("--task", TASKS, "Table to search")
@several("--surrogate", SURROGATES, "Surrogate that guides")
@seeds_option(default=10)
@budget_option(default=100)
@processes_option
def main(
    data: Path | None,
    out: Path | None,
    tasks: Sequence[str],
    surrogates: Sequence[str],
    seeds: int,
    budget: int,
    processes: int,
) -> None:
    """Compare surrogates and strategies of Bayesian optimisation by the best value they find.

    Each search starts with 10 random architectures, and then evaluates one at a time.
    """
    data = need_files(data, *(NEEDS[task] for task in tasks or TASKS))
    for task in tasks or TASKS:
        panels: dict[str, dict[str, Floats]] = {}
        rows: list[dict[str, object]] = []
        for surrogate in surrogates or SURROGATES:
            one = functools.partial(curve, task, data, surrogate, budget=budget)
            curves = run_methods(one, tuple(STRATEGIES), seeds, processes, f"{task}, {surrogate}")
            panels[surrogate] = curves
            rows += rows_of(task, surrogate, curves, budget)
        show_table(
            f"{TASKS[task]}: mean +- deviation of the best so far, {seeds} seeds",
            rows,
            [NOTE],
        )
        save(out, f"figure4_{task}", rows, seeds=seeds, budget=budget)
        if out is not None:
            save_curves(
                out,
                f"figure4_{task}",
                panels,
                rows,
                title=TASKS[task],
                text=f"Best so far of {seeds} seeds: medians and the middle half. {NOTE}",
                start=INITIAL,
                ylabel=TASKS[task].rpartition(", ")[2],
            )


if __name__ == "__main__":
    main()
