"""Two objectives at once: accuracy against hardware cost or robustness, by hypervolume."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np
import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.optim.optimize import optimize_acqf_discrete, optimize_acqf_discrete_local_search
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import Hypervolume
from botorch.utils.multi_objective.pareto import is_non_dominated
from gpytorch.mlls import ExactMarginalLogLikelihood
from naslib_diffusion.benchmarks.harness.common import (
    CELLS,
    budget_option,
    data_option,
    load_task,
    need_files,
    need_tables,
    out_option,
    processes_option,
    run_all,
    save,
    seeds_option,
    several,
)
from naslib_diffusion.benchmarks.harness.common import show as show_table
from naslib_diffusion.benchmarks.harness.curves import save_curves
from naslib_diffusion.benchmarks.hosts.acquisition_problems import Case, Counted, Indexed
from naslib_diffusion.benchmarks.paper.figure4 import paired
from naslib_diffusion.plugins.botorch import optimize_acqf_diffusion
from torch import Tensor

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.nasbench201 import OPERATIONS, Cell

SPACE = NASBench201()
TASKS = {
    "latency": ("cifar10_val_200", "cifar10_edgegpu_latency_ms", -1.0),
    "energy": ("cifar10_val_200", "cifar10_edgegpu_energy_mj", -1.0),
    "robustness": ("cifar10_val_200", "cifar10_apgd_eps1", 1.0),
}
"""Columns of the two objectives, and the sign that makes the second one to be maximised."""
INITIAL = 10
DRAWS = 32
"""Draws of the Monte Carlo acquisition function."""
QUANTILE = 0.2
"""The reference point is this quantile of each objective over the table."""

Propose = Callable[[qLogNoisyExpectedHypervolumeImprovement, Tensor, int], list[Cell]]


@functools.cache
def outcomes(task: str, data: Path) -> dict[Cell, tuple[float, float]]:
    """Return both objectives of all cells: 0 at the reference point, 1 at the best."""
    first, second, sign = TASKS[task]
    a, b = load_task(first, data), load_task(second, data)
    values = np.stack([a.values, sign * b.values], 1)
    low, high = np.quantile(values, QUANTILE, axis=0), values.max(0)
    scaled = (values - low) / (high - low)
    return dict(zip(a.archs, map(tuple, scaled.tolist()), strict=True))


def hypervolume(values: Tensor) -> float:
    """Return the volume that `n x 2` outcomes dominate above the origin."""
    front = values[(values > 0).all(1)]
    if not len(front):
        return 0.0
    front = front[is_non_dominated(front)]
    return float(Hypervolume(torch.zeros(2, dtype=torch.double)).compute(front))


def acquisition(x: Tensor, y: Tensor, seed: int) -> qLogNoisyExpectedHypervolumeImprovement:
    """Fit one Gaussian process to each objective; return noisy hypervolume improvement."""
    model = SingleTaskGP(x, y)
    likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
    fit_gpytorch_mll(likelihood, optimizer_kwargs={"options": {"maxiter": 100}})
    sampler = SobolQMCNormalSampler(torch.Size([DRAWS]), seed=seed)
    return qLogNoisyExpectedHypervolumeImprovement(
        model, torch.zeros(2, dtype=torch.double), x, sampler=sampler, prune_baseline=True
    )


def guided(function: qLogNoisyExpectedHypervolumeImprovement, x: Tensor, q: int) -> list[Cell]:
    """Our optimizer: no cell twice, up to isomorphism."""
    found, _ = optimize_acqf_diffusion(function, SPACE, q, X_avoid=x, sequential=True)
    return SPACE.decode(found.view(-1, *SPACE.shape))


def discrete(function: qLogNoisyExpectedHypervolumeImprovement, x: Tensor, q: int) -> list[Cell]:
    """`optimize_acqf_discrete` over all 15,625 cells."""
    choices = SPACE.encode(list(SPACE)).flatten(1)
    found, _ = optimize_acqf_discrete(function, q, choices, X_avoid=x)
    return SPACE.decode(found.view(-1, *SPACE.shape))


class _Codes(Indexed):  # type: ignore[misc]
    """Integer codes of cells."""

    def encode(self, X: Tensor) -> Tensor:
        """Map codes, `... x 6`, to encodings, `... x 56`."""
        cells = [Cell(tuple(row)) for row in X.round().long().view(-1, 6).tolist()]
        return SPACE.encode(cells).view(*X.shape[:-1], -1)


def local_search(
    function: qLogNoisyExpectedHypervolumeImprovement, x: Tensor, q: int
) -> list[Cell]:
    """`optimize_acqf_discrete_local_search` with its default effort, on integer codes."""
    codes = _Codes(Counted(function), Case("cells", 6, 5, len(x)))
    choices = [torch.arange(5, dtype=torch.double)] * 6
    known = [cell.operations for cell in SPACE.decode(x.view(-1, *SPACE.shape))]
    found, _ = optimize_acqf_discrete_local_search(
        codes, choices, q, X_avoid=torch.tensor(known, dtype=torch.double)
    )
    return [Cell(tuple(row)) for row in found.long().tolist()]


METHODS: dict[str, Propose | None] = {
    "diffusion": guided,
    "local_search": local_search,
    "discrete (all)": discrete,
    "NSGA-II": None,
}


def run(task: str, data: Path, method: str, seed: int, budget: int, batch: int) -> list[float]:
    """Search once; return the hypervolume after each evaluation, as a share of the table's."""
    warnings.filterwarnings("ignore")
    torch.manual_seed(seed)
    table = outcomes(task, data)
    everything = torch.tensor(list(table.values()), dtype=torch.double)
    propose = METHODS[method]
    if propose is None:
        cells = _nsga2(table, seed, budget)
    else:
        cells = SPACE.sample(INITIAL, torch.Generator().manual_seed(seed))
        while len(cells) < budget:
            x = SPACE.encode(cells).flatten(1)
            y = torch.tensor([table[cell] for cell in cells], dtype=torch.double)
            function = acquisition(x, y, seed)
            cells += propose(function, x, min(batch, budget - len(cells)))
    y = torch.tensor([table[cell] for cell in cells], dtype=torch.double)
    whole = hypervolume(everything)
    return [hypervolume(y[: i + 1]) / whole for i in range(budget)]


