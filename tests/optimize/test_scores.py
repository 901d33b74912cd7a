"""Guides that are counted and remembered."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_diffusion.optimize.scores import Scores, row_keys
from naslib_diffusion.spaces import NASBench201, ProductSpace

SPACE = NASBench201()


def rugged(x):
    """Pair interactions."""
    generator = torch.Generator().manual_seed(0)
    x = x.flatten(1)
    pairs = torch.randn(x.shape[1], x.shape[1], generator=generator, dtype=torch.double)
    return ((x @ pairs) * x).sum(1)


def test_nothing_is_scored_twice():
    space = ProductSpace.categorical([3, 2, 4])
    x = space.encode(space.sample(8, torch.Generator().manual_seed(1)))
    scores = Scores(space, rugged, chunk=5)
    assert torch.equal(scores(torch.cat([x, x[:3]])), rugged(torch.cat([x, x[:3]])))
    count = scores.count
    assert count == len(torch.unique(x, dim=0))
    values, _ = scores.gradient(x[:2])  # a gradient costs an evaluation
    assert torch.equal(scores(x), rugged(x))
    assert torch.equal(values, rugged(x[:2]))
    assert scores.count == count + 2


def test_visited_are_best_first():
    cells = SPACE.sample(20, torch.Generator().manual_seed(1))
    scores = Scores(SPACE, rugged, chunk=7)
    values = scores(scores.encode(cells))
    torch.testing.assert_close(values, rugged(SPACE.encode(cells)))
    visited, ordered = scores.visited()
    assert ordered.tolist() == sorted(set(values.tolist()), reverse=True)
    torch.testing.assert_close(rugged(visited), ordered)
    assert len(Scores(SPACE, rugged).visited()[0]) == 0


def test_bad_guides():
    cells = SPACE.sample(3, torch.Generator().manual_seed(0))
    x = SPACE.encode(cells).flatten(1)
    with pytest.raises(ValueError, match=r"must map \(3, 8, 7\) to \(3,\)"):
        Scores(SPACE, lambda x: x.sum())(x)
    with pytest.raises(ValueError, match=r"the guide is NaN at architecture \|"):
        Scores(SPACE, lambda x: rugged(x) * math.nan)(x)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 1000))
def test_keys_tell_rows_apart(rows, columns, seed):
    random = torch.Generator().manual_seed(seed)
    steps = torch.randint(0, 2 + seed % 7, (rows, columns), generator=random)
    for x in (steps, steps / 7 - 0.3, 1e-300 * steps, steps.float()):
        distinct, places = torch.unique(x, dim=0, return_inverse=True)
        keys = row_keys(x)
        assert keys == row_keys(x.repeat(1, 2)[:, :columns])
        assert len(set(keys)) == len(distinct)
        assert [row_keys(distinct)[i] for i in places.tolist()] == keys


def test_keys_tell_all_cells_apart():
    cells = NASBench201()
    x = cells.encode(list(cells)).flatten(1)
    assert len(set(row_keys(x))) == len(x) == 15_625
