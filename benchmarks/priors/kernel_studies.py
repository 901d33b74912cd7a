"""What studies of a GPU kernel on two cards tell of the settings on a third."""

from __future__ import annotations

import csv
import functools
import gzip
import math
import random
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import torch
from naslib_diffusion.benchmarks.harness.common import run_all
from naslib_diffusion.benchmarks.hosts.optuna_tasks import study_of
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from naslib_diffusion import DiffusionNAGSampler

KERNELS = ("convolution", "dedispersion")
CARDS = ("A100", "A4000", "MI250X")
EARLIER = 100
"""Random trials of each earlier study."""
MOMENTS = (1, 5, 10)
"""Trials after which the slowdown is told."""
METHODS = ("none", "two studies", "its own study", "two whole tables")
"""How settings are chosen. The last two are bounds: a study as random as the others, but on the
very card; and no search at all, but a walk down the mean rank in full tables of the others."""

Setting = tuple[int, ...]


def file_of(kernel: str, card: str) -> str:
    """Return the name of a table's file."""
    return f"kernel_{kernel}_{card}.csv.gz"


FILES = tuple(file_of(kernel, card) for kernel in KERNELS for card in CARDS)


@dataclass(frozen=True)
class Kernel:
    """A table of measured settings.

    Attributes:
        grids: the values of each parameter.
        times: of the settings that keep the kernel's restrictions; NaN where it fails.
    """

    grids: dict[str, list[int]]
    times: dict[Setting, float]

    @staticmethod
    def read(path: Path) -> Kernel:
        """Read a table; the last column is the time."""
        with gzip.open(path, "rt", newline="") as file:
            names, *rows = csv.reader(file)
        times = {tuple(map(int, row[:-1])): float(row[-1] or "nan") for row in rows}
        grids = {n: sorted({key[i] for key in times}) for i, n in enumerate(names[:-1])}
        return Kernel(grids, times)

    @functools.cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """How studies spell settings: switches, and places on the grid."""
        return {name: _distribution(len(grid)) for name, grid in self.grids.items()}

    def params(self, setting: Setting) -> dict[str, int]:
        """Return the parameters of a trial."""
        pairs = zip(self.grids.items(), setting, strict=True)
        return {name: grid.index(value) for (name, grid), value in pairs}

    def setting(self, params: dict[str, int]) -> Setting:
        """Return the setting of a trial's parameters."""
        return tuple(grid[params[name]] for name, grid in self.grids.items())

    def slowdowns(self, settings: Iterable[Setting]) -> list[float]:
        """Return log(least time so far / least of the table) after each setting.

        That of the median setting as long as none has run.
        """
        finite = [time for time in self.times.values() if not math.isnan(time)]
        best, so_far = min(finite), float(np.median(finite))
        ran, found = False, list[float]()
        for setting in settings:
            time = self.times[setting]
            if not math.isnan(time):
                so_far, ran = (min(so_far, time) if ran else time), True
            found.append(math.log(so_far / best))
        return found


def _distribution(count: int) -> BaseDistribution:
    return CategoricalDistribution((0, 1)) if count == 2 else IntDistribution(0, count - 1)


@functools.lru_cache(maxsize=len(FILES))
def load(kernel: str, card: str, data: Path) -> Kernel:
    return Kernel.read(data / file_of(kernel, card))


def earlier_study(table: Kernel, seed: str) -> optuna.Study:
    """Return a study of `EARLIER` random settings."""
    settings = random.Random(seed).sample(list(table.times), EARLIER)
    trials = ((table.params(setting), table.times[setting]) for setting in settings)
    study: optuna.Study = study_of(trials, table.distributions)
    return study


def slowdowns(kernel: str, card: str, method: str, seed: int, data: Path) -> list[float]:
    """Return the log slowdown after each of the trials on one card."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    torch.set_num_threads(1)
    table, trials = load(kernel, card, data), max(MOMENTS)
    others = {own: load(kernel, own, data) for own in CARDS if own != card}
    if method == "two whole tables":
        return table.slowdowns(by_mean_rank(list(others.values()))[:trials])
    told = {"two studies": others, "its own study": {card: table}}.get(method, {})
    studies = [earlier_study(own, f"{kernel} {name} {seed}") for name, own in told.items()]
    sampler = DiffusionNAGSampler(
        seed=seed,
        space=table.distributions,
        is_valid=lambda params: table.setting(params) in table.times,
        prior_studies=studies,
    )
    study = optuna.create_study(sampler=sampler)

    def objective(trial: optuna.Trial) -> float:
        params = {name: trial._suggest(name, own) for name, own in table.distributions.items()}
        return table.times[table.setting(params)]

    study.optimize(objective, n_trials=trials)
    return table.slowdowns(table.setting(trial.params) for trial in study.trials)


def by_mean_rank(tables: Sequence[Kernel]) -> list[Setting]:
    """Return the settings of all tables, by their mean rank; failures are the last."""
    settings = [setting for setting in tables[0].times if all(setting in t.times for t in tables)]
    times = np.array([[table.times[setting] for table in tables] for setting in settings])
    ranks = np.nan_to_num(times, nan=np.inf).argsort(0, kind="stable").argsort(0).mean(1)
    return [settings[i] for i in ranks.argsort(kind="stable")]


def rows(data: Path, seeds: int, processes: int) -> list[dict[str, object]]:
    """Return a row for each kernel, card and method, and one for the mean over cards."""
    jobs = [
        (kernel, card, method, seed, data)
        for kernel in KERNELS
        for card in CARDS
        for method in METHODS
        for seed in range(1 if method == METHODS[-1] else seeds)
    ]
    curves = run_all(slowdowns, jobs, processes, "studies")
    found: dict[tuple[str, str, str], list[list[float]]] = {}
    for (kernel, card, method, *_), curve in zip(jobs, curves, strict=True):
        found.setdefault((kernel, card, method), []).append(curve)
    means = {key: np.mean(runs, 0) for key, runs in found.items()}
    table: list[dict[str, object]] = []
    for kernel in KERNELS:
        for method in METHODS:
            own = {card: means[kernel, card, method] for card in CARDS}
            for card, curve in (own | {"mean": np.mean(list(own.values()), 0)}).items():
                moments = {f"after {n}": f"{curve[n - 1]:.3f}" for n in MOMENTS}
                table.append({"kernel": kernel, "card": card, "earlier": method, **moments})
    return table
