"""A part of a product space keeps the encodings of the whole."""

from __future__ import annotations

import pytest
import torch

from naslib_diffusion.optimize.generator import GuidedGenerator
from naslib_diffusion.search import Search
from naslib_diffusion.spaces.numbers import Integer, Real
from naslib_diffusion.spaces.parameters import Categorical
from naslib_diffusion.spaces.pinned import Pinned, unpinned
from naslib_diffusion.spaces.point import Point
from naslib_diffusion.spaces.product import ProductSpace
from naslib_diffusion.surrogates import ProductGaussianProcess, make_surrogate

WHOLE = ProductSpace([Categorical(["a", "b", "c"]), Integer(0, 5), Real(0, 1)])
PART = Pinned(WHOLE, {0: "b", 2: 0.25})


def test_all_that_is_drawn_has_the_given_values() -> None:
    points = PART.sample(20, torch.Generator().manual_seed(0))
    points += GuidedGenerator(PART, device="cpu", seed=0).generate(4, lambda x: x.sum(-1))
    assert {(p.values[0], p.values[2]) for p in points} == {("b", 0.25)}
    assert len({p.values[1] for p in points}) == 6
    assert torch.equal(PART.encode(points), WHOLE.encode(points))
    assert PART.decode(PART.encode(points)) == points
    assert all(map(PART.is_valid, PART.neighbors(points[0])))


def test_other_points_are_not_valid_but_may_be_told() -> None:
    other = Point(("c", 1, 0.5))
    assert not PART.is_valid(other)
    assert unpinned(PART) is WHOLE
    search = Search(PART, initial=1, device="cpu")
    search.tell([other, Point(("b", 1, 0.5))], [1.0, 2.0])
    (arch,) = search.ask()
    assert PART.is_valid(arch)


def test_the_surrogate_is_that_of_the_whole() -> None:
    assert isinstance(make_surrogate("gp", PART), ProductGaussianProcess)


def test_foreign_values_are_refused() -> None:
    with pytest.raises(ValueError, match="not one of the choices"):
        Pinned(WHOLE, {0: "z"})
