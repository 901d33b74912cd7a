"""Moves, coordinate ascent on encodings, and what is built on them."""

from __future__ import annotations

import math

import pytest
import torch

from naslib_diffusion.optimize.ascend import ascend
from naslib_diffusion.optimize.block_moves import BlockMoves
from naslib_diffusion.optimize.climb import climb
from naslib_diffusion.optimize.effort import Effort
from naslib_diffusion.optimize.enumeration import enumerate_blocks
from naslib_diffusion.optimize.maximize import Maximizer
from naslib_diffusion.optimize.moves import moves_of
from naslib_diffusion.optimize.scores import Scores
from naslib_diffusion.spaces import (
    Categorical,
    DeclaredSpace,
    Integer,
    MobileNetV3,
    NASBench201,
    ProductSpace,
    Real,
    Wiring,
)

MIXED = ProductSpace([Categorical(("a", "b", "c")), Real(0.0, 1.0), Integer(1, 4)])
SPACES = [NASBench201(), MobileNetV3(), ProductSpace.categorical([3, 2, 4]), MIXED]


def rugged(x):
    """Pair interactions: several local optima."""
    generator = torch.Generator().manual_seed(0)
    width = x[0].numel()
    pairs = torch.randn(width, width, generator=generator, dtype=torch.double)
    x = x.flatten(1)
    return ((x @ pairs) * x).sum(1)


def encoded(space, n=20):
    return space.encode(space.sample(n, torch.Generator().manual_seed(1))).flatten(1)


@pytest.mark.parametrize("space", SPACES, ids=lambda s: s.name)
def test_moves_lead_to_other_architectures(space):
    moves = BlockMoves(space.blocks)
    x = encoded(space, 3)
    owners, numbers = (moves.gains(x, None) > -math.inf).nonzero(as_tuple=True)
    reached = moves.apply(x[owners], numbers)
    archs = space.decode(reached.view(-1, *space.shape))
    assert all(map(space.is_valid, archs))
    torch.testing.assert_close(space.encode(archs).flatten(1), reached)
    assert not (reached == x[owners]).all(1).any()
    assert len({tuple(row) for row in reached[owners == 0].tolist()}) == int((owners == 0).sum())


@pytest.mark.parametrize("space", SPACES[:3], ids=lambda s: s.name)
def test_moves_cover_the_neighbours_of_categorical_spaces(space):
    moves = BlockMoves(space.blocks)
    (arch,) = space.sample(1, torch.Generator().manual_seed(2))
    x = space.encode([arch]).flatten(1)
    owners, numbers = (moves.gains(x, None) > -math.inf).nonzero(as_tuple=True)
    reached = set(space.decode(moves.apply(x[owners], numbers).view(-1, *space.shape)))
    assert set(space.neighbors(arch)) <= reached | {arch}


def test_gains_are_exact_for_linear_functions():
    space = SPACES[2]
    moves = BlockMoves(space.blocks)
    weights = torch.arange(9).double() ** 1.5
    x = encoded(space, 4)
    gains = moves.gains(x, weights.expand(4, -1))
    owners, numbers = gains.isfinite().nonzero(as_tuple=True)
    gained = moves.apply(x[owners], numbers) @ weights - x[owners] @ weights
    torch.testing.assert_close(gains[owners, numbers], gained)


def test_where_the_gradient_is_silent_moves_are_unknown():
    moves = BlockMoves(ProductSpace.categorical([3, 3]).blocks)
    x = torch.tensor([[1.0, 0, 0, 0, 1, 0]]).double()
    gradient = torch.tensor([[0.0, 0, 0, 1, 2, 3]]).double()
    gains = moves.gains(x, gradient)[0]
    assert gains.tolist() == [-math.inf, math.inf, math.inf, -1, -math.inf, 1]


