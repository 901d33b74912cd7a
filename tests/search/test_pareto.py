"""Search with several objectives."""

from __future__ import annotations

import math

import pytest
import torch

from naslib_diffusion.search.pareto import ParetoSearch
from naslib_diffusion.spaces import ProductSpace
from naslib_diffusion.spaces.point import Point

SPACE = ProductSpace.categorical([4] * 4)


def objectives(point: Point) -> tuple[float, float]:
    """Cost is the sum; quality wants much of the first two only."""
    a, b, c, d = point.values
    return float(a + b) - 0.1 * float(c + d), float(a + b + c + d)


def search(n: int, seed: int = 0) -> ParetoSearch[Point]:
    found = ParetoSearch(SPACE, ["maximize", "minimize"], seed=seed, initial=6, candidates=16)
    for _ in range(n):
        (arch,) = found.ask()
        found.tell([arch], [objectives(arch)])
    return found


def test_finds_the_front() -> None:
    found = search(24)
    exact = {(float(k), float(k)) for k in range(7)}
    assert len(exact & {trial.objectives for trial in found.front}) >= 5


def test_is_reproducible() -> None:
    assert search(9).trials == search(9).trials


def test_predicts_in_the_units_of_the_objectives() -> None:
    found = search(20)
    (arch,) = found.ask()
    quality, cost = found.predict_each(arch)
    assert abs(quality.mean - objectives(arch)[0]) < 3
    assert abs(cost.mean - objectives(arch)[1]) < 3
    assert quality.deviation > 0
    assert math.isfinite(quality.acquisition)


def test_failures_and_constraints_are_not_on_the_front() -> None:
    found = ParetoSearch(SPACE, ["maximize", "maximize"], seed=0, initial=1)
    points = SPACE.sample(5, torch.Generator().manual_seed(0))
    values = [(math.nan, 9.0), (5.0, 5.0), (6.0, 1.0), (1.0, 6.0), (0.0, 0.0)]
    found.tell(points, values, [(), (1.0,), (-1.0,), (0.0,), ()])
    assert [trial.objectives for trial in found.front] == [(6.0, 1.0), (1.0, 6.0)]
    assert len({*found.ask(3), *points}) == 8


def test_a_search_without_a_feasible_point_looks_for_one() -> None:
    found = ParetoSearch(SPACE, ["maximize", "maximize"], seed=0, initial=1)
    points = [p for p in SPACE.sample(40, torch.Generator().manual_seed(0)) if p.values[0] > 1]
    found.tell(points, [objectives(p) for p in points], [(p.values[0] - 0.5,) for p in points])
    (arch,) = found.ask()
    assert arch.values[0] < 2  # what was seen was not feasible


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="2 to 3"):
        ParetoSearch(SPACE, ["maximize"])
    with pytest.raises(ValueError, match="'up'"):
        ParetoSearch(SPACE, ["maximize", "up"])
    with pytest.raises(ValueError, match="must have 2 values"):
        search(1).tell([Point((0, 0, 0, 0))], [(1.0,)])
    with pytest.raises(ValueError, match="2 objectives need priors each"):
        ParetoSearch(SPACE, ["maximize", "minimize"], priors=[[torch.sum], []])