def _nsga2(table: dict[Cell, tuple[float, float]], seed: int, budget: int) -> list[Cell]:
    """Optuna's NSGA-II with populations of twice the random start."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=2 * INITIAL)
    study = optuna.create_study(directions=["maximize", "maximize"], sampler=sampler)
    cells: list[Cell] = []

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        names = [trial.suggest_categorical(f"op{i}", OPERATIONS) for i in range(6)]
        cells.append(Cell(tuple(OPERATIONS.index(name) for name in names)))
        return table[cells[-1]]

    study.optimize(objective, n_trials=budget)
    return cells


@click.command()
@data_option
@out_option
@several("--task", TASKS, "Pair of objectives")
@several("--method", METHODS, "Method to compare", "diffusion, local_search and NSGA-II")
@seeds_option(default=10)
@budget_option(default=50)
@click.option(
    "--batch",
    default=4,
    show_default=True,
    help="Number of cells that are evaluated between two fits of the model (q).",
)
@processes_option
def main(
    data: Path | None,
    out: Path | None,
    tasks: Sequence[str],
    methods: Sequence[str],
    seeds: int,
    budget: int,
    batch: int,
    processes: int,
) -> None:
    """Compare methods for several objectives by the share of a table's hypervolume that they find.

    All methods but NSGA-II use the same model.
    """
    data = need_files(data, CELLS)
    need_tables([column for task in tasks or TASKS for column in TASKS[task][:2]], data)
    chosen = methods or ("diffusion", "local_search", "NSGA-II")
    panels: dict[str, dict[str, np.ndarray[tuple[int, int], np.dtype[np.float64]]]] = {}
    rows: list[dict[str, object]] = []
    for task in tasks or TASKS:
        jobs = [(task, data, m, seed, budget, batch) for seed in range(seeds) for m in chosen]
        found = run_all(run, jobs, processes, task)
        title = " / ".join(TASKS[task][:2])
        panels[title] = {}
        for method in chosen:
            curves = [c for job, c in zip(jobs, found, strict=True) if job[2] == method]
            panels[title][method] = np.array(curves)
        for method, values in panels[title].items():
            row: dict[str, object] = {"task": task, "method": method}
            for step in (20, 30, 50):
                if step <= budget:
                    row[f"at {step}"] = f"{values[:, step - 1].mean():.3f}"
            last = panels[title][chosen[0]][:, -1]
            p = paired(last, values[:, -1])
            row[f"p at {budget}"] = "" if method == chosen[0] else f"{p:.3f}"
            rows.append(row)
    note = f"p: Wilcoxon's signed-rank test against {chosen[0]}, paired by seed, two-sided"
    show_table(
        f"Share of the table's hypervolume, mean of {seeds} seeds, q = {batch}",
        rows,
        [note],
    )
    save(out, "multiobjective", rows, seeds=seeds, budget=budget, batch=batch)
    if out is not None:
        save_curves(
            out,
            "multiobjective",
            panels,
            rows,
            title="Two objectives at once",
            text=f"Hypervolume over that of the table, {seeds} seeds: medians, middle half. "
            f"{note}",
            start=INITIAL,
            ylabel="share of the table's hypervolume",
        )


if __name__ == "__main__":
    main()
