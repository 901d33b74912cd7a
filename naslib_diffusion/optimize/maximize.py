"""Maximise a function over a space: generate under its guidance, then polish the best."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.diffusion.schedules import karras_sigmas
from naslib_diffusion.optimize.climb import Filter, Scores, ascend, climb
from naslib_diffusion.optimize.generator import (
    SHARPNESS,
    GuidedGenerator,
    SpaceExhausted,
    default_scale,
    upper_deviation,
)
from naslib_diffusion.optimize.moves import Moves, enumerate_blocks
from naslib_diffusion.runtime.threads import one_thread
from naslib_diffusion.spaces.base import Space, UniformBlock, sample_some
from naslib_diffusion.spaces.restricted import Restricted

A = TypeVar("A", bound=Hashable)

ENUMERATED = 1024
"""Spaces of at most so many encodings are enumerated: exact, and cheaper than anything else."""
FEW_MOVES = 64
"""Up to so many moves, such as those of a cell, a space counts as small."""
MANY_MOVES = 256
"""Above so many moves, a sweep of the polish scores twice as many."""
APART = 4.0
"""Squared distance between the starts of the polish: more than two one-hots, if possible."""
ENUMERATED_AT_LAST = 2**16
"""The same where all that was found is known already."""
HALVINGS = 20
"""Attempts to shorten a step along continua that leads to what is not valid."""
ROUNDING = 1e-8
"""Constraints may be violated by so much."""


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Attributes:
        probes: random architectures that set the unit of guidance, and compete as starts.
        samples: architectures to generate; 0 turns the generator off, and takes 32 more probes.
        steps: of denoising.
        scale: of guidance, see `GuidedGenerator.generate`; sharp for the space unless told.
        starts: how many of the best are polished; 0 turns the polish off.
        screen: moves that a sweep of the polish scores; see `climb`.
        pairs: moves that are combined with a second one at its end; see `climb`.
        rounds: how often continuous and discrete ascent take turns, at most.
        chunk: encodings that the function is given at once.
    """

    probes: int = 32
    samples: int = 32
    steps: int = 10
    scale: float | None = None
    starts: int = 8
    screen: int = 16
    pairs: int = 8
    rounds: int = 20
    chunk: int = 256

    @staticmethod
    def of(space: Space[Any]) -> Effort:
        """Return what suits a space.

        In small ones, climbing from random starts costs less than the gradients that generation
        needs, and finds the same. Where all is discrete, the climb puts right what a short
        generation leaves. Where choices meet continua, climbing takes turns, so that a
        start costs more: rather fewer of them, from a larger batch.
        """
        blocks = space.blocks or ()
        continuous = [isinstance(block, UniformBlock) for block in blocks]
        if all(continuous):
            return Effort()
        if any(continuous):
            return Effort(samples=64, starts=6)
        count = Moves(blocks).count
        if count <= FEW_MOVES:
            return Effort(samples=0, starts=3)
        return Effort(steps=6, screen=16 if count <= MANY_MOVES else 32)


@dataclass(frozen=True, eq=False)
class Maxima(Generic[A]):
    """The best that was found, best first.

    Attributes:
        archs: distinct, valid and not known; fewer than wanted only if the space has no more.
        values: of the function, one for each.
        evaluations: encodings at which the function was evaluated, relaxed ones included.
    """

    archs: list[A]
    values: Tensor
    evaluations: int


