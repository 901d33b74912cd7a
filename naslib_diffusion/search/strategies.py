"""Candidate strategies: ways to optimise an acquisition function (paper, Section 3.4).

A strategy proposes distinct new candidates; the search scores them and picks. `random` and
`mutation` are the paper's baselines, `guided` generates candidates under guidance, `enumerate`
looks at the whole of a small space, and `auto` chooses between these two.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import torch

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.optimize.block_moves import count_moves
from naslib_diffusion.optimize.effort import Effort
from naslib_diffusion.optimize.enumeration import catalogue, is_enumerable
from naslib_diffusion.optimize.generator import STEPS, GuidedGenerator
from naslib_diffusion.optimize.maximize import Maximizer
from naslib_diffusion.optimize.pool import SpaceExhausted
from naslib_diffusion.spaces.equality import pool_of

A = TypeVar("A", bound=Hashable)

BRIEFLY = {"sweeps": 8, "iterations": 20, "rounds": 2}
"""Bounds on the polish: the next evaluation is not worth the last digit of each start."""
ESCAPED = 2048
"""Encodings that the best start may try at the end of a climb: all moves from it, some times."""


@dataclass(frozen=True)
class Request:
    """What a strategy is asked for.

    Attributes:
        n: number of candidates wanted.
        known: canonical keys that must not be proposed.
        incumbents: the best architectures so far, best first.
        acquisition: scores encodings, to be maximised.
        random: for every random decision.
        by_row: whether the acquisition function scores a row by a draw that belongs to its place
            in the batch, so that to climb it would be to climb noise.
    """

    n: int
    known: Collection[Hashable]
    incumbents: Sequence[Any]
    acquisition: Guide
    random: torch.Generator
    by_row: bool = False


class Strategy(Protocol):
    """Proposes candidates for the next evaluations."""

    def propose(self, generator: GuidedGenerator[A], request: Request) -> list[A]:
        """Return up to `request.n` (or a few more) distinct architectures that are not known.

        Fewer, down to none, only if the space has no more.
        """


@dataclass(frozen=True)
class RandomStrategy:
    """Draws candidates uniformly from the space."""

    def propose(self, generator: GuidedGenerator[A], request: Request) -> list[A]:
        """Sample distinct new architectures."""
        return available(generator, request.n, known=request.known)


@dataclass(frozen=True)
class MutationStrategy:
    """Changes one decision of one of the best architectures at random.

    Where no new architectures can be made so, it draws random ones.
    """

    parents: int = 5

    def propose(self, generator: GuidedGenerator[A], request: Request) -> list[A]:
        """Mutate the incumbents."""
        space = generator.space
        mutants: dict[Hashable, A] = {}
        for parent in request.incumbents[: self.parents]:
            for mutant in space.neighbors(parent, request.random):
                key = space.canonical(mutant)
                if key not in request.known:
                    mutants.setdefault(key, mutant)
        order = torch.randperm(len(mutants), generator=request.random).tolist()
        found = list(mutants.values())
        found = [found[i] for i in order[: request.n]]
        if len(found) < request.n:
            known = {*request.known, *(space.canonical(arch) for arch in found)}
            found += available(generator, request.n - len(found), known=known)
        return found


@dataclass(frozen=True)
class MixedStrategy:
    """Makes half of the candidates by mutation, and draws half (the paper's mutation + random)."""

    def propose(self, generator: GuidedGenerator[A], request: Request) -> list[A]:
        """Mutate, then sample what is left."""
        space = generator.space
        half = replace(request, n=(request.n + 1) // 2)
        found = MutationStrategy().propose(generator, half)
        known = {*request.known, *(space.canonical(arch) for arch in found)}
        rest = max(request.n - len(found), 0)
        return found + (available(generator, rest, known=known) if rest else [])


@dataclass(frozen=True)
class GuidedStrategy:
    """Generates a batch under guidance, and polishes the best of it and the incumbents.

    If the space is a list of architectures, all of them are considered instead. Nothing is
    polished under an acquisition function that draws for each candidate on its own.

    Attributes:
        polish: number of candidates that are polished, beside half as many incumbents. 0 leaves
            candidates as they were generated.
        steps: number of denoising steps. The default suits the space, and is smaller where a
            polish follows.
        scale: strength of the guidance; see `GuidedGenerator.generate`.
    """

    polish: int = 8
    steps: int | None = None
    scale: float | None = None

    def propose(self, generator: GuidedGenerator[A], request: Request) -> list[A]:
        """Generate under the guidance of the acquisition function."""
        space, denoiser, device = generator.space, generator.denoiser, generator.device
        seed = int(torch.randint(2**31, (), generator=request.random))
        if not self.polish or request.by_row:
            steps = self.steps or STEPS
            own = GuidedGenerator(space, denoiser, device, seed, steps=steps, scale=self.scale)
            return available(own, request.n, request.acquisition, known=request.known)
        if pool_of(space) is not None and is_enumerable(space):
            return EnumerateStrategy().propose(generator, request)
        effort = replace(Effort.of(space), samples=request.n, starts=self.polish, **BRIEFLY)
        escapes = max(ESCAPED // max(count_moves(space.blocks or ()), 1), 1)
        steps = self.steps or effort.steps
        effort = replace(effort, steps=steps, scale=self.scale, escapes=escapes)
        maximize = Maximizer(space, effort, device=device, seed=seed, denoiser=denoiser)
        starts = request.incumbents[: self.polish // 2]
        found = maximize(request.acquisition, request.n, known=request.known, starts=starts)
        return found.archs


@dataclass(frozen=True)
class EnumerateStrategy:
    """Finds the exact best of a space that has at most some tens of thousands of encodings."""

    def propose(self, generator: GuidedGenerator[A], request: Request) -> list[A]:
        """Score one architecture of each canonical form.

        Raises:
            ValueError: if the space is too large.
        """
        listed = catalogue(generator.space)
        with torch.no_grad():
            parts = [request.acquisition(part.to(generator.device)) for part in listed.parts]
        values = torch.cat(parts).double().cpu()
        known = [listed.rows[key] for key in request.known if key in listed.rows]
        values[known] = -torch.inf
        order = values.argsort(descending=True, stable=True)
        count = min(request.n, len(listed.archs) - len(known))
        return [listed.archs[i] for i in order[:count].tolist()]


@dataclass(frozen=True)
class AutomaticStrategy:
    """Enumerates the space where that is possible, and generates under guidance elsewhere.

    Enumeration is exact and costs less.
    """

    def propose(self, generator: GuidedGenerator[A], request: Request) -> list[A]:
        """Choose by the space."""
        small = is_enumerable(generator.space)
        strategy: Strategy = EnumerateStrategy() if small else GuidedStrategy()
        return strategy.propose(generator, request)


STRATEGIES: dict[str, Strategy] = {
    "guided": GuidedStrategy(),
    "enumerate": EnumerateStrategy(),
    "auto": AutomaticStrategy(),
    "random": RandomStrategy(),
    "mutation": MutationStrategy(),
    "mutation+random": MixedStrategy(),
}


def make_strategy(strategy: str | Strategy) -> Strategy:
    """Return the strategy of a name, or the one given.

    Raises:
        ValueError: if the name is not one of `STRATEGIES`.
    """
    if not isinstance(strategy, str):
        return strategy
    if strategy not in STRATEGIES:
        raise ValueError(f"unknown strategy {strategy!r}; known: {', '.join(STRATEGIES)}")
    return STRATEGIES[strategy]


def available(
    generator: GuidedGenerator[A],
    n: int,
    guide: Guide | None = None,
    *,
    known: Collection[Hashable],
) -> list[A]:
    """Generate `n` new architectures, or as many as the space still has."""
    try:
        return generator.generate(n, guide, known=known)
    except SpaceExhausted as exhausted:
        found: list[A] = exhausted.found
        return found
