import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from naslib_diffusion.diffusion import ExactDenoiser
from naslib_diffusion.spaces import GraphNet, NASBenchGraph
from naslib_diffusion.spaces.nasbenchgraph import OPERATIONS, SKIP, WIRINGS
from naslib_diffusion.testing import SpaceTestCase
from naslib_diffusion.testing.denoisers import noisy, posterior_mean

SPACE = NASBenchGraph()
ALL = list(SPACE)

operations = st.tuples(*[st.integers(0, 8)] * 4).filter(lambda ops: set(ops) != {SKIP})
nets = st.builds(GraphNet, st.sampled_from(WIRINGS), operations)


class TestNASBenchGraph(SpaceTestCase):
    draws = 300

    @pytest.fixture
    def space(self):
        return NASBenchGraph()

    def enumerate(self, space):
        return ALL


@given(nets)
def test_round_trips(net):
    assert SPACE.is_valid(net)
    assert SPACE.parse(str(net)) == net
    assert SPACE.decode(SPACE.encode([net])) == [net]


def test_string_form_names_operation_and_source():
    text = "|gcn~0|gin~1|skip~1|cheb~2|"
    assert SPACE.parse(f" {text}\n") == GraphNet((0, 1, 1, 2), (1, 2, SKIP, 3))
    assert str(SPACE.parse(text)) == text


def test_encoding_is_operations_beside_adjacency():
    x = SPACE.encode([SPACE.parse("|gat~0|gcn~1|fc~1|skip~2|")])[0]
    assert x[:, :11].argmax(-1).tolist() == [0, 2, 3, 9, 10, 1]
    edges = [(i, j) for i, j in x[:, 11:].nonzero().tolist()]
    assert edges == [(0, 1), (1, 2), (1, 3), (2, 4), (3, 5), (4, 5)]


def test_26206_differ():
    assert len(ALL) == len(set(ALL)) == 9 * (9**4 - 1) == 59040
    assert len({SPACE.canonical(net) for net in ALL}) == SPACE.size == 26206


@pytest.mark.slow
def test_canonical_forms_are_those_of_the_package():
    package = pytest.importorskip("nas_bench_graph")
    pairs = set()
    for net in ALL:
        arch = package.Arch(list(net.wiring), [OPERATIONS[op] for op in net.operations])
        pairs.add((SPACE.canonical(net), arch.valid_hash()))
    assert len(pairs) == len({own for own, _ in pairs}) == len({key for _, key in pairs}) == 26206


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        # The order of branches does not matter.
        ("|gcn~0|gin~0|fc~1|gat~2|", "|gin~0|gcn~0|gat~1|fc~2|", True),
        # A skip on the way is nothing.
        ("|gcn~0|skip~1|gin~2|fc~3|", "|skip~0|gcn~1|gin~2|fc~3|", True),
        # Nor is one at the only end.
        ("|gcn~0|gin~1|fc~2|skip~3|", "|gcn~0|gin~1|skip~2|fc~3|", True),
        # A skip from an operation to the output, beside other branches, is a connection more.
        ("|gcn~0|gin~1|fc~1|skip~1|", "|skip~0|gcn~1|gin~2|fc~2|", False),
        # The input itself is no output.
        ("|gcn~0|gin~0|skip~0|skip~0|", "|skip~0|skip~1|gcn~2|gin~2|", True),
        ("|gcn~0|gin~1|fc~2|gat~3|", "|gin~0|gcn~1|fc~2|gat~3|", False),
    ],
)
def test_canonical_form(one, other, equal):
    assert (SPACE.canonical(SPACE.parse(one)) == SPACE.canonical(SPACE.parse(other))) is equal


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("|gcn~0|gcn~0|gcn~0|", "not an architecture of NAS-Bench-Graph"),
        ("|gcn~0|gcn~0|gcn~0|gcn~4|", "not an architecture of NAS-Bench-Graph"),
        ("|gcn~0|gcn~0|gcn~0|conv~0|", "unknown operation 'conv'"),
        ("|gcn~0|gcn~1|gcn~0|gcn~0|", "unknown wiring .* one of 0000, 0001, .*, 0123"),
        ("|skip~0|skip~0|skip~0|skip~0|", "no operation but skips"),
    ],
)
def test_parse_says_what_is_wrong(text, reason):
    with pytest.raises(ValueError, match=reason):
        SPACE.parse(text)


@pytest.mark.parametrize(
    "net",
    [
        GraphNet((0, 1, 0, 0), (0,) * 4),
        GraphNet((0, 0, 0, 0), (0,) * 3),
        GraphNet((0, 0, 0, 0), (0, 0, 0, 9)),
        GraphNet((0, 0, 0, 0), (-1, 0, 0, 0)),
        GraphNet((0, 0, 0, 0), (SKIP,) * 4),
    ],
)
def test_invalid_architectures(net):
    assert not SPACE.is_valid(net)


@given(nets)
def test_neighbors_change_one_operation_or_the_wiring(net):
    near = SPACE.neighbors(net)
    skips = net.operations.count(SKIP)
    assert len(near) == 8 + 32 - (skips == 3)
    for other in near:
        changed = sum(a != b for a, b in zip(net.operations, other.operations, strict=True))
        assert changed + (net.wiring != other.wiring) == 1


def test_decode_is_the_nearest_architecture():
    atoms = SPACE.encode(ALL).flatten(1)
    x = torch.randn(60, 6, 17, generator=torch.Generator().manual_seed(0)).double()
    x[30:, 1:5, 10] += 2  # most likely all skips
    nearest = torch.cdist(x.flatten(1), atoms).argmin(-1).tolist()
    assert SPACE.decode(x) == [ALL[i] for i in nearest]


@pytest.mark.parametrize("sigma", [0.1, 0.4, 3.0])
def test_exact_denoiser_agrees_with_all_architectures_one_by_one(sigma):
    atoms = SPACE.encode(ALL)
    x = noisy(atoms, sigma, rows=16)
    x[0, 1:5, 10] += 3  # all skips, which is no member
    expected = posterior_mean(atoms, x, sigma)
    torch.testing.assert_close(ExactDenoiser(SPACE)(x, sigma), expected, rtol=0, atol=1e-6)
