"""Transformers of HW-GPT-Bench within a number of parameters: perplexity, by regret."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np
import torch
from naslib_diffusion.benchmarks.engine.gpt import INITIAL, SCALES, suggested
from naslib_diffusion.benchmarks.harness.common import (
    budget_option,
    data_option,
    need_files,
    out_option,
    processes_option,
    run_methods,
    save,
    seeds_option,
    several,
    show,
)
from naslib_diffusion.benchmarks.harness.statistics import Floats, paired

from naslib_diffusion.optimize.maximize import Maximizer
from naslib_diffusion.search import Search
from naslib_diffusion.spaces import GPT, Budgeted, Transformer
from naslib_diffusion.tables.hwgpt import perplexity

LIMITS = {"s": 60e6, "m": 128e6}
"""Parameters at most: some transformers of the middle width have fewer, others more."""
CLIMBS = 5
"""Maximisations of the predictor itself, the best of which is the reference."""


class Task:
    """Perplexity, and whether a transformer is within the budget.

    Args:
        scale: "s" or "m".
        data: folder with the predictors.
    """

    def __init__(self, scale: str, data: Path) -> None:
        self.space = GPT(scale)
        self.within = Budgeted(self.space, "params", at_most=LIMITS[scale])
        self._limit, self._predict = LIMITS[scale], perplexity(data, scale)

    @torch.no_grad()
    def __call__(self, archs: Sequence[Transformer]) -> list[float]:
        """Return the perplexity of each."""
        values: list[float] = self._predict(self.space.encode(archs)).tolist()
        return values

    def excess(self, arch: Transformer) -> float:
        """Return by how many millions of parameters a transformer is beyond the budget."""
        return (self.space.cost(arch, "params") - self._limit) / 1e6

    def reference(self) -> float:
        """Return the best perplexity that is found given the predictor itself."""
        climbs = [Maximizer(self.within, seed=seed) for seed in range(CLIMBS)]
        found = [climb(lambda x: -self._predict(x.double())) for climb in climbs]
        return min(self([arch for maxima in found for arch in maxima.archs]))


def diffusion(task: Task, seed: int, budget: int) -> list[Transformer]:
    """Search within the budget, which the space knows."""
    search = Search(task.within, direction="minimize", initial=INITIAL, seed=seed)
    archs: list[Transformer] = []
    while len(archs) < budget:
        asked = search.ask()
        search.tell(asked, task(asked))
        archs += asked
    return archs


def drawn(task: Task, seed: int, budget: int) -> list[Transformer]:
    """Draw within the budget."""
    return task.within.sample(budget, torch.Generator().manual_seed(seed))


def optuna_by(name: str) -> Callable[[Task, int, int], list[Transformer]]:
    """Return a search by a sampler of Optuna's, which is told the constraint after each trial."""

    def search(task: Task, seed: int, budget: int) -> list[Transformer]:
        import optuna

        warnings.filterwarnings("ignore")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler: optuna.samplers.BaseSampler = (
            optuna.samplers.GPSampler(
                seed=seed, n_startup_trials=INITIAL, deterministic_objective=True
            )
            if name == "GPSampler"
            else optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=INITIAL)
        )
        study = optuna.create_study(sampler=sampler)
        archs: list[Transformer] = []

        def objective(trial: optuna.Trial) -> float:
            archs.append(suggested(trial, task.space))
            trial.set_constraint("params", task.excess(archs[-1]))
            return task(archs[-1:])[0]

        study.optimize(objective, n_trials=budget)
        return archs

    return search


METHODS: dict[str, Callable[[Task, int, int], list[Transformer]]] = {
    "diffusion": diffusion,
    "GPSampler": optuna_by("GPSampler"),
    "TPE": optuna_by("TPE"),
    "random": drawn,
}


def run(scale: str, data: Path, method: str, seed: int, budget: int) -> list[float]:
    """Search once; return the best perplexity within the budget after each evaluation."""
    torch.manual_seed(seed)
    task = Task(scale, data)
    archs = METHODS[method](task, seed, budget)
    allowed = [
        value if task.excess(arch) <= 0 else math.inf
        for arch, value in zip(archs, task(archs), strict=True)
    ]
    best: list[float] = np.minimum.accumulate(allowed).tolist()
    return best


@click.command()
@data_option
@out_option
@several("--scale", SCALES, "Scale of the transformers")
@several("--method", METHODS, "Method to compare")
@seeds_option(default=10)
@budget_option(default=50)
@processes_option
def main(
    data: Path | None,
    out: Path | None,
    scales: Sequence[str],
    methods: Sequence[str],
    seeds: int,
    budget: int,
    processes: int,
) -> None:
    """Search for transformers of low perplexity that have at most so many parameters."""
    scales = scales or SCALES
    data = need_files(data, *(f"hwgpt_perplexity_{scale}.safetensors" for scale in scales))
    chosen = methods or tuple(METHODS)
    rows: list[dict[str, object]] = []
    for scale in scales:
        one = functools.partial(run, scale, data, budget=budget)
        curves = run_methods(one, chosen, seeds, processes, f"gpt-{scale}")
        rows += _rows(scale, curves, Task(scale, data).reference(), budget)
        save(out, "gpt_within", rows, seeds=seeds, budget=budget)
    notes = [
        f"regret: against the best of {CLIMBS} maximisations of the predictor itself",
        f"p: Wilcoxon's signed-rank test against {chosen[0]}, paired by seed, two-sided",
    ]
    show(f"Regret in perplexity, median of {seeds} seeds", rows, notes)


def _rows(
    scale: str, curves: dict[str, Floats], reference: float, budget: int
) -> list[dict[str, object]]:
    first = next(iter(curves.values()))[:, -1]
    rows = []
    for method, values in curves.items():
        row: dict[str, object] = {
            "space": f"gpt-{scale}",
            "limit": f"{LIMITS[scale] / 1e6:.0f} M",
            "method": method,
        }
        for step in (budget // 2, budget):
            row[f"at {step}"] = f"{np.median(values[:, step - 1]) - reference:.3f}"
        row["wins-losses"] = f"{(first < values[:, -1]).sum()}-{(first > values[:, -1]).sum()}"
        same = values[:, -1] is first or method == next(iter(curves))
        row["p"] = "" if same else f"{paired(first, values[:, -1]):.3f}"
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
