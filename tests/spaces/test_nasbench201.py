import csv
import gzip
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.nasbench201 import ADJACENCY, EDGES, OPERATIONS, Cell
from naslib_diffusion.spaces.nasbench201_features import PATHS
from naslib_diffusion.testing import SpaceTestCase

CELLS = list(NASBench201())
cells = st.tuples(*[st.integers(0, 4)] * 6).map(Cell)


class TestNASBench201(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return NASBench201()

    def enumerate(self, space):
        return CELLS


@given(cells)
def test_string_form_lists_edges_by_target(cell):
    text = str(cell)
    assert NASBench201().parse(text) == cell
    nodes = [node.strip("|").split("|") for node in text.split("+")]
    assert [int(op[-1]) for node in nodes for op in node] == [source for source, _ in EDGES]
    assert [op[:-2] for node in nodes for op in node] == [OPERATIONS[i] for i in cell.operations]


def test_all_cells_round_trip_in_order():
    space = NASBench201()
    assert len(set(CELLS)) == 5**6
    assert space.decode(space.encode(CELLS)) == CELLS
    x = space.encode(CELLS)
    assert x.sum((1, 2)).eq(8).all()
    assert x[:, 0, 0].eq(1).all()
    assert x[:, 7, 1].eq(1).all()


def test_6466_isomorphism_classes_agree_with_the_published_ones(nasbench201_csv):
    space = NASBench201()
    with gzip.open(nasbench201_csv, "rt", newline="") as file:
        rows = [(row["arch"], row["isomorphism_class"]) for row in csv.DictReader(file)]
    assert len(rows) == len({arch for arch, _ in rows}) == 15625
    pairs = {(space.canonical(space.parse(arch)), published) for arch, published in rows}
    assert len(pairs) == len({own for own, _ in pairs}) == len({p for _, p in pairs}) == 6466


def test_6466_isomorphism_classes():
    assert len({NASBench201().canonical(cell) for cell in CELLS}) == NASBench201.size == 6466


def test_naslib_indices_round_trip():
    assert len({cell.to_naslib() for cell in CELLS}) == 15625
    assert all(Cell.from_naslib(cell.to_naslib()) == cell for cell in CELLS)
    for indices in product(range(5), repeat=6):
        assert Cell.from_naslib(indices).to_naslib() == indices


def test_naslib_indices_name_the_documented_edges_and_operations():
    # NASLib: nodes from 1, edges by source, and operations in an order of its own.
    edges = [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]
    names = ["skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3"]
    for cell in CELLS:
        on = dict(zip(edges, (names[i] for i in cell.to_naslib()), strict=True))
        assert str(cell) == (
            f"|{on[1, 2]}~0|+|{on[1, 3]}~0|{on[2, 3]}~1|+|{on[1, 4]}~0|{on[2, 4]}~1|{on[3, 4]}~2|"
        )


@pytest.mark.parametrize("dtype", [torch.float, torch.double])
def test_features_and_their_gradients_can_be_recorded_on_a_card(dtype):
    # A dispatch mode would see less: under one, PyTorch takes other ways to some gradients.
    x = NASBench201().encode(CELLS[::1000]).to(dtype).requires_grad_()
    sum(f.sum() for f in NASBench201().features(x)).backward()  # constants may be copied once
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        sum(f.sum() for f in NASBench201().features(x)).backward()
    done = {event.key for event in profile.key_averages()}
    assert "SelectBackward0" in done
    assert not done & {"aten::item", "aten::nonzero", "aten::index", "aten::lift_fresh"}


@pytest.mark.parametrize("indices", [(0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 5), (0,) * 7])
def test_wrong_naslib_indices_are_errors(indices):
    with pytest.raises((ValueError, IndexError)):
        Cell.from_naslib(indices)


def test_adjacency_is_the_line_graph():
    successors = {i: {k for j, k in ADJACENCY if j == i} for i in range(8)}
    assert successors == {
        0: {1, 2, 4}, 1: {3, 5}, 2: {6}, 3: {6}, 4: {7}, 5: {7}, 6: {7}, 7: set(),
    }  # fmt: skip
    assert len(ADJACENCY) == len(set(ADJACENCY)) == 10


def test_paths_are_those_of_the_adjacency():
    def walk(node):
        if node == 7:
            return [()]
        return [(node, *rest) for j, k in ADJACENCY if j == node for rest in walk(k)]

    assert {tuple(n - 1 for n in path[1:]) for path in walk(0)} == set(PATHS)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        # What flows into the output is the same sum, over node 1 or node 2.
        (
            "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|",
            "|none~0|+|nor_conv_1x1~0|none~1|+|nor_conv_1x1~0|none~1|skip_connect~2|",
            True,
        ),
        # A sum does not depend on the order of its terms.
        (
            "|skip_connect~0|+|none~0|none~1|+|avg_pool_3x3~0|nor_conv_3x3~1|none~2|",
            "|skip_connect~0|+|none~0|none~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|",
            True,
        ),
        # Operations that nothing reaches the output from do not matter.
        (
            "|none~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|none~2|",
            "|nor_conv_1x1~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|none~2|",
            True,
        ),
        # The order along a path does matter.
        (
            "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|",
            "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|",
            False,
        ),
    ],
)
def test_canonical_form(one, other, equal):
    space = NASBench201()
    assert (space.canonical(space.parse(one)) == space.canonical(space.parse(other))) is equal


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a NAS-Bench-201 cell"),
        ("|none~0|", "not a NAS-Bench-201 cell"),
        ("|none~0|+|none~1|none~0|+|none~0|none~1|none~2|", "not a NAS-Bench-201 cell"),
        (str(CELLS[7]) + "|none~0|", "not a NAS-Bench-201 cell"),
        ("|none~0|+|none~0|conv~1|+|none~0|none~1|none~2|", "unknown operation 'conv'"),
    ],
)
def test_parse_says_what_is_wrong(text, reason):
    with pytest.raises(ValueError, match=reason):
        NASBench201().parse(text)