def test_jumps_combine_the_best_moves_of_blocks():
    space = ProductSpace.categorical([3] * 8)
    moves = BlockMoves(space.blocks)
    weights = torch.randn(24, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    x = encoded(space, 2)
    rows, owners = moves.jumps(x, moves.gains(x, weights.expand(2, -1)))
    best = weights.view(8, 3).amax(1).sum()
    for i in range(2):
        values = rows[owners == i] @ weights
        assert float(values.max()) == pytest.approx(float(best))  # all useful moves at once
        assert (values > x[i] @ weights).all()


@pytest.mark.parametrize("space", SPACES, ids=lambda s: s.name)
def test_rounding_is_decoding(space):
    x = torch.randn(50, *space.shape, generator=torch.Generator().manual_seed(0)).double()
    expected = space.encode(space.decode(x)).flatten(1)
    rounded = BlockMoves(space.blocks).round(x.flatten(1))
    torch.testing.assert_close(rounded, expected, atol=1e-9, rtol=0)


def test_enumeration():
    x = enumerate_blocks(ProductSpace.categorical([3, 2]).blocks, 6)
    assert x is not None
    assert len({tuple(row) for row in x.tolist()}) == 6
    assert enumerate_blocks(ProductSpace.categorical([3, 2]).blocks, 5) is None
    assert enumerate_blocks(MIXED.blocks, 10**6) is None
    assert enumerate_blocks(MobileNetV3().blocks, 1000) is None


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("screen", [2, 100])
def test_climb_ends_in_a_local_optimum(gradient, screen):
    space = NASBench201()
    guide = rugged if gradient else lambda x: rugged(x.detach())
    scores = Scores(space, guide, chunk=7)
    x = encoded(space, 4)
    before = rugged(x.view(-1, 8, 7)).max()
    found, values = climb(x, scores, BlockMoves(space.blocks), screen=screen)
    (best,) = space.decode(found[:1].view(1, 8, 7))
    assert values[0] >= before
    assert float(values[0]) == pytest.approx(float(rugged(space.encode([best]))))
    assert values[0] >= rugged(space.encode(space.neighbors(best))).max()
    visited, all_values = scores.visited()
    assert len(visited) <= scores.count
    assert float(all_values[0]) == pytest.approx(float(values[0]))


def test_climb_keeps_to_what_is_allowed_and_valid():
    space = ProductSpace.categorical([3] * 6)
    weights = torch.rand(18, generator=torch.Generator().manual_seed(0), dtype=torch.double)

    def few(x):
        return x[:, ::3].sum(1) == 2  # a single move always breaks it

    def even(x):
        return x[:, 1] == 0

    start = torch.tensor([[1.0, 0, 0] * 2 + [0.0, 0, 1] * 4]).double()
    scores = Scores(space, lambda x: x @ weights)
    found, values = climb(
        start, scores, BlockMoves(space.blocks), screen=6, allowed=few, valid=even
    )
    assert bool(few(found).all())
    assert bool(even(found).all())
    assert values[0] > start[0] @ weights


def test_ascend_moves_continuous_coordinates_only():
    space = ProductSpace([Categorical((1, 2)), Real(0.0, 1.0), Real(0.0, 1.0)])
    target = torch.tensor([0.0, 0.0, 0.4, 1.5]).double()
    scores = Scores(space, lambda x: -(x - target).square().sum(1))
    x = encoded(space, 3)
    found, values = ascend(x, scores, torch.tensor([2, 3]))
    torch.testing.assert_close(found[:, :2], x[:, :2])
    torch.testing.assert_close(found[:, 2:], torch.tensor([[0.4, 1.0]] * 3).double())
    torch.testing.assert_close(values, torch.full((3,), -1.25).double())


def test_maximizer_finds_the_best_of_an_enumerable_space():
    space = NASBench201()
    cells = list(space)
    best = rugged(space.encode(cells)).sort(descending=True)
    effort = Effort(starts=20)
    found = Maximizer(space, effort, seed=0)(rugged, 3)
    assert float(found.values[0]) == pytest.approx(float(best.values[0]))
    assert (found.values.diff() <= 0).all()
    known = {space.canonical(cells[i]) for i in best.indices[:50].tolist()}
    other = Maximizer(space, effort, seed=0)(rugged, known=known)
    assert space.canonical(other.archs[0]) not in known
    assert len({space.canonical(arch) for arch in found.archs}) == 3
    assert found.evaluations < 3000


def test_maximizer_depends_on_its_seed_only():
    space = ProductSpace.categorical([5] * 15)
    runs = []
    for _ in range(2):
        torch.rand(5)
        runs.append(Maximizer(space, Effort(starts=0), seed=4)(rugged))
    assert runs[0].archs == runs[1].archs
    assert runs[0].evaluations == runs[1].evaluations


def test_moves_of_a_wiring_keep_to_its_rules():
    space = DeclaredSpace({"cell": Wiring(nodes=[4, 5], edges=6, operations=["a", "b"])})
    moves = moves_of(space)
    x = space.encode(space.sample(8, torch.Generator().manual_seed(0)))
    gradient = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).double()
    rows, owners = moves.propose(x, gradient, 8)
    assert owners.bincount(minlength=8).min() > 8
    archs = space.decode(rows)
    assert all(map(space.is_valid, archs))
    assert torch.equal(space.encode(archs), rows)
    ends = (gradient @ space.encode(space.sample(4000)).T).amax(1)
    reached = torch.stack([(rows[owners == i] @ gradient[i]).max() for i in range(8)])
    assert (reached >= ends - 1e-9).all()  # what is best by the gradient is among them
