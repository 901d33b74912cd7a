"""Wirings: graphs of nodes that declared spaces have as parts."""

import itertools
import json
import math
from collections import Counter

import optuna
import pytest
import torch
from naslib_diffusion.plugins.optuna import suggest

from naslib_diffusion import GuidedGenerator, Search
from naslib_diffusion.diffusion import ExactDenoiser
from naslib_diffusion.diffusion.samplers import sample_ancestral
from naslib_diffusion.diffusion.schedules import karras_sigmas
from naslib_diffusion.spaces import Budgeted, DeclaredSpace, Maybe, Repeat, When, Wiring, wire
from naslib_diffusion.testing import DenoiserTestCase, SpaceTestCase

FOUR = {"cell": Wiring(nodes=4, edges=5, operations=["conv", "pool"])}
MIXED = {
    "width": [1, 2],
    "cell": Wiring(
        nodes=[2, 3, 5],
        edges=6,
        operations={"kind": ["a", "b"], "heads": When([1, 2], kind="a")},
        on_edges=["skip", "conv"],
    ),
    "last": When(["x", "y"], cell=[3, 5]),
    "more": Repeat(Maybe(Wiring(nodes=3, operations=[1, 2, 3])), depth=[1, 2]),
}


def wirings(nodes, most):
    """All edges that are at most so many, with each node on a way from the first to the last."""
    pairs = list(itertools.combinations(range(nodes), 2))
    for count in range(most + 1):
        for edges in itertools.combinations(pairs, count):
            sources, targets = ({edge[end] for edge in edges} for end in (0, 1))
            if sources == set(range(nodes - 1)) and targets == set(range(1, nodes)):
                yield edges


def listed(space):
    """All architectures of FOUR."""
    return [
        space.parse(json.dumps({"cell": {"operations": ops, "edges": edges}}))
        for edges in wirings(4, 5)
        for ops in itertools.product(["conv", "pool"], repeat=2)
    ]