def test_parse_ignores_surrounding_space():
    assert NASBench201().parse(f" {CELLS[1234]}\n") == CELLS[1234]


@pytest.mark.parametrize("operations", [(0,) * 5, (0,) * 7, (0, 0, 0, 0, 0, 5), (-1,) * 6])
def test_unknown_operations_are_not_valid(operations):
    assert not NASBench201().is_valid(Cell(operations))


def test_neighbors_are_the_24_cells_at_distance_one():
    near = NASBench201().neighbors(CELLS[777])
    assert len(near) == 24
    for cell in near:
        assert (
            sum(a != b for a, b in zip(cell.operations, CELLS[777].operations, strict=True)) == 1
        )


def test_decode_takes_the_likeliest_operation():
    x = torch.zeros(1, 8, 7)
    x[0, 1:7, :2] = 9.0  # an inner node is never an input or output
    x[0, range(1, 7), [2, 3, 4, 5, 6, 2]] = 0.1
    assert NASBench201().decode(x) == [Cell((0, 1, 2, 3, 4, 0))]


def test_rounding_is_decoding_and_encoding():
    x = torch.rand(200, 8, 7, generator=torch.Generator().manual_seed(0))
    space = NASBench201()
    assert torch.equal(space.round(x), space.encode(space.decode(x)))
    assert torch.equal(space.keys(space.round(x)), space.keys(x))


def test_numbers_tell_isomorphism_classes_apart():
    space = NASBench201()
    cells = list(space)
    numbers = space.keys(space.encode(cells)).tolist()
    assert set(numbers) == set(range(space.size))
    classes = {space.canonical(cell) for cell in cells}
    assert len({*zip(map(space.canonical, cells), numbers, strict=True)}) == len(classes)
    assert all(space.number(space.canonical(c)) == n for c, n in zip(cells, numbers, strict=True))
