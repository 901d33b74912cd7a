"""The score network: shapes, gradients, what it knows of the graph."""

import itertools

import pytest
import torch
from toy import SMALL, Wired

from naslib_diffusion import GuidedGenerator
from naslib_diffusion.diffusion import EstimateGuidance, ExactDenoiser, NetworkConfig, ScoreNetwork
from naslib_diffusion.diffusion.graph import GraphLayout, closure, relations
from naslib_diffusion.diffusion.transformer import Attention
from naslib_diffusion.spaces import NASBench201, ProductSpace, Subset
from naslib_diffusion.spaces.nasbench201 import ADJACENCY
from naslib_diffusion.spaces.nasbench201_features import EDGES
from naslib_diffusion.testing.denoisers import DenoiserTestCase

SPACE = NASBench201()
CELLS = SPACE.encode(list(SPACE))


def network(config=SMALL, space=SPACE, seed=0, *, clamp=False):
    """An untrained network with weights that matter."""
    x = space.encode(space.sample(500, torch.Generator().manual_seed(seed)))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = ScoreNetwork.for_space(space, x, config)
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    made.clamp = clamp
    return made.double()


def noise(space=SPACE, rows=6, sigma=0.6):
    random = torch.Generator().manual_seed(3)
    x = space.encode(space.sample(rows, random))
    return x + sigma * torch.randn(x.shape, generator=random, dtype=x.dtype)


class TestUntrained(DenoiserTestCase):
    """An untrained network, clamped to what is constant: the posterior of a uniform law."""

    tolerance = 1e-6

    @pytest.fixture
    def denoiser(self):
        made = ScoreNetwork.for_space(SPACE, CELLS, SMALL).double()
        for name, parameter in made.named_parameters():
            if name.startswith("node_head.3"):
                torch.nn.init.zeros_(parameter)
        # the prior of nodes that are never an input or output: what training has to find out
        prior = torch.zeros(8, 7, dtype=torch.double)
        prior[1:7, :2] = prior[0, 1:] = prior[7, 0] = prior[7, 2:] = -1e6
        made.node_head.register_forward_hook(lambda _module, _args, out: out + prior)
        made.clamp = True
        return made

    @pytest.fixture
    def atoms(self):
        return CELLS


class TestShipped(DenoiserTestCase):
    """The checkpoint in the package."""

    tolerance = 0.01

    @pytest.fixture
    def denoiser(self):
        return ScoreNetwork.load("nasbench201", SPACE).double()

    @pytest.fixture
    def atoms(self):
        return CELLS


@pytest.mark.parametrize("head", ["posterior", "linear"])
@pytest.mark.parametrize("space", [SPACE, Wired()], ids=["fixed", "wired"])
@pytest.mark.parametrize(
    ("positional", "directed"), list(itertools.product([True, False], repeat=2))
)
def test_gradients_agree_with_differences(space, head, positional, directed):
    config = NetworkConfig(16, 1, 2, 2, positional=positional, directed=directed, head=head)
    made, x = network(config, space), noise(space, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: made(y, 0.7), x)


def test_answers_in_the_precision_of_the_input():
    made, x = network().float(), noise()
    assert made(x, 0.5).dtype == torch.double
    assert made(x.float(), 0.5).dtype == torch.float32
    torch.testing.assert_close(made(x, 0.5).float(), made(x.float(), 0.5))


def test_all_parameters_are_used():
    for space in (SPACE, Wired()):
        made = network(space=space)
        made(noise(space), 0.5).sum().square().backward()
        unused = [name for name, p in made.named_parameters() if p.grad is None]
        assert not unused


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"takes encodings of shape \(8, 7\), not \(8, 6\)"):
        network()(torch.zeros(2, 8, 6), 1.0)


def test_estimates_are_laws():
    made = network(space=Wired())
    x = made(noise(Wired()) * 50, 0.3)
    assert ((x >= 0) & (x <= 1)).all()
    assert (x[..., :2].sum(-1) <= 1 + 1e-9).all()
    lower = torch.ones(3, 3).tril().bool()
    assert (x[..., 2:][:, lower] == 0).all()


def test_absence_is_found_in_the_samples():
    assert not network().config.absence
    assert network(space=Wired()).config.absence


def test_clamping_makes_constants_exact():
    raw, clamped = network()(noise(), 0.6), network(clamp=True)(noise(), 0.6)
    constant = CELLS.amin(0) == CELLS.amax(0)
    assert (clamped[:, constant] == CELLS[0, constant]).all()
    torch.testing.assert_close(clamped[:, ~constant], raw[:, ~constant])
    assert not torch.allclose(raw, clamped)


def permuted(made, x, order):
    """Estimate with the nodes in another order, put back; and in the given order."""
    return made(x[:, order], 0.6)[:, order.argsort()], made(x, 0.6)


