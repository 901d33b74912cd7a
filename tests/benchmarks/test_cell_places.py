"""Where operations stand, counted anew by walks from the output."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from naslib_diffusion.benchmarks.priors.cell_places import cell_places

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.nasbench201 import EDGES, Cell
from naslib_diffusion.spaces.nasbench201_features import CONV1, NONE, SKIP, tree_levels

SPACE = NASBench201()
cells = st.tuples(*[st.integers(0, 4)] * 6).map(Cell)


def into(cell, node, followers):
    """List how many operations follow, and which it is, for each in the tree into a node."""
    if node == 0:
        return [], True
    found, live = [], False
    for (source, target), operation in zip(EDGES, cell.operations, strict=True):
        if target == node and operation != NONE:
            behind, reached = into(cell, source, followers + (operation != SKIP))
            found += behind
            if reached and operation != SKIP:
                found.append((followers, operation - CONV1))
            live |= reached
    return found, live


@given(cells)
def test_levels_of_the_tree_are_those_of_a_walk_from_the_output(cell):
    x = SPACE.encode([cell])
    counts = torch.zeros(1, 3, 3, dtype=x.dtype)
    for followers, operation in into(cell, 3, 0)[0]:
        counts[0, followers, operation] += 1
    assert torch.equal(tree_levels(x[:, 1:7, 2:]), counts)


def test_places_respect_canonical_forms_and_have_unit_deviation():
    every = list(SPACE)
    places = cell_places(SPACE.encode(every)[:, 1:7, 2:])
    first: dict[str, int] = {}
    same = [first.setdefault(SPACE.canonical(cell), i) for i, cell in enumerate(every)]
    assert torch.allclose(places, places[same], atol=1e-9)
    assert places[list(first.values())].std(0).sub(1).abs().max() < 0.02
