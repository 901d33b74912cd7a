import collections
import csv
import functools
import gzip
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_diffusion import GuidedGenerator, Search
from naslib_diffusion.diffusion import ExactDenoiser
from naslib_diffusion.spaces import (
    GPT,
    Budgeted,
    Categorical,
    DeclaredSpace,
    Factor,
    Integer,
    Maybe,
    MobileNetV3,
    NASBench201,
    PathBlock,
    ProductSpace,
    Real,
    Subnet,
    UnionBlock,
    When,
)
from naslib_diffusion.spaces import budget as engine
from naslib_diffusion.spaces.costs import network_cost
from naslib_diffusion.spaces.fixed import Fixed
from naslib_diffusion.testing import DenoiserTestCase, SpaceTestCase
from naslib_diffusion.testing.denoisers import noisy, posterior_mean

COSTS = {
    "a": [[1, 5, 2], [0, 3], [10, 1, 4, 2], None],
    "b": [[2, 0, 1], [1, 4], [0, 3, 1, 9], [0, 5]],
}


def small() -> ProductSpace:
    """48 points with two costs."""
    sizes = Categorical(range(3)), Categorical(range(2)), Integer(1, 4), Categorical(["x", "y"])
    return ProductSpace(sizes, costs=COSTS)


def members(space):
    """List all members of a space that can be listed."""
    return [arch for arch in space.space if space.within(arch)]


def two_budgets():
    return Budgeted(Budgeted(small(), "a", at_most=12, at_least=5), "b", at_most=8)


class Union:
    """Sixteen or four values of one union, with a cost that is another in each part.

    A choice of three and one of four, or the first of three and the second absent.
    """

    name, shape, size, costs = "union", (8,), 15, ("cost",)

    def __init__(self):
        eye3, eye4 = torch.eye(3, dtype=torch.double), torch.eye(4, dtype=torch.double)
        one = torch.ones(1, 1, dtype=torch.double)
        factors = (
            Factor((0,), one),
            Factor((0,), 0 * one),
            Factor((1, 2, 3), eye3),
            Factor((4, 5, 6, 7), eye4),
            Factor((4, 5, 6, 7), 0 * eye4[:1]),
        )
        self.blocks = (UnionBlock(0, factors, ((0, 2, 3), (1, 2, 4))),)
        self.all = [tuple(row) for row in self.blocks[0].expand().atoms.tolist()]

    def terms(self, name):
        full = [[10.0], [0.0, 1.0, 2.0], [0.0, 3.0, 6.0, 9.0]]
        less = [[1.0], [0.0, 7.0, 20.0], [0.0]]
        return [[[torch.tensor(t, dtype=torch.double) for t in part] for part in (full, less)]]

    def cost(self, arch, name):
        first = arch[1:4].index(1)
        return 10.0 + first + 3 * arch[4:].index(1) if arch[0] else 1.0 + (0, 7, 20)[first]

    def __iter__(self):
        return iter(self.all)

    def sample(self, n, generator=None):
        return [self.all[i] for i in torch.randint(15, (n,), generator=generator).tolist()]

    def encode(self, archs):
        return torch.tensor(archs, dtype=torch.double).view(-1, 8)

    def decode(self, x):
        near = torch.cdist(x.double(), self.encode(self.all)).argmin(1)
        return [self.all[i] for i in near.tolist()]

    def is_valid(self, arch):
        return arch in self.all

    def canonical(self, arch):
        return arch

    def parse(self, text):
        raise ValueError("no text")

    def neighbors(self, arch, generator=None):
        return [other for other in self.all if other != arch]

    def features(self, x):
        return (x.flatten(1),)


SMALL = {
    "a window": lambda: Budgeted(small(), "a", at_least=6, at_most=9),
    "two costs": two_budgets,
    "a union": lambda: Budgeted(Union(), "cost", at_least=8, at_most=15),
    "cells": lambda: Budgeted(NASBench201(), "params", at_least=2e5, at_most=2.5e5),
}


@pytest.fixture(params=SMALL.values(), ids=SMALL, scope="module")
def listed(request):
    """A budgeted space small enough to be listed, and all of its members."""
    space = request.param()
    return space, members(space)