def test_positions_matter_only_if_they_are_embedded():
    order = torch.tensor([0, 4, 2, 6, 1, 5, 3, 7])
    blind = NetworkConfig(16, 2, 2, 2, positional=False)
    for config, equal in ((SMALL, False), (blind, True)):
        made = network(config)
        for block in made.blocks:
            torch.nn.init.zeros_(block.attention.bias)  # no graph: a set of nodes
        assert torch.allclose(*permuted(made, noise(), order)) is equal


def test_undirected_networks_cannot_tell_a_graph_from_its_mirror():
    """Reversing all edges of a cell and renaming its nodes gives the same line graph."""
    mirror = [0] * 8
    for e, (source, target) in enumerate(EDGES):
        mirror[1 + e] = 1 + EDGES.index((3 - target, 3 - source))
    mirror[0], mirror[7] = 7, 0
    order = torch.tensor(mirror)
    for directed in (True, False):
        config = NetworkConfig(16, 2, 2, 2, positional=False, directed=directed)
        assert torch.allclose(*permuted(network(config), noise(), order)) is not directed


def test_blind_networks_are_equivariant_in_the_wiring():
    config = NetworkConfig(16, 2, 2, 2, positional=False, directed=False)
    made, x = network(config, Wired()), noise(Wired())
    e = x[..., 2:].triu(1)
    order = torch.tensor([1, 0, 2])
    swapped = x[:, order].clone()
    both = (e + e.mT)[:, order][:, :, order]
    swapped[..., 2:] = both.triu(1)
    x[..., 2:] = e
    # below the diagonal the evidence is not read, so that both are the same graph
    v, w = made(x, 0.6)[..., :2], made(swapped, 0.6)[..., :2]
    torch.testing.assert_close(w[:, order], v)


def test_relations_are_those_of_the_line_graph():
    edges = {
        *((0, 1 + e) for e, (source, _) in enumerate(EDGES) if source == 0),
        *((1 + e, 7) for e, (_, target) in enumerate(EDGES) if target == 3),
        *(
            (1 + e, 1 + f)
            for (e, a), (f, b) in itertools.product(enumerate(EDGES), repeat=2)
            if a[1] == b[0]
        ),
    }
    assert edges == set(ADJACENCY)
    seen = network().fixed_relations[0]
    itself, ahead, downstream, back, upstream = seen
    assert {(i, j) for i, j in ahead.nonzero().tolist()} == edges
    assert torch.equal(back, ahead.mT)
    assert torch.equal(upstream, downstream.mT)
    assert torch.equal(itself, torch.eye(8))
    assert int((ahead + downstream).sum()) == 18
    assert bool((seen.sum(0) <= 1).all())


def test_closure():
    chain = torch.diag(torch.ones(5), 1)
    assert torch.equal(closure(chain), torch.ones(6, 6).triu(1))
    assert relations(chain, directed=False).shape == (3, 6, 6)


def test_attention_follows_the_bias():
    attention = Attention(8, 2, 5).double()
    seen = relations(GraphLayout.of(SPACE).adjacency().double())[None]
    x = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    torch.nn.init.zeros_(attention.qkv.weight[:16])  # all else being equal
    with torch.no_grad():
        attention.qkv.bias[:16] = 0
        attention.bias[:, 1] = 50.0  # successors alone
        values = attention.qkv(x)[..., 16:]
        expected = attention.out(values[:, [1, 2, 4]].mean(1))
        torch.testing.assert_close(attention(x, seen)[:, 0], expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width must be from 1 to 4096, not 0"),
        ({"depth": 10**9}, "depth must be"),
        ({"width": 10, "heads": 3}, "width 10 is not a multiple of 3 heads"),
        ({"head": "other"}, "head must be"),
    ],
)
def test_bad_configurations(options, message):
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**options)


def test_spaces_that_are_no_graphs():
    with pytest.raises(ValueError, match="needs graphs, N x C"):
        GraphLayout.of(ProductSpace.categorical([3, 3]))
    with pytest.raises(ValueError, match="does not lead forward"):
        GraphLayout(3, 2, ((1, 0),))


def test_is_interchangeable_with_the_exact_denoiser():
    made = ScoreNetwork.load("nasbench201", SPACE)
    subset = Subset(SPACE, SPACE.sample(1, torch.Generator().manual_seed(1)))
    assert GraphLayout.of(subset) == made.layout

    def convolutions(x):
        return x[:, 1:7, 5].sum(1)

    for guidance in (None, EstimateGuidance):
        options = {"guidance": guidance} if guidance else {}
        found = [
            GuidedGenerator(SPACE, denoiser, seed=0, device="cpu", **options).generate(
                40, convolutions, unique="exact"
            )
            for denoiser in (made, ExactDenoiser(SPACE))
        ]
        learned, exact = (sum(cell.operations.count(3) for cell in cells) / 40 for cells in found)
        assert abs(learned - exact) < 0.3
