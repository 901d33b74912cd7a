"""Priors: what earlier searches tell."""

from __future__ import annotations

import pytest
import torch

from naslib_diffusion.search import Search
from naslib_diffusion.spaces import ProductSpace
from naslib_diffusion.spaces.point import Point
from naslib_diffusion.surrogates import GaussianProcess
from naslib_diffusion.surrogates.prior import EarlierSearch, InformedSurrogate, weigh

SPACE = ProductSpace.categorical([5] * 5)


def quality(point: Point) -> float:
    return float(sum(value * (i + 1) for i, value in enumerate(point.values)))


def sample(n: int, seed: int) -> list[Point]:
    return SPACE.sample(n, torch.Generator().manual_seed(seed))


def earlier(sign: float = 1.0, n: int = 60) -> EarlierSearch:
    points = sample(n, 7)
    values = [sign * 100 * quality(p) + 3 for p in points]  # another unit
    return EarlierSearch(GaussianProcess(SPACE), SPACE, points, values)


def first(priors: list[EarlierSearch], n: int = 4) -> list[float]:
    search = Search(SPACE, seed=0, initial=0 if priors else 1, prior=priors)
    values = []
    for _ in range(n):
        (arch,) = search.ask()
        values.append(quality(arch))
        search.tell([arch], values[-1:])
    return values


def test_a_prior_finds_good_points_at_once() -> None:
    assert max(first([earlier()], 3)) >= 54  # of at most 60; random ones have 30 +- 10
    assert max(first([earlier()], 3)) > max(first([], 3))


def test_a_misleading_prior_is_dropped() -> None:
    points = sample(12, 1)
    x, y = SPACE.encode(points), torch.tensor([quality(p) for p in points], dtype=torch.double)
    y = (y - y.mean()) / y.std()
    informed = InformedSurrogate(GaussianProcess(SPACE), [earlier(), earlier(-1.0)]).fit(x, y)
    good, bad = informed.weights
    assert good > 0.6
    assert bad < 0.1


def test_a_prior_makes_predictions_better() -> None:
    points, others = sample(8, 1), sample(50, 2)
    y = torch.tensor([quality(p) for p in points], dtype=torch.double)
    center, spread = y.mean(), y.std()
    truth = (torch.tensor([quality(p) for p in others], dtype=torch.double) - center) / spread
    x, new = SPACE.encode(points), SPACE.encode(others)

    def error(model: GaussianProcess | InformedSurrogate) -> float:
        mean, _ = model.fit(x, (y - center) / spread).posterior(new)
        return float((mean - truth).square().mean())

    plain = GaussianProcess(SPACE)
    assert error(InformedSurrogate(plain, [earlier()])) < 0.5 * error(GaussianProcess(SPACE))


def test_pending_points_are_not_asked_again_before_the_first_value() -> None:
    search = Search(SPACE, seed=0, initial=0, prior=[earlier()])
    archs = [search.ask()[0] for _ in range(3)]
    assert len(set(archs)) == 3
    assert search.predict(archs[-1]) is None  # the unit of the objective is not known yet


def test_weights_are_not_negative_and_one_without_evidence() -> None:
    random = torch.Generator().manual_seed(0)
    means = torch.randn(30, 2, generator=random, dtype=torch.double)
    weights, shift = weigh(means, 2 * means[:, 0] - means[:, 1] + 1)
    assert weights[0] > 1
    assert weights[1] == 0
    assert 0.5 < shift < 1.5
    weights, _ = weigh(means[:1], torch.zeros(1, dtype=torch.double))
    assert 0.9 < float(weights.sum()) < 1.1


def test_large_histories_are_thinned_and_keep_the_best() -> None:
    points = list(SPACE)[::3]
    assert len(points) > 1000
    prior = EarlierSearch(GaussianProcess(SPACE), SPACE, points, [quality(p) for p in points])
    best = max(points, key=quality)
    scores = prior(SPACE.encode([best, *sample(20, 0)]))
    assert scores.argmax() == 0


def test_failures_count_as_the_worst() -> None:
    points = sample(20, 0)
    values = [float("nan") if p.values[0] == 4 else quality(p) for p in points]
    prior = EarlierSearch(GaussianProcess(SPACE), SPACE, points, values)
    failed = [p for p in points if p.values[0] == 4]
    assert (prior(SPACE.encode(failed)) < 0.5).all()
    with pytest.raises(ValueError, match="finite"):
        EarlierSearch(GaussianProcess(SPACE), SPACE, points, [float("nan")] * 20)
