"""When two architectures count as one."""

import pytest
import torch

from naslib_diffusion.spaces import (
    Categorical,
    Exact,
    Integer,
    MobileNetV3,
    NASBench201,
    NASBenchGraph,
    ProductSpace,
    Real,
    Subset,
)
from naslib_diffusion.spaces.equality import structure, under, whole
from naslib_diffusion.spaces.fixed import Fixed
from naslib_diffusion.spaces.point import Point
from naslib_diffusion.spaces.restricted import Restricted
from naslib_diffusion.testing import SpaceTestCase

SPACE = NASBench201()
TWINS = (
    SPACE.parse("|none~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"),
    SPACE.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"),
)


class TestExact(SpaceTestCase):
    draws = 1000

    @pytest.fixture
    def space(self):
        return Exact(SPACE)

    def enumerate(self, space):
        return list(SPACE)


def test_twins_are_two_only_where_they_are_told_apart():
    assert SPACE.canonical(TWINS[0]) == SPACE.canonical(TWINS[1])
    exact = under(SPACE, "exact")
    assert exact.canonical(TWINS[0]) != exact.canonical(TWINS[1])
    assert exact.size == 15625
    a, b = (torch.cat(exact.features(exact.encode([cell])), -1) for cell in TWINS)
    assert not torch.equal(a, b)
    assert under(SPACE, "isomorphic") is SPACE
    assert under(exact, "exact") is exact
    with pytest.raises(ValueError, match="'isomorphic' or 'exact', not 'equal'"):
        under(SPACE, "equal")


@pytest.mark.parametrize(
    "space",
    [
        MobileNetV3(),
        ProductSpace([Categorical(["a", "b"]), Integer(1, 10**6), Real(0, 1)]),
        ProductSpace.categorical([3, 4]),
        Subset(SPACE, [TWINS[0], SPACE.sample(1)[0]]),
    ],
    ids=lambda space: space.name,
)
def test_spaces_without_twins_stay_as_they_are(space):
    assert under(space, "exact") is space


def test_counts_of_encodings():
    assert under(Subset(SPACE, TWINS), "exact").size == 2
    graphs = NASBenchGraph()
    exact = under(graphs, "exact")
    assert exact.size == len(set(graphs)) > graphs.size


def test_the_whole_and_its_structure():
    subset = Subset(SPACE, TWINS)
    assert whole(subset) is SPACE
    assert isinstance(whole(under(subset, "exact")), Exact)
    assert structure(under(subset, "exact")) is SPACE
    assert structure(Subset(Exact(SPACE), TWINS)) is SPACE
    assert structure(Restricted(SPACE, lambda arch: arch in TWINS)) is SPACE
    assert structure(Fixed(SPACE, {})) is SPACE
    pair = ProductSpace([Real(0, 1), Real(0, 1)], lambda point: point.values[0] < point.values[1])
    assert not pair.is_valid(Point((0.5, 0.25)))
    assert structure(pair).is_valid(Point((0.5, 0.25)))
