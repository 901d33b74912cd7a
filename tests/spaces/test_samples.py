import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from naslib_diffusion import GuidedGenerator
from naslib_diffusion.diffusion import ExactDenoiser
from naslib_diffusion.spaces import Graph, NASBenchGraph, from_samples
from naslib_diffusion.testing import SpaceTestCase
from naslib_diffusion.testing.denoisers import noisy, posterior_mean

V = np.eye(3)[[0, 2, 1]]
CHAIN = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]])
SHORTCUT = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]])


def random_graphs(n, nodes, count, seed=0, connected=False):
    """Pairs (V, E), the latter with a chain if connected."""
    random = np.random.default_rng(seed)
    for _ in range(n):
        v = np.eye(count)[random.integers(count, size=nodes)]
        e = np.triu(random.random((nodes, nodes)) < 0.4, 1)
        if connected:
            for j in range(1, nodes):
                e[random.integers(j), j] |= not e[:, j].any()
            for i in range(nodes - 1):
                e[i, random.integers(i + 1, nodes)] |= not e[i].any()
        yield v, e


class TestSamples(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return from_samples(list(random_graphs(60, 5, 3)))


class TestConnectedSamples(SpaceTestCase):
    rejects = True

    @pytest.fixture
    def space(self):
        space = from_samples(list(random_graphs(200, 6, 4, connected=True)), name="connected")
        assert space.connected
        return space


class TestManySamples(SpaceTestCase):
    """Without an exact law."""

    rejects = True

    @pytest.fixture
    def space(self):
        return from_samples(list(random_graphs(300, 5, 2, connected=True)), exact=False)


class TestOneSample(SpaceTestCase):
    @pytest.fixture
    def space(self):
        space = from_samples([(V, SHORTCUT)] * 3)
        assert len(space.samples) == space.size == 1
        return space

    def enumerate(self, space):
        return space.samples


graphs = st.integers(1, 6).flatmap(
    lambda nodes: st.builds(
        lambda ops, edges: Graph(tuple(ops), tuple(edges)),
        st.lists(st.integers(0, 11), min_size=nodes, max_size=nodes),
        st.sets(st.sampled_from([*itertools.combinations(range(nodes), 2), None])).map(
            lambda edges: sorted(edges - {None})
        ),
    )
)


@given(graphs)
def test_round_trips(graph):
    nodes = len(graph.operations)
    v, e = np.eye(12)[list(graph.operations)], np.zeros((nodes, nodes))
    for i, j in graph.edges:
        e[i, j] = 1
    space = from_samples([(v, e)])
    x = space.encode([graph])[0]
    assert np.array_equal(x[:, :12], v)
    assert np.array_equal(x[:, 12:], e)
    assert space.samples == (graph,)
    assert space.decode(x[None]) == [graph]
    assert space.parse(str(graph)) == graph


def test_string_form():
    space = from_samples([(V, SHORTCUT)])
    assert str(space.samples[0]) == "0 2 1 | 0>1 0>2 1>2"
    assert space.parse(" 0 2 1 | 1>2 0>1 0>2\n") == space.samples[0]


def test_tensors_and_lists_are_read_too():
    pairs = [(V, CHAIN), (torch.tensor(V), torch.tensor(CHAIN)), (V.tolist(), CHAIN.tolist())]
    assert from_samples(pairs).samples == (Graph((0, 2, 1), ((0, 1), (1, 2))),)


def test_validity_is_what_samples_have_in_common():
    other = np.eye(3)[[0, 1, 1]]
    space = from_samples([(V, SHORTCUT), (other, CHAIN)])
    assert space.size == 2 * 2  # two operations of node 1, an edge that may miss
    new = Graph((0, 1, 1), ((0, 1), (0, 2), (1, 2)))
    assert new not in space.samples
    assert space.is_valid(new)
    assert set(space.neighbors(space.samples[0])) == {
        new,
        Graph((0, 2, 1), ((0, 1), (1, 2))),
    }
    for bad in (
        Graph((0, 0, 1), CHAIN_EDGES),  # an operation that no sample has at node 1
        Graph((0, 2, 1), ((0, 1),)),  # without an edge that all have
        Graph((0, 2), ((0, 1),)),
        Graph((0, 2, 3), CHAIN_EDGES),
        Graph((0, 2, 1), ((1, 2), (0, 1))),
        Graph((0, 2, 1), ((0, 1), (1, 2), (2, 2))),
    ):
        assert not space.is_valid(bad)
    assert not from_samples([(V, CHAIN)]).is_valid(new)


CHAIN_EDGES = ((0, 1), (1, 2))


def test_connection_is_required_where_all_samples_have_it():
    direct = np.array([[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
    chain = np.eye(4, k=1)
    v = np.eye(2)[[0, 1, 1, 0]]
    loose = Graph((0, 1, 1, 0), ((0, 1), (1, 2), (1, 3)))
    space = from_samples([(v, direct), (v, chain), (v, np.maximum(direct, chain))])
    assert space.connected
    assert not space.is_valid(loose)
    with_loose = from_samples(
        [(v, direct), (v, chain), (v, [[0, 1, 0, 0], [0, 0, 0, 0], [0] * 4, [0] * 4])]
    )
    assert not with_loose.connected
    assert with_loose.is_valid(loose)


def test_exact_unless_there_are_many(monkeypatch):
    pairs = list(random_graphs(20, 4, 3))
    assert from_samples(pairs).blocks is not None
    assert from_samples(pairs, exact=False).blocks is None
    monkeypatch.setattr("naslib_diffusion.spaces.samples.MAX_EXACT", 10)
    assert from_samples(pairs).blocks is None
    assert from_samples(pairs, exact=True).blocks is not None
    with pytest.raises(ValueError, match="give a trained denoiser"):
        ExactDenoiser(from_samples(pairs))


def test_the_exact_denoiser_generates_the_samples():
    space = from_samples(list(random_graphs(50, 5, 3)))
    x = noisy(space.encode(space.samples), 0.5)
    expected = posterior_mean(space.encode(space.samples), x, 0.5)
    torch.testing.assert_close(ExactDenoiser(space)(x, 0.5), expected)
    found = GuidedGenerator(space, seed=0).generate(len(space.samples))
    assert set(found) == set(space.samples)


def test_samples_of_nasbenchgraph_have_its_encoding():
    theirs = NASBenchGraph()
    x = theirs.encode(theirs.sample(2000, torch.Generator().manual_seed(0)))
    space = from_samples(list(zip(x[..., :11], x[..., 11:], strict=True)), exact=False)
    assert space.shape == theirs.shape
    assert space.connected
    assert {tuple(row) for row in space.encode(space.samples).flatten(1).tolist()} == {
        tuple(row) for row in x.flatten(1).tolist()
    }


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ([], "samples is empty"),
        ([(V, CHAIN), (V[:2], CHAIN)], r"samples\[1\]: V has shape \(2, 3\), .* first .*\(3, 3\)"),
        ([(V, CHAIN[:2])], r"samples\[0\]: E has shape \(2, 3\); expected \(3, 3\)"),
        ([(V[0], CHAIN)], r"V has shape \(3,\); expected a matrix"),
        ([(V * 0, CHAIN)], "row 0 of V has 0 ones; expected one"),
        ([(V[:, [0, 0, 1]], CHAIN)], "row 0 of V has 2 ones; expected one"),
        ([(V * 0.5, CHAIN)], "V has entries other than 0 and 1"),
        ([(V, CHAIN * np.nan)], "E has entries other than 0 and 1"),
        ([(V, CHAIN.T)], "E has an edge on or below the diagonal"),
        ([(V, np.eye(3))], "E has an edge on or below the diagonal"),
        ([(V, "chain")], "E is not a matrix of numbers"),
        ([([[1, 0], [1]], CHAIN)], "V is not a matrix of numbers"),
    ],
)
def test_malformed_samples(samples, reason):
    with pytest.raises(ValueError, match=reason):
        from_samples(samples)


@pytest.mark.parametrize("text", ["0 2 1", "0 2 1 | 0>1 1>", "0 2 1 | 0>1,1>2"])
def test_strings_of_another_form(text):
    with pytest.raises(ValueError, match="expected a form like"):
        from_samples([(V, CHAIN)]).parse(text)


def test_strings_of_other_graphs():
    with pytest.raises(ValueError, match=r"not a graph of space 'mine': .* 3 nodes .*connected"):
        from_samples([(V, CHAIN)], name="mine").parse("0 2 1 | 0>1")
