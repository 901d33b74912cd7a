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

A = TypeVar("A", bound=Hashable)

INCUMBENTS = 20
"""How many of the best architectures a strategy gets to see."""
DRAWN = 64
"""For each random architecture, so many are drawn once something failed."""


@dataclass(frozen=True)
class Proposer:
    """How a search proposes what to evaluate next.

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
        known = history.pending_or_failed if self.repeats else set(asked)
        proposal = Proposal(self, history, modeler, generator, random, known)
        if at_random := min(n, max(self.initial - len(asked), 0)):
            proposal.add(proposal.draw(at_random))
        while (missing := n - len(proposal.archs)) > 0:
            if history.finished:
                found = proposal.find(missing)
            elif modeler.priors:
                # One by one, each given the ones before it: they spread over what priors
                # disagree on.
                found = proposal.find(1)
            else:
                found = proposal.draw(missing)
            if not found:
                break
            proposal.add(found)
        return proposal


@dataclass
class Proposal(Generic[A]):
    """What is proposed, and what was believed when it was.

    Attributes:
        proposer: how it is made.
        history: what was asked and told.
        modeler: fits the model.
        generator: draws architectures.
        random: for every other random decision.
        known: canonical forms that must not be proposed.
        archs: distinct architectures, fewer than wanted if the space has no more.
        belief: the model and its acquisition function; None if they were not consulted, or
            nothing was known but priors.
    """

    proposer: Proposer
    history: History[A]
    modeler: Modeler[A]
    generator: GuidedGenerator[A]
    random: torch.Generator
    known: set[Hashable]
    archs: list[A] = field(default_factory=list)
    belief: tuple[Model, Guide] | None = None

    def add(self, found: Sequence[A]) -> None:
        """Propose some more."""
        self.archs += found
        self.known |= {self.modeler.space.canonical(arch) for arch in found}

    @torch.no_grad()
    def draw(self, n: int) -> list[A]:
        """Draw at random; once something failed, the first of many that will probably not."""
        feasibility = self.modeler.feasibility(self.history.trials)
        if feasibility is None:
            return available(self.generator, n, known=self.known)
        drawn = available(self.generator, DRAWN * n, known=self.known)
        if not drawn:
            return []
        likely = feasibility(self.modeler.encode(drawn)).clamp(max=feasibility.demand)
        order = likely.argsort(descending=True, stable=True)
        return [drawn[i] for i in order[:n].tolist()]

    def find(self, n: int) -> list[A]:
        """Let the strategy find candidates under the acquisition function; pick the best `n`."""
        model = self.modeler.fit(self.history.trials, [*self.history.pending, *self.archs])
        request = Request(
            n=max(self.proposer.candidates, 2 * n),
            known=frozenset(self.known),
            incumbents=self.history.incumbents(INCUMBENTS),
            acquisition=model.guide(self.random),
            random=self.random,
            by_row=model.acquisition == "its",
        )
        if self.history.finished:
            self.belief = model, request.acquisition
        found = self.proposer.strategy.propose(self.generator, request)
        if not found:
            return []
        return [found[i] for i in pick(model, self.modeler.encode(found), n, self.random)]
