"""The guided strategy where coordinates are continuous."""

from __future__ import annotations

import torch
from torch import Tensor

from naslib_diffusion.optimize.generator import GuidedGenerator
from naslib_diffusion.search.strategies import GuidedStrategy, Request
from naslib_diffusion.spaces import ProductSpace
from naslib_diffusion.spaces.numbers import Real
from naslib_diffusion.spaces.parameters import Categorical
from naslib_diffusion.spaces.point import Point

SPACE = ProductSpace([Real(0, 1, name="x"), Real(0, 1, name="y"), Categorical(["a", "b"])])


def ridge(x: Tensor) -> Tensor:
    """A narrow ridge, whose top is at (0.3, 0.7) with the second choice."""
    along, across = x[:, 0] + x[:, 1] - 1, x[:, 0] - x[:, 1] + 0.4
    return x[:, 3] - 50 * along.square() - across.square()


def propose(known: set[object]) -> list[Point]:
    start = Point((0.9, 0.9, "a"))
    request = Request(4, known, [start], ridge, torch.Generator().manual_seed(0))
    return GuidedStrategy().propose(GuidedGenerator(SPACE, seed=0), request)


def test_finds_the_top_to_many_digits() -> None:
    best, *others = propose(set())
    assert abs(best.values[0] - 0.3) < 1e-3
    assert abs(best.values[1] - 0.7) < 1e-3
    assert best.values[2] == "b"
    assert len(others) == 3


def test_is_reproducible_and_returns_nothing_known() -> None:
    first = propose(set())
    assert first == propose(set())
    again = propose({SPACE.canonical(point) for point in first})
    assert not set(first) & set(again)


def test_a_rule_over_reals_is_followed_to_its_edge() -> None:
    inside = ProductSpace(
        [Real(0.0, 1.0, name=f"x{i}") for i in range(4)], is_valid=lambda p: sum(p.values) <= 1
    )
    target = torch.tensor([0.9, 0.6, 0.2, 0.05]).double()
    request = Request(
        4, set(), [], lambda x: -(x - target).square().sum(1), torch.Generator().manual_seed(0)
    )
    best = GuidedStrategy().propose(GuidedGenerator(inside, seed=0), request)[0]
    nearest = torch.tensor([0.65, 0.35, 0.0, 0.0]).double()
    torch.testing.assert_close(torch.tensor(best.values).double(), nearest, atol=1e-3, rtol=0)
