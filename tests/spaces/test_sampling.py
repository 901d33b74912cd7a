"""Random architectures where hardly any is valid."""

from __future__ import annotations

import pytest
import torch

from naslib_diffusion import Search
from naslib_diffusion.optimize import Maximizer
from naslib_diffusion.spaces import ProductSpace
from naslib_diffusion.spaces.base import HardlyAnyValid
from naslib_diffusion.spaces.sampling import sample_some

LEAST = 64


def scarce():
    """One point in about 8,000 is valid."""
    parameters = ProductSpace.categorical([10] * 8).parameters
    return ProductSpace(parameters, is_valid=lambda p: sum(p.values) >= LEAST)


def drawn(space, n, seed=0):
    return sample_some(space, n, torch.Generator().manual_seed(seed))


def test_walks_reach_as_many_as_are_wanted():
    space = scarce()
    with pytest.raises(HardlyAnyValid):
        space.sample(50)
    points = drawn(space, 50)
    assert len(set(points)) == 50
    assert all(map(space.is_valid, points))
    assert drawn(space, 50) == points == drawn(scarce(), 50)
    assert drawn(space, 50, seed=1) != points


def test_ordinary_spaces_are_drawn_from_as_they_say():
    space = ProductSpace.categorical([10] * 3)
    assert drawn(space, 20) == space.sample(20, torch.Generator().manual_seed(0))


def test_nothing_valid_is_an_error():
    space = ProductSpace(scarce().parameters[:2], is_valid=lambda p: False)
    with pytest.raises(HardlyAnyValid, match="must ban less"):
        drawn(space, 1)


def test_the_maximum_within_a_scarce_space_is_found():
    space = scarce()
    values = torch.arange(10.0, dtype=torch.double).repeat(8)
    weights = torch.tensor([-1.0] + 7 * [0.1]).double().repeat_interleave(10) * values
    found = Maximizer(space, seed=0)(lambda x: x @ weights)
    assert found.archs[0].values == (1, *[9] * 7)


def test_a_search_keeps_to_a_scarce_space():
    space = scarce()
    search = Search(space, seed=0, initial=4)
    for _ in range(6):
        (point,) = search.ask()
        assert space.is_valid(point)
        search.tell([point], [-float(point.values[0])])