class TestProduct(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return Budgeted(small(), "a", at_least=6, at_most=9)

    def enumerate(self, space):
        return members(space)


class TestTwoBudgets(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return two_budgets()

    def enumerate(self, space):
        return members(space)


class TestMixed(SpaceTestCase):
    @pytest.fixture
    def space(self):
        parameters = [Integer(1, 20, name="n"), Real(0.0, 1.0, name="lr"), Integer(1, 9, name="m")]
        costs = {"params": {"n": lambda n: 64 * n, "m": lambda m: 100 * m}}
        return Budgeted(ProductSpace(parameters, costs=costs), "params", at_most=900)


class TestTransformers(SpaceTestCase):
    draws = 500

    @pytest.fixture
    def space(self):
        return Budgeted(GPT("s"), "params", at_least=59.4e6, at_most=60.6e6)


class TestSubnets(SpaceTestCase):
    draws = 500

    @pytest.fixture
    def space(self):
        return Budgeted(MobileNetV3(), "flops", at_least=297e6, at_most=303e6)


class TestDenoiser(DenoiserTestCase):
    @pytest.fixture
    def space(self):
        return two_budgets()

    @pytest.fixture
    def denoiser(self, space):
        return ExactDenoiser(space)

    @pytest.fixture
    def atoms(self, space):
        return space.encode(members(space))


def test_denoiser_is_the_posterior_mean_over_the_members(listed):
    space, archs = listed
    atoms, denoiser = space.encode(archs), ExactDenoiser(space)
    for sigma in (0.02, 0.1, 0.5, 3.0):
        x = noisy(space.encode(space.space.sample(64)), sigma)
        assert (denoiser(x, sigma) - posterior_mean(atoms, x, sigma)).abs().max() < 1e-9


def test_decodes_to_the_nearest_member(listed):
    space, archs = listed
    x = torch.randn(200, *space.shape, dtype=torch.double)
    distances = torch.cdist(x.flatten(1), space.encode(archs).flatten(1))
    own = (x - space.encode(space.decode(x))).flatten(1).norm(dim=1)
    assert torch.allclose(own, distances.amin(1))


def test_samples_are_uniform_over_the_members(listed):
    space, archs = listed
    n = 200 * len(archs)
    counts = collections.Counter(space.sample(n, torch.Generator().manual_seed(0)))
    assert set(counts) == set(archs)
    variation = sum(abs(counts[arch] / n - 1 / len(archs)) for arch in archs) / 2
    noise = math.sqrt(2 * len(archs) / (math.pi * n)) / 2
    assert variation < 1.5 * noise


def test_size_counts_the_members(listed):
    space, archs = listed
    assert space.blocks
    forms = {space.canonical(arch) for arch in archs}
    assert len(forms) <= space.size <= len(archs)
    assert space.budget.count == len(archs)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, 50), min_size=2, max_size=4), min_size=2, max_size=5),
       st.integers(0, 100), st.integers(0, 30), st.integers(1, 40))  # fmt: skip
def test_coarse_graphs_lose_no_member(tables, low, wide, coarse):
    space = ProductSpace.categorical([len(t) for t in tables])
    space = ProductSpace(space.parameters, costs={"c": tables})
    inside = [a for a in space if low <= space.cost(a, "c") <= low + wide]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "EDGES", coarse)
        if not inside:
            with pytest.raises(ValueError, match="c: "):
                Budgeted(space, "c", at_least=low, at_most=low + wide)
            return
        part = Budgeted(space, "c", at_least=low, at_most=low + wide)
    assert part.budget.count >= len(inside)
    archs = part.decode(torch.rand(30, *part.shape, dtype=torch.double))
    assert all(map(part.within, [*archs, *part.sample(30)]))
    assert part.decode(part.encode(inside)) == inside


def test_costs_of_subnets_are_those_measured(data_folder):
    path = data_folder / "ofa_mobilenetv3_imagenet.csv.gz"
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    for row in rows[::20]:
        keys = "kernel_sizes", "expand_ratios", "depths"
        arch = Subnet.from_ofa(*([int(v) for v in row[key].split()] for key in keys))
        space = MobileNetV3(int(row["resolution"]))
        assert space.cost(arch, "params") == float(row["params"])
        assert space.cost(arch, "flops") == float(row["macs"])


@pytest.mark.parametrize("space", [MobileNetV3(192), GPT("s"), small()], ids=lambda s: s.name)
def test_terms_add_up_to_costs(space):
    for name in space.costs:
        terms = space.terms(name)
        for arch, x in zip(space.sample(20), space.encode(space.sample(20)), strict=True):
            del arch
            (own,) = space.decode(x[None])
            flat, total = x.flatten(), 0.0
            for block, parts in zip(space.blocks, terms, strict=True):
                total += _spent(block, parts, flat)
            assert total == pytest.approx(space.cost(own, name), rel=1e-12)


