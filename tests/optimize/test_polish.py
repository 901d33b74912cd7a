"""Discrete polish."""

from __future__ import annotations

import pytest
import torch

from naslib_diffusion.optimize.polish import evaluate, polish
from naslib_diffusion.spaces import NASBench201, ProductSpace, Real

SPACE = NASBench201()


def rugged(x):
    """A guide with several local optima."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randn(56, 56, generator=generator, dtype=torch.double)
    x = x.flatten(1)
    return ((x @ pairs) * x).sum(1)


def test_ends_in_local_optima():
    starts = SPACE.sample(5, torch.Generator().manual_seed(1))
    visited = polish(SPACE, starts, rugged)
    values = dict(visited)
    best, value = visited[0]
    assert value == pytest.approx(float(rugged(SPACE.encode([best]))[0]))
    assert value >= float(rugged(SPACE.encode(SPACE.neighbors(best))).max())
    assert value >= float(rugged(SPACE.encode(starts)).max())
    assert [v for _, v in visited] == sorted(values.values(), reverse=True)
    assert len({SPACE.canonical(cell) for cell in values}) == len(values)


def test_one_call_of_the_guide_per_sweep():
    calls = []

    def counted(x):
        calls.append(len(x))
        return rugged(x)

    polish(SPACE, SPACE.sample(5, torch.Generator().manual_seed(1)), counted, max_sweeps=3)
    assert calls[0] == 5
    assert len(calls) <= 4


def test_known_ones_are_crossed_but_not_returned():
    start = SPACE.sample(1, torch.Generator().manual_seed(1))
    free = polish(SPACE, start, rugged)
    known = {SPACE.canonical(cell) for cell, _ in free[:10]}
    visited = polish(SPACE, start, rugged, known=known)
    assert visited == free[10:]


def test_random_steps_on_a_continuum():
    space = ProductSpace([Real(0.0, 1.0), Real(0.0, 1.0)])
    generator = torch.Generator().manual_seed(0)
    start = space.sample(1, generator)
    visited = polish(
        space, start, lambda x: -(x - 0.5).square().sum(1), generator=generator, max_sweeps=50
    )
    value = float(evaluate(space, start, lambda x: -(x - 0.5).square().sum(1)))
    assert visited[0][1] > value / 4


def test_nothing_to_polish():
    assert polish(SPACE, [], rugged) == []


def test_evaluate_in_chunks(monkeypatch):
    monkeypatch.setattr("naslib_diffusion.optimize.polish.CHUNK", 7)
    cells = SPACE.sample(20, torch.Generator().manual_seed(1))
    torch.testing.assert_close(evaluate(SPACE, cells, rugged), rugged(SPACE.encode(cells)))
    assert len(evaluate(SPACE, [], rugged)) == 0


def test_bad_guides():
    cells = SPACE.sample(3)
    with pytest.raises(ValueError, match=r"must map \(3, 8, 7\) to \(3,\)"):
        evaluate(SPACE, cells, lambda x: x.sum())
    with pytest.raises(ValueError, match=r"the guide is NaN at architecture \|"):
        evaluate(SPACE, cells, lambda x: rugged(x) * float("nan"))