class Maximizer(Generic[A]):
    """Finds the architectures of a space at which a function is largest.

    A guided batch of the generator is discretised; from the best of it and of a few random
    architectures, coordinate ascent goes on until no single decision can be improved.

    Args:
        space: where to look. Its law has to factorise into `blocks`.
        effort: how hard to try; what suits the space unless told.
        device: where the function is evaluated.
        seed: of all random decisions.

    Raises:
        ValueError: if the law of the space does not factorise.
    """

    def __init__(
        self,
        space: Space[A],
        effort: Effort | None = None,
        *,
        device: torch.device | str | None = None,
        seed: int = 0,
    ) -> None:
        self.space, self.effort = space, effort or Effort.of(space)
        sigmas = karras_sigmas(self.effort.steps)
        self.generator = GuidedGenerator(space, device=device or "cpu", seed=seed, sigmas=sigmas)
        self.device = self.generator.device
        self.blocks = space.blocks or ()  # the generator has refused a space without
        self.moves = Moves(self.blocks, self.device)
        self.random = torch.Generator().manual_seed(seed + 1)

    @one_thread()
    def __call__(
        self,
        guide: Guide,
        n: int = 1,
        *,
        known: Collection[Hashable] = (),
        slack: Guide | None = None,
        starts: Sequence[A] = (),
    ) -> Maxima[A]:
        """Return the best `n` distinct valid architectures that are not known.

        Args:
            guide: maps encodings, `B x *shape`, to scores to be maximised, `B`.
            n: how many, at least 1.
            known: canonical keys of architectures not to be returned.
            slack: maps flat encodings, `R x D`, to how far they are from breaking a constraint,
                `R`; negative for those that must not be returned, which are repaired by single
                moves where that is possible.
            starts: architectures from which to climb as well.

        Raises:
            ValueError: if the function is NaN somewhere or returns a wrong shape.
        """
        scores = Scores(guide, self.space.shape, self.effort.chunk)
        everything = enumerate_blocks(self.blocks, ENUMERATED)
        if everything is not None:
            scores(_only(everything.to(self.device), slack))
        else:
            self._explore(scores, slack, starts)
        found = list(itertools.islice(self._new(scores, known, slack), n))
        if len(found) < n and everything is None:
            found = self._look_everywhere(scores, n, known, slack)
        values = torch.tensor([value for _, value in found], dtype=torch.double)
        return Maxima([arch for arch, _ in found], values, scores.count)

    def _explore(self, scores: Scores, slack: Guide | None, starts: Sequence[A]) -> None:
        """Probe, generate, polish."""
        effort = self.effort
        given = self._encode(starts)
        scores(given)
        count = effort.probes + 32 * (not effort.samples)
        probes = self._repair(self._encode(sample_some(self.space, count, self.random)), slack)
        values = scores(probes)
        if effort.samples and len(probes):
            scores(self._repair(self._generate(scores, probes, values), slack))
        if effort.starts and scores.count:
            x = _apart(self._valid_first(scores), effort.starts)
            self._polish(torch.cat([given, x]), scores, slack)

    def _repair(self, x: Tensor, slack: Guide | None) -> Tensor:
        """Keep what meets the constraint, and what can be led there by single moves."""
        if slack is None:
            return x
        met = _meets(slack, x)
        broken = Scores(lambda rows: slack(rows).clamp(max=0), x.shape[1:], self.effort.chunk)
        if bool(met.all()) or not self.moves.count:
            return x[met]
        repaired, _ = climb(x[~met], broken, self.moves, pairs=0, valid=self._valid)
        return torch.cat([x[met], _only(repaired, slack)])

    def _generate(self, scores: Scores, probes: Tensor, values: Tensor) -> Tensor:
        """Generate one batch under guidance, rounded to encodings of architectures."""
        unit = upper_deviation(values)
        scale = self.effort.scale
        if scale is None:
            scale = SHARPNESS * default_scale(self.effort.samples, self.space.size)
        blind = self._blind(scores, probes)
        guide = (lambda x: scores.relaxed(self._round(x))) if blind else scores.relaxed
        strength = scale / unit if unit > 0 else 0.0
        x = self.generator.denoise(self.effort.samples, guide, strength, blind=blind)
        return self.moves.round(x.flatten(1))

    def _blind(self, scores: Scores, probes: Tensor) -> bool:
        """Whether the function has no gradient with respect to some decision."""
        _, gradient = scores.gradient(probes[:2])
        gains = self.moves.gains(probes[:2], gradient)
        return gradient is None or bool((gains == torch.inf).any())

    def _round(self, x: Tensor) -> Tensor:
        return self.moves.round(x.flatten(1)).view_as(x)

    def _valid(self, x: Tensor) -> Tensor:
        """Tell which flat encodings are of valid architectures."""
        archs = self.space.decode(x.view(-1, *self.space.shape).cpu())
        return torch.tensor([self.space.is_valid(arch) for arch in archs], device=x.device)

    def _valid_first(self, scores: Scores) -> Tensor:
        """Return the best of what was scored, distinct and valid."""
        x: Tensor = torch.unique_consecutive(scores.visited()[0], dim=0)
        x = x[: 8 * self.effort.starts]
        return x[self._valid(x)]

    def _polish(self, x: Tensor, scores: Scores, slack: Guide | None) -> None:
        """Climb; where coordinates are continuous, in turns with L-BFGS."""
        free, before = self.moves.continuous, -torch.inf
        allowed: Filter | None = None if slack is None else partial(_meets, slack)
        for _ in range(self.effort.rounds if len(free) else 1):
            if len(free):
                x, values = self._ascend(x, scores, allowed)
            if self.moves.count:
                x, values = climb(
                    x,
                    scores,
                    self.moves,
                    screen=self.effort.screen,
                    pairs=self.effort.pairs,
                    allowed=allowed,
                    valid=self._valid,
                )
            best = float(values.max())
            if best <= before + 1e-9 * abs(before):
                break
            before = best

    def _ascend(self, x: Tensor, scores: Scores, allowed: Filter | None) -> tuple[Tensor, Tensor]:
        """Ascend along continua, and back halfway as often as it takes to be valid."""
        better, _ = ascend(x, scores, self.moves.continuous)
        for _ in range(HALVINGS):
            bad = ~self._valid(better)
            if allowed is not None:
                bad |= ~allowed(better)
            if not bool(bad.any()):
                break
            better[bad] = (better[bad] + x[bad]) / 2
        else:
            better = torch.where(bad[:, None], x, better)
        return better, scores(better)

    def _encode(self, archs: Sequence[A]) -> Tensor:
        return self.space.encode(archs).flatten(1).to(self.device)

    def _new(
        self, scores: Scores, known: Collection[Hashable], slack: Guide | None
    ) -> Iterator[tuple[A, float]]:
        """Yield what was scored and is valid and not known, distinct, best first."""
        x, values = scores.visited()
        if slack is not None:
            met = _meets(slack, x)
            x, values = x[met], values[met]
        seen = set(known)
        for start in range(0, len(x), 16):
            part = x[start : start + 16].view(-1, *self.space.shape)
            archs = self.space.decode(part.cpu())
            for arch, value in zip(archs, values[start : start + 16].tolist(), strict=True):
                key = self.space.canonical(arch)
                if key not in seen and self.space.is_valid(arch):
                    seen.add(key)
                    yield arch, value

    def _look_everywhere(
        self, scores: Scores, n: int, known: Collection[Hashable], slack: Guide | None
    ) -> list[tuple[A, float]]:
        """Find up to `n` where little is left: by enumeration, or at random in a large space."""
        everything = enumerate_blocks(self.blocks, ENUMERATED_AT_LAST)
        if everything is not None:
            scores(_only(everything.to(self.device), slack))
        else:
            space = Restricted(self.space, lambda arch: self._meets(arch, slack))
            generator = GuidedGenerator(space, device=self.device, seed=self.random.initial_seed())
            try:
                archs = generator.generate(n, known=known)
            except SpaceExhausted as exhausted:
                archs = exhausted.found
            except ValueError:  # hardly anything is allowed
                archs = []
            scores(self._encode(archs))
        return list(itertools.islice(self._new(scores, known, slack), n))

    def _meets(self, arch: A, slack: Guide | None) -> bool:
        return slack is None or bool(_meets(slack, self._encode([arch])))


def _meets(slack: Guide, x: Tensor) -> Tensor:
    """Tell which of `R x D` meet the constraint, up to rounding."""
    if not len(x):
        return torch.ones(0, dtype=torch.bool, device=x.device)
    with torch.no_grad():
        return torch.ge(slack(x), -ROUNDING)


def _only(x: Tensor, slack: Guide | None) -> Tensor:
    return x if slack is None else x[_meets(slack, x)]


def _apart(x: Tensor, count: int) -> Tensor:
    """Choose `count` of `x` (`R x D`, best first): far from each other first, then the best."""
    chosen: list[int] = []
    squares = torch.cdist(x, x).square()
    for i in range(len(x)):
        if len(chosen) < count and all(squares[i, j] > APART for j in chosen):
            chosen.append(i)
    rest = [i for i in range(len(x)) if i not in chosen]
    return x[chosen + rest[: count - len(chosen)]]
