"""Guides that are functions of decoded architectures."""

from collections import Counter

import pytest
import torch

from naslib_diffusion import GuidedGenerator, Search, guide_on
from naslib_diffusion.spaces import Categorical, NASBench201, ProductSpace

CELLS = NASBench201()


def convolutions(cell):
    return str(cell).count("nor_conv_3x3")


def test_it_scores_what_encodings_decode_to():
    cells = CELLS.sample(30, torch.Generator().manual_seed(0))
    x = CELLS.encode(cells)
    blurred = 0.8 * x + 0.2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(1))
    for own in (x, blurred, x.float(), blurred.requires_grad_()):
        values = guide_on(CELLS, convolutions)(own)
        assert values.dtype == own.dtype
        assert values.tolist() == [convolutions(cell) for cell in cells]


@pytest.mark.parametrize("polish", [0, 4])
def test_generation_follows_it(polish):
    guided = GuidedGenerator(CELLS, seed=0, device="cpu").generate(
        50, guide_on(CELLS, convolutions), polish=polish
    )
    counts = list(map(convolutions, guided))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 6
    # of uniform cells, the best fiftieth of 6,466 has four or more
    assert sum(counts) / len(counts) >= 3.5


def test_each_architecture_is_scored_once():
    calls = Counter()

    def function(point):
        calls[point] += 1
        return point.values[0]

    space = ProductSpace.categorical([5] * 4)
    GuidedGenerator(space, seed=0, device="cpu").generate(10, guide_on(space, function))
    assert set(calls.values()) == {1}


def test_what_is_banned_is_never_scored():
    choices = [Categorical(range(4)), Categorical(range(4))]
    space = ProductSpace(choices, is_valid=lambda point: sum(point.values) % 2 == 0)

    def function(point):
        assert space.is_valid(point)
        return sum(point.values)

    guide = guide_on(space, function)
    x = torch.eye(4).double()[torch.tensor([[0, 0], [0, 1], [3, 3], [1, 1]])].flatten(1)
    assert guide(x).tolist() == [0, 0, 6, 2]
    assert guide(x[1:2]).tolist() == [0]
    assert max(sum(p.values) for p in GuidedGenerator(space, seed=0).generate(4, guide)) == 6


def test_as_a_prior_of_a_search():
    search = Search(CELLS, prior=guide_on(CELLS, convolutions), seed=0, candidates=16)
    assert convolutions(search.ask()[0]) >= 5
