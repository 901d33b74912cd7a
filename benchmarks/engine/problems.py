"""Spaces at hand with something to find in them, from four thousand architectures to 1e24."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from naslib_diffusion.benchmarks.engine.landscapes import Quadratic
from naslib_diffusion.benchmarks.harness.common import VALIDATION_TASKS, load_task, need_files
from naslib_diffusion.benchmarks.harness.statistics import Floats
from naslib_diffusion.benchmarks.hosts.referee_families import kernel_grids, kernel_times
from naslib_diffusion.benchmarks.paper.ofa import FILE, AccuracyPredictor
from naslib_diffusion.plugins.naslib.spaces import TransNASBench101Cells

from naslib_diffusion.spaces import (
    GPT,
    Budgeted,
    DeclaredSpace,
    MobileNetV3,
    ProductSpace,
    Repeat,
    Space,
)
from naslib_diffusion.spaces.declaration import Part
from naslib_diffusion.spaces.numbers import Integer
from naslib_diffusion.tables import load_table
from naslib_diffusion.tables.hwgpt import perplexity

DRAWN = 2000
"""Random architectures that tell the median value, and where a budget is."""
SHARE = 0.2
"""Share of random architectures that are within a budget."""
TRANSNAS = "transnasbench101_micro.csv.gz"


@dataclass(frozen=True)
class Problem:
    """Where to search for what.

    Attributes:
        space: of the architectures.
        evaluate: returns what is to be maximised; NaN is a failure.
        best: the largest value; None if it is unknown.
        cost: what a budget would limit; None if the space knows no cost.
    """

    space: Any
    evaluate: Callable[[Any], float]
    best: float | None = None
    cost: str | None = None

    @functools.cached_property
    def median(self) -> float:
        """Median over random architectures that do not fail."""
        return float(np.nanmedian([self.evaluate(arch) for arch in self._drawn]))

    @property
    def _drawn(self) -> list[Any]:
        drawn: list[Any] = self.space.sample(DRAWN, torch.Generator().manual_seed(0))
        return drawn

    def search(
        self, ask: Callable[[], Any], tell: Callable[[Any, float], None], budget: int
    ) -> list[float]:
        """Evaluate what is asked until the best is found; return the best value after each.

        It is -inf while all fail, and stays the same from the best to the end of the budget.
        """
        best: list[float] = [-math.inf]
        while len(best) <= budget and best[-1] != self.best:
            arch = ask()
            value = self.evaluate(arch)
            tell(arch, value)
            best.append(best[-1] if math.isnan(value) else max(value, best[-1]))
        return best[1:] + best[-1:] * (budget + 1 - len(best))

    def within(self) -> Problem:
        """Return the same problem on the cheapest `SHARE` of the architectures."""
        assert self.cost is not None
        costs = [self.space.cost(arch, self.cost) for arch in self._drawn]
        space: Space[Any] = Budgeted(
            self.space, self.cost, at_most=float(np.quantile(costs, SHARE))
        )
        return replace(self, space=space, best=None)


def regrets(problem: Problem, curves: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the gap to the best, in units of that of the median architecture, at most 1.

    Where the best is unknown, it is the best that was found by any.

    Args:
        problem: what was searched.
        curves: best values so far by method, `seeds x budget` each.
    """
    found = max(float(own.max()) for own in curves.values())
    best = found if problem.best is None else problem.best
    unit = best - problem.median
    return {name: ((best - own) / unit).clip(0, 1) for name, own in curves.items()}


def table(name: str, data: Path | None) -> Problem:
    """Return a benchmark that is a table."""
    own = load_task(name, data)
    return Problem(own.space, own.__getitem__, own.optimum)


def transnas(column: str, data: Path | None) -> Problem:
    """Return a task of TransNAS-Bench-101: the 4,096 cells without pooling."""
    path = need_files(data, TRANSNAS) / TRANSNAS
    own = load_table(path, TransNASBench101Cells(), column, "maximize")
    return Problem(own.space, own.__getitem__, own.optimum)


def kernel(name: str, data: Path | None) -> Problem:
    """Return minus the logarithm of the time of a GPU kernel; more than half of it fails."""
    folder = need_files(data, f"kernel_{name}.csv.gz")
    times, grids = kernel_times(name, folder), kernel_grids(name, folder)
    space = ProductSpace([Integer(0, len(grid) - 1, name=n) for n, grid in grids.items()])

    def evaluate(point: Any) -> float:
        setting = tuple(grid[i] for grid, i in zip(grids.values(), point.values, strict=True))
        return -math.log(times.get(setting, math.nan))

    return Problem(space, evaluate, -math.log(min(times.values())))


def transformers(scale: str, data: Path | None) -> Problem:
    """Perplexity of HW-GPT-Bench's transformers, to be minimised."""
    name = f"hwgpt_perplexity_{scale}.safetensors"
    space, predict = GPT(scale), perplexity(need_files(data, name), scale)

    def evaluate(arch: Any) -> float:
        with torch.no_grad():
            return -float(predict(space.encode([arch])))

    return Problem(space, evaluate, cost="params")


def subnets(data: Path | None) -> Problem:
    """ImageNet accuracy of Once-for-all's sub-networks by its own predictor."""
    predict = AccuracyPredictor(need_files(data, FILE))
    return Problem(MobileNetV3(), lambda arch: float(predict([arch])[0]), cost="flops")


def stages(data: Path | None) -> Problem:
    """Three stages of two to five layers of three settings: 3e21, and a made-up objective."""
    layer: dict[str, Part] = {
        "kernel": [3, 5, 7],
        "width": [16, 32, 64],
        "activation": ["relu", "gelu", "swish"],
    }
    parts = {f"stage{i}": Repeat(layer, depth=range(2, 6)) for i in range(3)}
    work = {f"stage{i}.width": lambda width: width**2 for i in range(3)}
    space = DeclaredSpace(parts, name="stages", costs={"work": work})
    value = Quadratic(space)
    return Problem(space, lambda arch: value([arch])[0], cost="work")


LARGE: dict[str, Callable[[Path | None], Problem]] = {
    "stages": stages,
    "gpt-s": functools.partial(transformers, "s"),
    "gpt-m": functools.partial(transformers, "m"),
    "mobilenetv3": subnets,
}
"""Spaces that cannot be listed, all of which know a cost."""


def within(name: str, data: Path | None) -> Problem:
    """Return one of the large problems within a budget."""
    return LARGE[name](data).within()


PROBLEMS: dict[str, Callable[[Path | None], Problem]] = {
    **{
        f"transnas/{column}": functools.partial(transnas, column)
        for column in ("class_scene", "room_layout")
    },
    **{
        name: functools.partial(table, name)
        for name in (*VALIDATION_TASKS, "nasbenchgraph/cs", "nasbenchgraph/photo")
    },
    **{
        f"kernel/{name}": functools.partial(kernel, name)
        for name in ("convolution_A100", "dedispersion_MI250X")
    },
    **LARGE,
    **{f"{name}-within": functools.partial(within, name) for name in LARGE},
}
"""By name; "-within" is within a budget, which the cheapest fifth keeps to."""

FREE = (*VALIDATION_TASKS, "nasbenchgraph/cs", "nasbenchgraph/photo", "stages", "stages-within")
"""Those that need no files."""

load = functools.cache(lambda name, data: PROBLEMS[name](data))