def _spent(block, parts, flat):
    """Add up the terms of the atoms that an encoding is made of."""
    here = flat[block.start : block.start + block.width]
    if not isinstance(block, UnionBlock):
        return float(parts[0][0][(block.atoms - here).abs().sum(1).argmin()])
    for factors, terms in zip(block.products, parts, strict=True):
        gaps = [(f.atoms - here[list(f.columns)]).abs().sum(1) for f in factors]
        if max(float(gap.min()) for gap in gaps) < 1e-9:
            return sum(float(t[gap.argmin()]) for t, gap in zip(terms, gaps, strict=True))
    raise AssertionError("of no part")


def test_costs_of_cells_are_those_of_their_networks():
    space = NASBench201()
    for cell in space.sample(2, torch.Generator().manual_seed(0)):
        for name in space.costs:
            network = space.build(cell)
            assert space.cost(cell, name) == network_cost(network, name, (3, 32, 32))


@pytest.mark.parametrize(
    ("space", "cost"),
    [(GPT("s"), "params"), (MobileNetV3(), "flops")],
    ids=["transformers", "subnets"],
)
def test_generates_a_thousand_within_one_percent(space, cost):
    middle = {"params": 60e6, "flops": 300e6}[cost]
    part = Budgeted(space, cost, at_least=0.99 * middle, at_most=1.01 * middle)
    archs = GuidedGenerator(part, seed=0, device="cpu").generate(1000)
    assert len(set(archs)) == 1000
    assert all(abs(space.cost(arch, cost) - middle) <= 0.01 * middle for arch in archs)


@pytest.mark.parametrize("strategy", ["guided", "mutation", "random"])
def test_search_keeps_to_the_budget(strategy):
    parameters = [Categorical(range(4), kind="layer") for _ in range(12)]
    space = ProductSpace(parameters, costs={"time": [[1, 2, 4, 9]] * 12})
    part = Budgeted(space, "time", at_least=29, at_most=30)
    search = Search(part, strategy=strategy, seed=0)
    for _ in range(2):
        archs = search.ask(6)
        assert all(29 <= space.cost(arch, "time") <= 30 for arch in archs)
        search.tell(archs, [float(sum(arch.values[:6])) for arch in archs])
    search.tell(space.sample(1), [0.0])  # out of it, and yet it informs
    assert all(map(part.is_valid, search.ask(4)))


def test_a_guide_is_followed_to_the_best_of_the_budget():
    tables = [[k * i for k in range(4)] for i in range(1, 9)]
    space = ProductSpace.categorical([4] * 8)
    space = ProductSpace(space.parameters, costs={"c": tables})
    worth = torch.tensor([[0.0, 1.0, 1.8, 2.4]] * 8, dtype=torch.double).flatten()
    part = Budgeted(space, "c", at_most=30)
    best = max(float(worth @ x) for x in space.encode(members(part)))
    archs = GuidedGenerator(part, seed=0).generate(20, lambda x: x @ worth.to(x), polish=4)
    assert float(worth @ space.encode(archs[:1])[0]) == pytest.approx(best)
    assert all(map(part.is_valid, archs))


def test_neighbours_exchange_what_they_cost():
    space = ProductSpace.categorical([2] * 10)
    part = Budgeted(ProductSpace(space.parameters, costs={"c": [[0, 1]] * 10}), "c",
                    at_least=4, at_most=4)  # fmt: skip
    (arch,) = part.sample(1)
    near = part.neighbors(arch)
    assert len(near) == 24  # one of four given up for one of six
    assert all(sum(a != b for a, b in zip(arch.values, o.values, strict=True)) == 2 for o in near)


def test_a_graph_with_gaps_shares_its_encoding_with_continua():
    parameters = [Integer(1, 3, name="n"), Real(0.0, 1.0, name="lr"), Integer(1, 3, name="m")]
    costs = {"c": {"n": [1, 2, 3], "m": [3, 2, 1]}}
    part = Budgeted(ProductSpace(parameters, costs=costs), "c", at_least=4, at_most=4)
    (paths,) = (block for block in part.blocks if isinstance(block, PathBlock))
    assert paths.columns == (0, 2)
    assert {(a["n"], a["m"]) for a in part.sample(50)} == {(1, 1), (2, 2), (3, 3)}
    assert part.size is None
    estimate = ExactDenoiser(part)(torch.full((1, 3), 0.5, dtype=torch.double), 0.3)
    assert torch.allclose(estimate, torch.full((1, 3), 0.5, dtype=torch.double))


