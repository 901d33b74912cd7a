"""The baselines against the figures that were published for them on NAS-Bench-201."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from naslib_diffusion.benchmarks.baselines.methods import METHODS
from naslib_diffusion.benchmarks.harness.common import (
    data_option,
    load_task,
    need_tables,
    out_option,
    processes_option,
    run_all,
    save,
    seeds_option,
    show,
)

from naslib_diffusion.spaces.equality import under

TIME = 12_000.0
"""Seconds of simulated training that a search has (Dong and Yang, ICLR 2020)."""
SECONDS = "cifar10_train_seconds_200"
"""Column of the seconds of 200 epochs; a search sees the validation accuracy after 12."""
EPOCHS = 12 / 200
SEARCHED = "cifar10_val_12"
REPORTED = ("cifar10_test_200", "cifar100_test_200")
PUBLISHED = {
    ("random", REPORTED[0]): "93.70 +- 0.36",
    ("random", REPORTED[1]): "71.04 +- 1.07",
    ("evolution", REPORTED[0]): "93.92 +- 0.30",
    ("evolution", REPORTED[1]): "71.84 +- 0.99",
    ("reinforce", REPORTED[0]): "93.85 +- 0.37",
    ("reinforce", REPORTED[1]): "71.71 +- 1.09",
}
"""Test accuracy (%) of the chosen cell after a search on CIFAR-10 (its Table 5)."""
LOCAL = "nasbench201/cifar100"
LOCAL_PUBLISHED = "127"
"""Mean evaluations of local search to the best of CIFAR-100 (White, Nolen and Savani)."""

DENOISED = {"cifar10_test_200": "94.37 +- 0.00", "cifar100_test_200": "73.51 +- 0.00"}
"""Best test accuracy (%) that EDNAG finds in 100 steps of a population of 30, searching it."""

NOTES = [
    "As published, local search evaluates isomorphic cells, too; in `bench compare` it does not.",
    "EDNAG's authors scale the accuracies of each data set by a factor of its own; here, none is. "
    "Cells that were evaluated before do not count again.",
    "BOHB's published figures need trainings of 1 to 12 epochs, of which the tables have only the "
    "last.",
]


def within_time(method: str, data: Path, seed: int) -> dict[str, float]:
    """Search until the time is over; return the accuracies of the chosen cell, and how many."""
    table, seconds = load_task(SEARCHED, data), load_task(SECONDS, data)
    made: Any = METHODS[method].maker()(table.space, seed)
    seen: list[tuple[float, Any]] = []
    spent = 0.0
    while spent < TIME:
        cell = made.ask()
        made.tell(cell, table[cell])
        seen.append((table[cell], cell))
        spent += EPOCHS * seconds[cell]
    chosen = max(seen, key=lambda pair: pair[0])[1]
    reported = {name: load_task(name, data)[chosen] for name in REPORTED}
    return {**reported, "evaluations": len(seen)}


def denoised(column: str, data: Path, seed: int) -> dict[str, float]:
    """Let EDNAG denoise one population; return the best it met, and how many it evaluated."""
    table = load_task(column, data)
    made: Any = METHODS["ednag"].maker()(table.space, seed)
    values: list[float] = []
    while (cell := made.ask()) is not None and made.begun == 1:
        values.append(table[cell])
        made.tell(cell, values[-1])
    return {"best": max(values), "evaluations": len(values)}


def to_best(data: Path | None, seed: int) -> int:
    """Return the evaluations of local search to the best cell; isomorphic ones, too, count."""
    table = load_task(LOCAL, data)
    made: Any = METHODS["local-search"].maker()(under(table.space, "exact"), seed)
    for count in range(1, len(table) + 1):
        cell = made.ask()
        if table[cell] >= table.optimum:
            return count
        made.tell(cell, table[cell])
    return len(table)


def row(
    method: str, figure: str, published: str, found: Sequence[Mapping[str, float]], key: str
) -> dict[str, object]:
    """Return what was published and what is found here."""
    values = np.array([own[key] for own in found])
    return {
        "method": method,
        "figure": figure,
        "published": published,
        "here": f"{values.mean():.2f} +- {values.std(ddof=1):.2f}",
        "evaluations": f"{np.mean([own['evaluations'] for own in found]):.0f}",
    }


@click.command()
@data_option
@out_option
@seeds_option(default=200)
@processes_option
def main(data: Path | None, out: Path | None, seeds: int, processes: int) -> None:
    """Run baselines by the protocols of publications, and compare with the published figures."""
    need_tables((SEARCHED, SECONDS, *REPORTED), data)
    methods = list(dict.fromkeys(method for method, _ in PUBLISHED))
    jobs = [(method, data, seed) for method in methods for seed in range(seeds)]
    found = run_all(within_time, jobs, processes, "searches")
    rows: list[dict[str, object]] = []
    for (method, column), published in PUBLISHED.items():
        own = [f for job, f in zip(jobs, found, strict=True) if job[0] == method]
        figure = f"{column} of the chosen cell, {TIME:,.0f} s of training"
        rows.append(row(method, figure, published, own, column))
    for column, published in DENOISED.items():
        own = run_all(denoised, [(column, data, s) for s in range(seeds)], processes, column)
        rows.append(row("ednag", f"best {column} of 100 steps", published, own, "best"))
    counts = run_all(to_best, [(data, seed) for seed in range(seeds)], processes, "local search")
    rows.append(
        {
            "method": "local-search",
            "figure": "mean evaluations to the best cell of CIFAR-100",
            "published": LOCAL_PUBLISHED,
            "here": f"{np.mean(counts):.0f} +- {np.std(counts) / np.sqrt(seeds):.0f} (s. e.)",
            "evaluations": f"{np.mean(counts):.0f}",
        }
    )
    show(f"Baselines against published figures, {seeds} seeds", rows, NOTES)
    save(out, "published", rows, notes=NOTES, seeds=seeds)


if __name__ == "__main__":
    main()
