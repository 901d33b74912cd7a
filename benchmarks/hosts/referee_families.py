"""Families of objectives for the referee: half of each for development, half held out."""

from __future__ import annotations

import csv
import functools
import gzip
import importlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from naslib_diffusion.benchmarks.hosts import optuna_tasks
from naslib_diffusion.benchmarks.hosts.optuna_tasks import Task, study_of
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution

from naslib_diffusion.spaces import ProductSpace
from naslib_diffusion.spaces.numbers import Real
from naslib_diffusion.spaces.point import Point
from naslib_diffusion.spaces.subset import Subset

Load = Callable[[str, Path | None], Task]

EARLIER = 100
"""Random trials of each earlier study."""
INITIAL = 5
"""Points that a search of HPO-B is given (Pineda Arango et al., NeurIPS 2021)."""


@dataclass(frozen=True)
class Family:
    """Tasks of one kind.

    Attributes:
        load: makes a task of its name and the folder of tables.
        development: names of the tasks on which settings are chosen.
        held_out: names of the tasks that are only looked at.
        package: what it needs and the extra that brings it; None if nothing.
        files: of the folder of tables that it needs.
    """

    load: Load
    development: tuple[str, ...]
    held_out: tuple[str, ...]
    package: str | None = None
    files: tuple[str, ...] = ()


def kernel(name: str, data: Path | None, *, ruled: bool = False) -> Task:
    """Time of a GPU kernel on one card; a setting that the table does not have fails.

    Regret is the logarithm of the slowdown; nothing found counts as a slowdown by e.

    Args:
        name: such as "convolution_A100".
        data: folder of the tables.
        ruled: whether the kernel's restrictions are known: the combinations that are not listed.
    """
    assert data is not None
    times, grids, (_, listed) = (
        kernel_times(name, data),
        kernel_grids(name, data),
        _read(name, data),
    )

    def setting(params: dict[str, int]) -> tuple[int, ...]:
        return tuple(grid[params[n]] for n, grid in grids.items())

    def objective(trial: optuna.Trial) -> float:
        params = {}
        for n, grid in grids.items():
            if len(grid) == 2:
                params[n] = trial.suggest_categorical(n, (0, 1))
            else:
                params[n] = trial.suggest_int(n, 0, len(grid) - 1)
        return times.get(setting(params), math.nan)

    rule = (lambda params: setting(params) in listed) if ruled else None
    best = min(times.values())
    # one unit of regret is a slowdown by e, in logarithms
    return Task(objective, best, math.e * best, rule=rule, logarithmic=True)


def kernel_times(name: str, data: Path) -> dict[tuple[int, ...], float]:
    """Return the times of a kernel's settings that could be measured."""
    return {key: float(time) for key, time in _read(name, data)[1].items() if time}


def kernel_grids(name: str, data: Path) -> dict[str, list[int]]:
    """Return the values of each parameter of a kernel, by its name."""
    names, listed = _read(name, data)
    return {n: sorted({key[i] for key in listed}) for i, n in enumerate(names)}


@functools.cache
def _read(name: str, data: Path) -> tuple[list[str], dict[tuple[int, ...], str]]:
    """Return the parameters of a kernel, and the time of each setting that is allowed.

    The time is empty where the setting failed.
    """
    with gzip.open(data / f"kernel_{name}.csv.gz", "rt", newline="") as file:
        names, *rows = csv.reader(file)
    return names[:-1], {tuple(map(int, row[:-1])): row[-1] for row in rows}


def pool(name: str, data: Path | None) -> Task:
    """HPO-B: error of settings that were measured once on an OpenML data set, and no others.

    Regret is in units of the range of the pool. As in the benchmark, a search starts with
    `INITIAL` points. A sampler that proposes other points gets the nearest member that it does
    not have yet. Earlier studies are of the other data sets of the same space.
    """
    x, errors = _pool(name)
    names = [f"x{i}" for i in range(x.shape[1])]
    taken: list[int] = []

    def objective(trial: optuna.Trial) -> float:
        point = [trial.suggest_float(n, 0.0, 1.0) for n in names]
        distances = np.square(x - point).sum(1)
        distances[taken] = math.inf
        taken.append(int(distances.argmin()))
        return float(errors[taken[-1]])

    def space() -> Subset[Point]:
        whole = ProductSpace([Real(0.0, 1.0, name=n) for n in names])
        return Subset(whole, [Point(tuple(row)) for row in x.tolist()])

    def earlier(seed: int) -> list[optuna.Study]:
        family = FAMILIES["hpob"]
        alike = [n for n in (*family.development, *family.held_out) if _space(n) == _space(name)]
        return [_earlier_study(other, seed) for other in alike if other != name]

    best, worst = float(errors.min()), float(errors.max())
    return Task(
        objective, best, worst, space,
        numeric=True, closed=True, earlier=earlier, startup=INITIAL,
    )  # fmt: skip


