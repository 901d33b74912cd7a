"""Candidate strategies."""

from __future__ import annotations

import itertools
from dataclasses import replace
from unittest import mock

import pytest
import torch

from naslib_diffusion.commands import options
from naslib_diffusion.optimize.generator import GuidedGenerator
from naslib_diffusion.search import Search
from naslib_diffusion.search.strategies import (
    STRATEGIES,
    AutomaticStrategy,
    EnumerateStrategy,
    GuidedStrategy,
    MutationStrategy,
    RandomStrategy,
    Request,
    available,
)
from naslib_diffusion.spaces import Categorical, Integer, NASBench201, ProductSpace, Real
from naslib_diffusion.testing import StrategyTestCase
from naslib_diffusion.testing.strategies import slope

SPACES = {
    "cells": NASBench201(),
    "product": ProductSpace.categorical([3, 4, 5, 2]),
    "mixed": ProductSpace([Real(0, 1), Integer(1, 50), Categorical(["a", "b"])]),
    "banned": ProductSpace(
        [Categorical(range(8)), Categorical(range(9))], lambda p: p.values[0] != p.values[1]
    ),
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [pair for pair in itertools.product(STRATEGIES, SPACES) if pair != ("enumerate", "mixed")],
)
class TestStrategies(StrategyTestCase):
    @pytest.fixture
    def space(self, name):
        return SPACES[name]

    @pytest.fixture
    def strategy(self, kind):
        return STRATEGIES[kind]

    def enumerate(self, space):
        return None if space.size is None or space.size > 10_000 else list(space)


SPACE = SPACES["cells"]


def request(n, incumbents=(), known=()):
    random = torch.Generator().manual_seed(0)
    return Request(n=n, known=set(known), incumbents=incumbents, acquisition=slope, random=random)


def generator(space=SPACE):
    return GuidedGenerator(space, device="cpu", seed=0)


def test_mutants_are_neighbours_of_the_first_incumbents():
    incumbents = SPACE.sample(8, torch.Generator().manual_seed(0))
    near = {str(cell) for parent in incumbents[:2] for cell in SPACE.neighbors(parent)}
    found = MutationStrategy(parents=2).propose(generator(), request(12, incumbents))
    assert len(found) == 12
    assert {str(cell) for cell in found} <= near


def test_mutation_fills_up_with_random_ones():
    incumbents = SPACE.sample(1, torch.Generator().manual_seed(0))
    near = {SPACE.canonical(cell) for cell in SPACE.neighbors(incumbents[0])}
    found = MutationStrategy().propose(generator(), request(60, incumbents))
    keys = {SPACE.canonical(cell) for cell in found}
    assert len(keys) == 60
    assert near - {SPACE.canonical(incumbents[0])} <= keys | {SPACE.canonical(incumbents[0])}


def test_guided_beats_random():
    """And the polish does not make it worse."""
    best = {}
    for name, strategy in {
        "random": RandomStrategy(),
        "guided": GuidedStrategy(polish=0),
        "polished": GuidedStrategy(),
    }.items():
        found = strategy.propose(generator(), request(32))
        best[name] = float(slope(SPACE.encode(found)).max())
    assert best["random"] < best["guided"] <= best["polished"]
    assert best["polished"] == float(slope(SPACE.encode(list(SPACE))).max())


def test_draws_of_single_candidates_are_not_climbed():
    """Each look at a row's neighbours would draw anew, and the climb would not end."""
    unpolished = GuidedStrategy(polish=0).propose(generator(), request(8))
    by_row = replace(request(8), by_row=True)
    assert GuidedStrategy().propose(generator(), by_row) == unpolished
    search = Search(SPACE, "ensemble", seed=0, initial=2, device="cpu")
    search.tell(SPACE.sample(2, torch.Generator().manual_seed(0)), [1.0, 2.0])
    with mock.patch("naslib_diffusion.search.strategies.Maximizer", side_effect=AssertionError):
        assert SPACE.is_valid(search.ask()[0])


def test_the_commands_offer_all_of_them():
    assert tuple(STRATEGIES) == options.STRATEGIES


def test_enumeration_is_exact():
    cells = list(SPACE)
    values = slope(SPACE.encode(cells))
    known = {SPACE.canonical(cells[i]) for i in values.argsort(descending=True)[:100].tolist()}
    left = {SPACE.canonical(cell) for cell in cells} - known
    for strategy in (EnumerateStrategy(), AutomaticStrategy()):
        found = strategy.propose(generator(), request(20, known=known))
        keys = [SPACE.canonical(cell) for cell in found]
        assert len(set(keys)) == 20
        assert left >= set(keys)
        best = max(v for c, v in zip(cells, values, strict=True) if SPACE.canonical(c) in left)
        assert float(slope(SPACE.encode(found[:1]))) == pytest.approx(float(best))


def test_enumeration_leaves_out_what_is_banned():
    found = EnumerateStrategy().propose(generator(SPACES["banned"]), request(100))
    assert len(found) == 8 * 9 - 8


def test_only_small_spaces_are_enumerated():
    large = ProductSpace.categorical([4] * 9)
    for space in (SPACES["mixed"], large):
        with pytest.raises(ValueError, match="cannot be enumerated"):
            Search(space, strategy="enumerate")
        assert AutomaticStrategy().propose(generator(space), request(3))


def test_available_returns_what_is_left():
    space = ProductSpace.categorical([2, 3])
    points = list(space)
    known = {space.canonical(point) for point in points[:4]}
    assert set(available(generator(space), 10, known=known)) == set(points[4:])
    assert len(available(generator(space), 1, known=known)) == 1
    known |= {space.canonical(point) for point in points}
    assert available(generator(space), 1, slope, known=known) == []


class Known(RandomStrategy):
    def propose(self, generator, request):
        return available(generator, request.n, known=())


class Twice(RandomStrategy):
    def propose(self, generator, request):
        return 2 * super().propose(generator, request)


class Few(RandomStrategy):
    def propose(self, generator, request):
        return super().propose(generator, request)[1:]


class Unseeded(RandomStrategy):
    def propose(self, generator, request):
        return super().propose(GuidedGenerator(generator.space), request)


class Lenient(RandomStrategy):
    """It proposes banned points."""

    def propose(self, generator, request):
        whole = ProductSpace(generator.space.parameters)
        return super().propose(GuidedGenerator(whole, seed=0), request)


class Descending(RandomStrategy):
    """It needs an incumbent."""

    def propose(self, generator, request):
        assert request.incumbents
        return super().propose(generator, request)


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Known, "proposals"),
        (Twice, "proposals"),
        (Few, "proposals"),
        (Lenient, "proposals"),
        (Unseeded, "depends_on_the_request_only"),
        (Descending, "without_history"),
    ],
)
def test_the_suite_catches_broken_strategies(kind, check):
    test = getattr(StrategyTestCase(), f"test_{check}")
    test(SPACES["banned"], RandomStrategy())
    with pytest.raises(AssertionError):
        test(SPACES["banned"], kind())
