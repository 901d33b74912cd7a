"""Candidate strategies: ways to optimise an acquisition function (paper, Section 3.4).

A strategy proposes distinct new candidates; the search scores them and picks. `random` and
`mutation` are the paper's baselines, `guided` generates candidates under guidance.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import torch

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.optimize.generator import GuidedGenerator, SpaceExhausted
from naslib_diffusion.optimize.maximize import Maximizer
from naslib_diffusion.spaces.base import UniformBlock
from naslib_diffusion.surrogates.acquisition import IndependentThompson

A = TypeVar("A", bound=Hashable)


@dataclass(frozen=True)
class Request:
    """What a strategy is asked for.

    Attributes:
        n: number of candidates wanted.
        known: canonical keys that must not be proposed.
        incumbents: the best architectures so far, best first.
        acquisition: scores encodings, to be maximised.
        random: for every random decision.
    """

    n: int
    known: Collection[Hashable]
    incumbents: Sequence[Any]
    acquisition: Guide
    random: torch.Generator


class Strategy(Protocol):
    """Proposes candidates for the next evaluations."""

    def propose(self, generator: GuidedGenerator[A], request: Request) -> list[A]:
        """Return up to `request.n` (or a few more) distinct architectures that are not known.

        Fewer, down to none, only if the space has no more.
        """


@dataclass(frozen=True)
class RandomStrategy:
    """Uniform samples of the space."""

    def propose(self, generator: GuidedGenerator[A], request: Request) -> list[A]:
        """Sample distinct new architectures."""
        return available(generator, request.n, known=request.known)


@dataclass(frozen=True)
class MutationStrategy:
    """One random change to one of the best architectures; random ones where those run out."""

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
    """Half mutants of the best, half uniform samples (the paper's mutation + random)."""

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
    """Guided generation, then a short discrete polish of the best candidates and the incumbents.

    Where coordinates are continuous, they are polished by gradients, in turns with the others
    (see `Maximizer`): single steps at random would take long, and stop short of the top.

    Attributes:
        polish: number of candidates that are polished, and of incumbents beside them; 0 turns the
            polish off.
    """

    polish: int = 8

    def propose(self, generator: GuidedGenerator[A], request: Request) -> list[A]:
        """Generate under the guidance of the acquisition function."""
        blocks = generator.space.blocks or ()
        continuous = any(isinstance(block, UniformBlock) for block in blocks)
        if continuous and self.polish and not isinstance(request.acquisition, IndependentThompson):
            seed = int(torch.randint(2**31, (), generator=request.random))
            maximize = Maximizer(generator.space, device=generator.device, seed=seed)
            starts = request.incumbents[: self.polish // 2]
            return maximize(
                request.acquisition, request.n, known=request.known, starts=starts
            ).archs
        return available(
            generator,
            request.n,
            request.acquisition,
            known=request.known,
            polish=self.polish,
            starts=request.incumbents[: self.polish],
        )


STRATEGIES: dict[str, Strategy] = {
    "guided": GuidedStrategy(),
    "random": RandomStrategy(),
    "mutation": MutationStrategy(),
    "mutation+random": MixedStrategy(),
}


def available(
    generator: GuidedGenerator[A],
    n: int,
    guide: Guide | None = None,
    *,
    known: Collection[Hashable],
    polish: int = 0,
    starts: Sequence[A] = (),
) -> list[A]:
    """Generate `n` new architectures, or as many as the space still has."""
    try:
        return generator.generate(n, guide, known=known, polish=polish, starts=starts)
    except SpaceExhausted as exhausted:
        found: list[A] = exhausted.found
        return found