def _pool(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distinct settings of a pool, and the error of each.

    The file is opened each time: processes that share an open one read from each other's places.
    """
    module: Any = importlib.import_module("bocode.opt_problems.hpo._hpob_base")
    with np.load(module._DATA_DIR / "hpob_data.npz") as tables:
        table: NDArray[np.float64] = tables[name].astype(np.float64)
    x, first = np.unique(table[:, :-1], axis=0, return_index=True)
    return x, -table[first, -1]


def _space(name: str) -> str:
    return name.split("_", maxsplit=1)[0]


def _earlier_study(name: str, seed: int) -> optuna.Study:
    """Return a study of `EARLIER` random members of a pool."""
    x, errors = _pool(name)
    distributions: dict[str, BaseDistribution] = {
        f"x{i}": FloatDistribution(0.0, 1.0) for i in range(x.shape[1])
    }
    members = random.Random(f"{name} {seed}").sample(range(len(x)), min(EARLIER, len(x)))
    points = (dict(zip(distributions, x[i].tolist(), strict=True)) for i in members)
    trials = zip(points, errors[members].tolist(), strict=True)
    study: optuna.Study = study_of(trials, distributions)
    return study


def shifted(name: str, data: Path | None) -> Task:
    """A continuous function, such as "Levy8", whose optimum lies anywhere but at the border."""
    dim = int(name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))
    kind: Any = getattr(
        importlib.import_module("botorch.test_functions.synthetic"), name.removesuffix(str(dim))
    )
    function = kind(dim=dim)
    low, high = function.bounds.double()
    optimum = torch.tensor(function._optimizers[0], dtype=torch.double)
    random = torch.Generator().manual_seed(dim)
    place = 0.2 + 0.6 * torch.rand(dim, generator=random, dtype=torch.double)
    shift = optimum - (low + place * (high - low))

    def objective(trial: optuna.Trial) -> float:
        ranges = zip(low.tolist(), high.tolist(), strict=True)
        x = [trial.suggest_float(f"x{i}", a, b) for i, (a, b) in enumerate(ranges)]
        return float(function._evaluate_true(torch.tensor([x], dtype=torch.double) + shift))

    points = low + (high - low) * torch.rand(4096, dim, generator=random, dtype=torch.double)
    typical = float(function._evaluate_true(points + shift).median())
    return Task(objective, float(function.optimal_value), typical, numeric=True)


def bits(name: str, data: Path | None) -> Task:
    """A pseudo-Boolean problem of IOHprofiler, such as "LABS/25", its bits flipped at random."""
    problem_name, dim = name.split("/")
    ioh: Any = importlib.import_module("ioh")
    problem = ioh.get_problem(problem_name, 2, int(dim), ioh.ProblemClass.PBO)

    def objective(trial: optuna.Trial) -> float:
        return -float(
            problem([trial.suggest_categorical(f"b{i}", (0, 1)) for i in range(int(dim))])
        )

    random = np.random.default_rng(0)
    typical = np.median([-problem(row.tolist()) for row in random.integers(0, 2, (999, int(dim)))])
    return Task(objective, _best_of(problem), float(typical))


def _best_of(problem: Any) -> float | None:
    """Return the least value; None where the package does not know it."""
    best = -float(problem.optimum.y)
    return best if math.isfinite(best) else None


def present(name: str, data: Path | None) -> Task:
    """A task of the measurement `optuna`."""
    return optuna_tasks.load(name)


def _pools(spaces: dict[str, tuple[int, ...]]) -> tuple[str, ...]:
    return tuple(f"{space}_{dataset}" for space, own in spaces.items() for dataset in own)


KERNELS = ("convolution_A100", "dedispersion_MI250X", "convolution_A4000")
KERNELS_HELD = ("dedispersion_A100", "convolution_MI250X", "dedispersion_A4000")

FAMILIES = {
    "kernel": Family(
        kernel, KERNELS, KERNELS_HELD,
        files=tuple(f"kernel_{name}.csv.gz" for name in (*KERNELS, *KERNELS_HELD)),
    ),
    "kernel-rule": Family(
        functools.partial(kernel, ruled=True), KERNELS, KERNELS_HELD,
        files=tuple(f"kernel_{name}.csv.gz" for name in (*KERNELS, *KERNELS_HELD)),
    ),
    "hpob": Family(
        pool,
        _pools({
            "4796": (23, 3549, 3918, 9903, 9906, 9946),
            "5636": (10101, 145804, 146064, 146065, 31, 9914),
            "5891": (3492, 3891, 3899, 6566, 9889, 9980),
        }),
        _pools({
            "5859": (125923, 31, 37, 3902, 9977, 9983),
            "5906": (3918, 9971, 3889, 9977, 9970, 3896),
            "5965": (10101, 145836, 3903, 49, 9889, 9914, 9946),
            "5527": (10101, 145804, 146064, 146065, 31, 9914),
        }),
        package="bocode",
    ),
    "continuous": Family(
        shifted,
        ("Hartmann6", "Levy8", "Rastrigin5"),
        ("Rosenbrock5", "Ackley10", "StyblinskiTang6"),
    ),
    "bits": Family(
        bits,
        ("LABS/25", "LeadingOnes/25", "IsingRing/25", "NQueens/25"),
        ("MIS/50", "ConcatenatedTrap/50", "IsingTriangular/25", "LeadingOnesEpistasis/25"),
        package="ioh",
    ),
    "present": Family(present, tuple(optuna_tasks.TASKS)[::2], tuple(optuna_tasks.TASKS)[1::2]),
}  # fmt: skip
"""By name. HPO-B's other spaces are left for a final judgement; `bocode` lacks space 5860, and
the initial settings of the benchmark, so that each seed draws its own."""
