"""Conformance suite for candidate strategies."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.optimize.generator import GuidedGenerator
from naslib_diffusion.search.strategies import Request, Strategy
from naslib_diffusion.spaces.base import Space


class StrategyTestCase:
    """Checks that a strategy keeps the promises of the `Strategy` protocol.

    Subclass it in a test module, with a name that pytest collects:

        class TestMyStrategy(StrategyTestCase):
            @pytest.fixture
            def space(self):
                return NASBench201()

            @pytest.fixture
            def strategy(self):
                return MyStrategy()

            def enumerate(self, space):  # optional: all architectures, to test exhaustion
                return list(space)
    """

    @pytest.fixture
    def space(self) -> Space[Any]:
        """Return a space to search; it needs at least 60 canonical forms."""
        raise NotImplementedError("define a fixture `space` in the subclass of StrategyTestCase")

    @pytest.fixture
    def strategy(self) -> Strategy:
        """Return the strategy to check."""
        raise NotImplementedError(
            "define a fixture `strategy` in the subclass of StrategyTestCase"
        )

    def enumerate(self, space: Space[Any]) -> Iterable[Any] | None:
        """Return all architectures of the space, or None."""
        return None

    def test_proposals(self, space: Space[Any], strategy: Strategy) -> None:
        """At least as many as wanted, distinct, valid and not known."""
        seen = _sample(space, 20)
        known = {space.canonical(arch) for arch in seen}
        before = set(known)
        for n in (1, 5, 32):
            found = _propose(space, strategy, n, known, seen)
            assert len(found) >= n
            _check(space, found, known)
        assert known == before

    def test_without_history(self, space: Space[Any], strategy: Strategy) -> None:
        """Nothing known and no incumbents are a history like any other."""
        found = _propose(space, strategy, 8, (), ())
        assert len(found) >= 8
        _check(space, found, ())

    def test_depends_on_the_request_only(self, space: Space[Any], strategy: Strategy) -> None:
        """Equal requests to equal generators give equal proposals, in order."""
        seen = _sample(space, 10)
        known = [space.canonical(arch) for arch in seen]
        state = torch.random.get_rng_state()
        first = _propose(space, strategy, 16, known, seen)
        assert torch.equal(state, torch.random.get_rng_state())
        torch.rand(3)
        assert _propose(space, strategy, 16, frozenset(known), seen) == first

    @pytest.mark.parametrize("landscape", ["flat", "without gradient", "steep", "unbounded below"])
    def test_any_acquisition(self, space: Space[Any], strategy: Strategy, landscape: str) -> None:
        """Acquisition functions may be flat, steep, hugely negative, or have no gradient."""
        guides: dict[str, Guide] = {
            "flat": lambda x: torch.zeros(len(x)).to(x),
            "without gradient": lambda x: slope(x.detach()),
            "steep": lambda x: 1e9 * slope(x),
            "unbounded below": lambda x: -torch.exp(20 * slope(x).abs()),
        }
        seen = _sample(space, 10)
        known = {space.canonical(arch) for arch in seen}
        found = _propose(space, strategy, 8, known, seen, guides[landscape])
        assert len(found) >= 8
        _check(space, found, known)

    @pytest.mark.parametrize("left", [0, 1, 3])
    def test_exhaustion(self, space: Space[Any], strategy: Strategy, left: int) -> None:
        """Fewer than wanted only if the space has no more; then all that are left."""
        listed = self.enumerate(space)
        if listed is None:
            pytest.skip("the subclass of StrategyTestCase does not enumerate the space")
        forms = list(dict.fromkeys(space.canonical(arch) for arch in listed))
        order = torch.randperm(len(forms), generator=torch.Generator().manual_seed(0)).tolist()
        rest = {forms[i] for i in order[:left]}
        found = _propose(space, strategy, 8, set(forms) - rest, _sample(space, 5))
        assert {space.canonical(arch) for arch in found} == rest
        assert len(found) == left


def slope(x: Tensor) -> Tensor:
    """A linear acquisition function, `B x *shape` to `B`; the same at each call."""
    x = x.flatten(1)
    generator = torch.Generator().manual_seed(3)
    return x @ torch.randn(x.shape[1], generator=generator, dtype=torch.double).to(x)


def _sample(space: Space[Any], n: int) -> list[Any]:
    return space.sample(n, torch.Generator().manual_seed(0))


def _propose(
    space: Space[Any],
    strategy: Strategy,
    n: int,
    known: Iterable[Hashable],
    incumbents: Sequence[Any],
    acquisition: Guide = slope,
) -> list[Any]:
    """Ask a strategy for `n` proposals, with the same random numbers at each call."""
    request = Request(
        n=n,
        known=known if isinstance(known, set) else frozenset(known),
        incumbents=list(incumbents),
        acquisition=acquisition,
        random=torch.Generator().manual_seed(1),
    )
    return strategy.propose(GuidedGenerator(space, device="cpu", seed=2), request)


def _check(space: Space[Any], found: Sequence[Any], known: Iterable[Hashable]) -> None:
    keys = [space.canonical(arch) for arch in found]
    assert len(set(keys)) == len(keys), "some proposals are the same"
    assert not set(keys) & set(known), "some proposals are known"
    assert all(space.is_valid(arch) for arch in found), "some proposals are not valid"
