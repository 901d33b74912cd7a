"""One ask of a search: random architectures first, then what a strategy finds under the model."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch

from naslib_diffusion.diffusion.exact import Denoiser
from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.optimize.generator import GuidedGenerator
from naslib_diffusion.search.history import History
from naslib_diffusion.search.model import Model, Modeler, pick
from naslib_diffusion.search.strategies import Request, Strategy, available
from naslib_diffusion.spaces.base import Space

A = TypeVar("A", bound=Hashable)

INCUMBENTS = 20
"""How many of the best architectures a strategy gets to see."""


@dataclass
class Proposal(Generic[A]):
    """What is proposed, and what was believed when it was.

    Attributes:
        known: canonical forms that must not be proposed.
        archs: distinct architectures, fewer than wanted if the space has no more.
        belief: the model and its acquisition function; None if they were not consulted, or
            nothing was known but priors.
    """

    known: set[Hashable]
    archs: list[A] = field(default_factory=list)
    belief: tuple[Model, Guide] | None = None

    def add(self, found: Sequence[A], space: Space[A]) -> None:
        """Propose some more."""
        self.archs += found
        self.known |= {space.canonical(arch) for arch in found}


@dataclass(frozen=True)
class Proposer(Generic[A]):
    """Proposes what to evaluate next.

    Attributes:
        strategy: finds candidates under the acquisition function.
        initial: random architectures before the surrogate is trusted.
        candidates: how many candidates the strategy proposes.
        repeats: whether what was told may be proposed again.
        denoiser: of the generator.
        device: where to compute.
    """

    strategy: Strategy
    initial: int
    candidates: int
    repeats: bool
    denoiser: Denoiser
    device: torch.device

    def propose(self, history: History[A], modeler: Modeler[A], n: int, seed: int) -> Proposal[A]:
        """Propose `n` architectures, none of them known, by the history and the seed alone."""
        random = torch.Generator().manual_seed(history.derived_seed(seed))
        generator = GuidedGenerator(
            modeler.space, self.denoiser, self.device, seed=random.initial_seed() + 1
        )
        asked = history.asked
        proposal: Proposal[A] = Proposal(history.pending_or_failed if self.repeats else set(asked))
        if at_random := min(n, max(self.initial - len(asked), 0)):
            proposal.add(available(generator, at_random, known=proposal.known), modeler.space)
        while (missing := n - len(proposal.archs)) > 0:
            if history.finished:
                found = self._best(proposal, missing, history, modeler, generator, random)
            elif modeler.priors:
                # One by one, each given the ones before it: they spread over what priors
                # disagree on.
                found = self._best(proposal, 1, history, modeler, generator, random)
            else:
                found = available(generator, missing, known=proposal.known)
            if not found:
                break
            proposal.add(found, modeler.space)
        return proposal

    def _best(
        self,
        proposal: Proposal[A],
        n: int,
        history: History[A],
        modeler: Modeler[A],
        generator: GuidedGenerator[A],
        random: torch.Generator,
    ) -> list[A]:
        """Let the strategy find candidates under the acquisition function; pick the best `n`."""
        model = modeler.fit(history.trials, [*history.pending, *proposal.archs])
        request = Request(
            n=max(self.candidates, 2 * n),
            known=frozenset(proposal.known),
            incumbents=history.incumbents(INCUMBENTS),
            acquisition=model.guide(random),
            random=random,
        )
        if history.finished:
            proposal.belief = model, request.acquisition
        found = self.strategy.propose(generator, request)
        if not found:
            return []
        return [found[i] for i in pick(model, modeler.encode(found), n, random)]