class TestFour(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return DeclaredSpace(FOUR)

    def enumerate(self, space):
        return listed(space)


class TestMixed(SpaceTestCase):
    draws = 1500

    @pytest.fixture
    def space(self):
        return DeclaredSpace(MIXED)


class TestWithinABudget(SpaceTestCase):
    draws = 1500

    @pytest.fixture
    def space(self):
        costs = {"cell.operations": {"conv": 5, "pool": 1}, "cell.edges": float}
        wiring = Wiring(nodes=[3, 4], operations=["conv", "pool"])
        space = DeclaredSpace({"cell": wiring}, costs={"work": costs})
        return Budgeted(space, "work", at_least=6, at_most=13)


class TestDenoiser(DenoiserTestCase):
    @pytest.fixture
    def space(self):
        return DeclaredSpace(FOUR)

    @pytest.fixture
    def denoiser(self, space):
        return ExactDenoiser(space)

    @pytest.fixture
    def atoms(self, space):
        return space.encode(listed(space))


@pytest.mark.parametrize(("nodes", "forms"), [(2, 1), (3, 6), (4, 84), (5, 2441)])
def test_distinct_cells_are_those_of_nas_bench_101(nodes, forms):
    """Of three operations and at most nine edges, up to isomorphism (Ying et al. 2019)."""
    operations = ["conv1x1", "conv3x3", "pool"]
    space = DeclaredSpace({"cell": Wiring(nodes=nodes, edges=9, operations=operations)})
    assert space.size == forms
    (block,) = space.blocks
    labelled = sum(1 for _ in wirings(nodes, 9)) * 3 ** (nodes - 2)
    assert len(block.values()) == labelled


def test_unguided_generation_is_uniform_over_all_wirings():
    space = DeclaredSpace(FOUR)
    archs = listed(space)
    n, random = 200 * len(archs), torch.Generator().manual_seed(0)
    sigmas = karras_sigmas(100)
    x = sigmas[0] * torch.randn(n, *space.shape, generator=random)
    drawn = sample_ancestral(ExactDenoiser(space, dtype=torch.float), x, sigmas, generator=random)
    counts = Counter(space.decode(drawn))
    assert set(counts) == set(archs)
    variation = sum(abs(counts[arch] / n - 1 / len(archs)) for arch in archs) / 2
    noise = math.sqrt(2 * len(archs) / (math.pi * n)) / 2
    assert variation < 1.5 * noise


def test_isomorphic_wirings_are_one():
    space = DeclaredSpace({"cell": Wiring(nodes=5, operations=["a", "b"], on_edges=[1, 2])})

    def form(operations, *edges):
        text = json.dumps({"cell": {"operations": list(operations), "edges": edges}})
        return space.canonical(space.parse(text))

    # two branches of two operations and of one; the short one first, last or in between
    one = form("aba", (0, 1, 1), (0, 2, 2), (2, 3, 1), (1, 4, 2), (3, 4, 1))
    assert form("baa", (0, 1, 2), (0, 3, 1), (1, 2, 1), (3, 4, 2), (2, 4, 1)) == one
    assert form("baa", (0, 1, 2), (0, 2, 1), (1, 3, 1), (2, 4, 2), (3, 4, 1)) == one
    assert form("baa", (0, 1, 1), (0, 2, 1), (1, 3, 1), (2, 4, 2), (3, 4, 1)) != one
    assert form("aba", (0, 1, 2), (0, 3, 1), (1, 2, 1), (3, 4, 2), (2, 4, 1)) != one
    assert form("baa", (0, 1, 2), (0, 2, 1), (1, 3, 1), (2, 3, 2), (3, 4, 1)) != one


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ({"operations": ["conv"], "edges": []}, "cell.operations must be a list of 2 values"),
        ({"edges": []}, "cell must be an object with edges and operations"),
        ([], "cell must be an object"),
        ({"operations": ["conv", "add"], "edges": []}, "cell.2: 'add' is not one of the choices"),
        (
            {"operations": ["conv"] * 2, "edges": [[0, 1], [1, 3], [2, 3]]},
            "nothing leads to node 2",
        ),
        (
            {"operations": ["conv"] * 2, "edges": [[0, 1], [0, 2], [2, 3]]},
            "nothing follows node 1",
        ),
        ({"operations": ["conv"] * 2, "edges": [[1, 0]]}, "the edge 1>0 is impossible"),
        ({"operations": ["conv"] * 2, "edges": [[0, 1], [0, 1]]}, "the edge 0>1 is twice"),
        ({"operations": ["conv"] * 2, "edges": [[0, "1"]]}, "'1' are not numbers of nodes"),
        ({"operations": ["conv"] * 2, "edges": [[0, 1, 2]]}, r"a list of \[source, target\]"),
        (
            {"operations": ["conv"] * 2, "edges": list(itertools.combinations(range(4), 2))},
            "6 edges are more than 5",
        ),
    ],
)
def test_parse_says_what_is_wrong(cell, reason):
    with pytest.raises(ValueError, match=reason):
        DeclaredSpace(FOUR).parse(json.dumps({"cell": cell}))


@pytest.mark.parametrize(
    ("wiring", "reason"),
    [
        (Wiring(nodes=1), "nodes of cell must be 2 or more, not 1"),
        (Wiring(nodes=[3, 3]), r"nodes of cell must be 2 or more, not \[3, 3\]"),
        (
            Wiring(nodes=4, edges=2),
            "edges of cell must be 3 or more, not 2: all nodes are on a way",
        ),
        (Wiring(nodes=3, operations=Wiring(nodes=3)), "cell.operations has a wiring within a"),
        (Wiring(nodes=3, operations=[]), "cell.operations.1: choices is empty"),
        (Wiring(nodes=14), "cell has too many nodes and edges"),
    ],
)
def test_wrong_wirings(wiring, reason):
    with pytest.raises(ValueError, match=reason):
        DeclaredSpace({"cell": wiring})