def test_errors_say_what_exists():
    space = small()
    with pytest.raises(ValueError, match=r"^space 'product' does not know the cost 'c'; it knows"):
        Budgeted(space, "c", at_most=1)
    with pytest.raises(ValueError, match=r"no architecture .* with a <= 1; it has a: 2 to 18$"):
        Budgeted(space, "a", at_most=1)
    part = Budgeted(space, "a", at_most=9)
    outside = next(arch for arch in space if not part.within(arch))
    with pytest.raises(ValueError, match=r"has a [0-9]+; allowed: a <= 9$"):
        part.parse(str(outside))
    with pytest.raises(ValueError, match="too many to list"):
        Budgeted(_Unlisted(), "cost", at_most=1)
    with pytest.raises(ValueError, match="has 3 values, not 2"):
        ProductSpace([Categorical(range(3))], costs={"a": [[1, 2]]})
    with pytest.raises(ValueError, match="'z', which is not a parameter"):
        ProductSpace([Categorical(range(3))], costs={"a": {"z": [1, 2]}})
    with pytest.raises(ValueError, match="too many values to give each a cost"):
        ProductSpace([Real(0.0, 1.0)], costs={"a": [[1.0]]})


class _Unlisted(Union):
    """Costs of which nobody says how they add up, and too many architectures."""

    size, terms = 10**9, None

    def __getattribute__(self, name):
        if name == "terms":
            raise AttributeError(name)
        return super().__getattribute__(name)


def test_columns_may_be_fixed_within_a_budget():
    space = two_budgets()
    part = Fixed(space, {1: 1.0, 3: 0.0})
    archs = [arch for arch in members(space) if part.is_valid(arch)]
    assert 0 < len(archs) < len(members(space))
    assert part.size == len(archs)
    assert set(part.sample(200)) == set(archs)
    atoms = space.encode(archs)
    x = noisy(atoms, 0.5)
    assert (ExactDenoiser(part)(x, 0.5) - posterior_mean(atoms, x, 0.5)).abs().max() < 1e-9
    with pytest.raises(ValueError, match="no architecture"):
        Fixed(space, {0: 1.0, 1: 1.0})
    large = Fixed(Budgeted(GPT("s"), "params", at_most=100e6), {0: 0.0})
    assert all(arch.width != 192 for arch in large.sample(20))


WEIGHED = {
    "kind": ["a", "b", "c"],
    "n": When(Integer(1, 20), kind="a"),
    "m": When(Integer(1, 3), kind="b"),
    "deep": When(Maybe({"k": Integer(0, 4), "act": ["x", "y"]}), kind="c"),
}
"""Numbers under conditions count as one value: most values of `a` cost what others do not."""


@functools.cache
def weighed():
    costs = {"kind": {"a": 1, "b": 12, "c": 5}, "n": float, "m": float, "deep.k": lambda k: 2 * k}
    return Budgeted(DeclaredSpace(WEIGHED, costs={"c": costs}), "c", at_most=13)


def members_and_weights():
    """What keeps to the budget, and how likely each is: one over the values of its numbers."""
    texts = {f'{{"kind": "a", "n": {n}}}': 1 / 20 for n in range(1, 13)}
    texts |= {'{"kind": "b", "m": 1}': 1 / 3, '{"kind": "c"}': 1}
    texts |= {
        f'{{"kind": "c", "deep": {{"k": {k}, "act": "{act}"}}}}': 1 / 5
        for k in range(5)
        for act in "xy"
    }
    weights = torch.tensor(list(texts.values()), dtype=torch.double)
    return [weighed().parse(text) for text in texts], weights / weights.sum()


def test_a_budget_keeps_how_likely_values_are():
    archs, shares = members_and_weights()
    counts = collections.Counter(weighed().sample(20_000, torch.Generator().manual_seed(0)))
    assert set(counts) == set(archs)
    found = torch.tensor([counts[arch] for arch in archs]) / 20_000
    noise = float((shares * (1 - shares) / 20_000).sqrt().sum()) / math.sqrt(2 * math.pi)
    assert (found - shares).abs().sum() / 2 < 1.5 * noise


def test_the_denoiser_of_a_budget_weighs_values():
    archs, shares = members_and_weights()
    atoms = weighed().encode(archs)
    x = atoms + 0.5 * torch.randn(atoms.shape, generator=torch.Generator().manual_seed(0)).double()
    logits = (x @ atoms.T - atoms.square().sum(1) / 2) / 0.25 + shares.log()
    torch.testing.assert_close(ExactDenoiser(weighed())(x, 0.5), torch.softmax(logits, 1) @ atoms)
