"""Polish: with the moves of blocks, and with the neighbours that a space lists."""

from __future__ import annotations

import pytest
import torch

from naslib_diffusion.optimize.block_moves import BlockMoves
from naslib_diffusion.optimize.choice import best
from naslib_diffusion.optimize.moves import NeighborMoves, moves_of
from naslib_diffusion.optimize.polish import Polisher
from naslib_diffusion.optimize.scores import Scores
from naslib_diffusion.spaces import NASBench201, ProductSpace, Real, Subset

CELLS = NASBench201()


class Entangled(NASBench201):
    """A space whose law does not factorise, as far as it says."""

    blocks = None


SPACES = [CELLS, Entangled(), Subset(CELLS, list(CELLS)[::2])]


def rugged(x):
    """A guide with several local optima."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randn(56, 56, generator=generator, dtype=torch.double)
    x = x.flatten(1)
    return ((x @ pairs) * x).sum(1)


def polished(space, starts, guide=rugged, known=()):
    scores = Scores(space, guide)
    polisher = Polisher(space, random=torch.Generator().manual_seed(0))
    polisher(scores.encode(starts), scores)

    def key(arch):
        own = space.canonical(arch)
        return None if own in known else own

    return list(best(scores, key))


def test_moves_are_those_of_the_blocks_if_these_are_decisions():
    assert isinstance(moves_of(CELLS), BlockMoves)
    assert isinstance(moves_of(ProductSpace([Real(0.0, 1.0)])), BlockMoves)
    assert isinstance(moves_of(Entangled()), NeighborMoves)
    assert isinstance(moves_of(SPACES[2]), NeighborMoves)


@pytest.mark.parametrize("blind", [False, True])
@pytest.mark.parametrize("space", SPACES, ids=["blocks", "no blocks", "subset"])
def test_ends_in_local_optima(space, blind):
    def guide(x):
        return rugged(x.detach() if blind else x)

    starts = space.sample(5, torch.Generator().manual_seed(1))
    visited = polished(space, starts, guide)
    top, value = visited[0]
    assert value == pytest.approx(float(rugged(space.encode([top]))[0]))
    assert value >= float(rugged(space.encode(space.neighbors(top))).max())
    assert value >= float(rugged(space.encode(starts)).max())
    assert [v for _, v in visited] == sorted((v for _, v in visited), reverse=True)
    assert len({space.canonical(cell) for cell, _ in visited}) == len(visited)
    assert all(space.is_valid(cell) for cell, _ in visited)


def test_neighbours_are_screened_by_the_gradient():
    moves = NeighborMoves(Entangled(), torch.Generator().manual_seed(0))
    x = CELLS.encode(CELLS.sample(3, torch.Generator().manual_seed(1))).flatten(1)
    weights = torch.randn(56, generator=torch.Generator().manual_seed(2), dtype=torch.double)
    all_rows, all_owners = moves.propose(x, None, 5)
    assert all_owners.tolist() == [0] * 24 + [1] * 24 + [2] * 24
    rows, owners = moves.propose(x, weights.expand(3, -1), 5)
    assert owners.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    for i in range(3):
        best = (all_rows[all_owners == i] @ weights).sort(descending=True).values[:5]
        torch.testing.assert_close(rows[owners == i] @ weights, best)


def test_known_ones_are_crossed_but_not_returned():
    start = CELLS.sample(1, torch.Generator().manual_seed(1))
    free = polished(CELLS, start)
    known = {CELLS.canonical(cell) for cell, _ in free[:10]}
    assert polished(CELLS, start, known=known) == free[10:]


def test_ascends_along_a_continuum():
    space = ProductSpace([Real(0.0, 1.0), Real(0.0, 1.0)])
    start = space.sample(1, torch.Generator().manual_seed(0))
    ((top, value), *_) = polished(space, start, lambda x: -(x - 0.5).square().sum(1))
    assert top.values == pytest.approx((0.5, 0.5), abs=1e-4)
    assert value == pytest.approx(0.0, abs=1e-8)


def test_nothing_to_polish():
    assert polished(CELLS, []) == []