def test_yaml_declares_the_same(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "width: [1, 2]\n"
        "cell:\n"
        "  wiring: [2, 3, 5]\n"
        "  edges: 6\n"
        "  operations: {kind: [a, b], heads: {choice: [1, 2], when: {kind: a}}}\n"
        "  on_edges: [skip, conv]\n"
        "last: {choice: [x, y], when: {cell: [3, 5]}}\n"
        "more: {repeat: {optional: {wiring: 3, operations: [1, 2, 3]}}, depth: [1, 2]}\n"
    )
    space, python = DeclaredSpace.read(path), DeclaredSpace(MIXED, name="mine")
    assert str(space) == str(python)
    random = torch.Generator().manual_seed
    assert space.sample(20, random(0)) == python.sample(20, random(0))


def test_the_table_tells_the_rules():
    lines = [" ".join(line.split()) for line in str(DeclaredSpace(FOUR)).splitlines()]
    rule = "at most 5 in all; each node on a way from input to output"
    assert lines[-1] == f"cell.edges x 6 False, True {rule}"


def test_any_sampler_is_led_to_a_wiring():
    """By the nearest one, with the other choices as they are."""
    space = DeclaredSpace(MIXED)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        arch = suggest(trial, space)
        assert space.is_valid(arch)
        assert arch["width"] == trial.params["width"]


def test_search_finds_the_deepest_and_densest_wiring():
    """At most six edges of five nodes: a chain of convolutions, and two edges beside it."""
    wiring = Wiring(nodes=[3, 4, 5], edges=6, operations=["conv", "pool", "skip"])
    space = DeclaredSpace({"cell": wiring})

    def value(arch):
        cell = arch["cell"]
        depth = [0.0]
        for j, operation in enumerate([*cell["operations"], "skip"], 1):
            own = {"conv": 1.0, "pool": 0.3, "skip": 0.0}[operation]
            depth.append(own + max(depth[i] for i, k in cell["edges"] if k == j))
        return depth[-1] + 0.1 * len(cell["edges"])

    search = Search(space, initial=6, seed=0)
    for _ in range(14):
        (arch,) = search.ask()
        search.tell(arch, value(arch))
    assert search.best.value == pytest.approx(3.6)


def test_guidance_is_followed_to_the_best_wiring():
    space = DeclaredSpace({"cell": Wiring(nodes=[3, 4, 5, 6], edges=7, operations=["a", "b"])})
    edges = torch.tensor(["edges" in label and "True" in label for label in space.legend])
    archs = GuidedGenerator(space, seed=0).generate(5, lambda x: x @ edges.to(x))
    assert len(archs[0]["cell"]["edges"]) == 7
    assert all(map(space.is_valid, archs))


def test_networks_sum_up_what_leads_to_a_node():
    space = DeclaredSpace(
        {
            "cell": Wiring(
                nodes=[3, 4], operations=["double", "square"], on_edges=["keep", "negate"]
            )
        },
        build={"cell": lambda cell, _: wire(cell, node=_Function, edge=_Function)},
    )
    edges = [[0, 1, "keep"], [0, 2, "negate"], [1, 2, "keep"], [1, 3, "negate"], [2, 3, "keep"]]
    cell = {"operations": ["double", "square"], "edges": edges}
    network = space.build(space.parse(json.dumps({"cell": cell})))
    x = torch.rand(2, 3)
    assert torch.equal(network(x), (2 * x - x).square() - 2 * x)
    plain = {"edges": [[0, 1], [0, 2], [1, 2]]}
    assert torch.equal(wire(plain)(x), 2 * x)


class _Function(torch.nn.Module):
    def __init__(self, name):
        super().__init__()
        self.name = name

    def forward(self, x):
        values = {"double": 2 * x, "square": x.square(), "keep": x, "negate": -x}
        return values[self.name]
