"""Polish: ascent from given encodings, and the best valid ones of all that it scored."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.optimize.block_moves import count_moves
from naslib_diffusion.optimize.climb import Filter, ascend, climb
from naslib_diffusion.optimize.moves import moves_of
from naslib_diffusion.optimize.scores import CHUNK, Scores
from naslib_diffusion.spaces.base import Space, UniformBlock

A = TypeVar("A", bound=Hashable)

FEW_MOVES = 64
"""Up to so many moves, such as those of a cell, a space counts as small."""
MANY_MOVES = 256
"""Above so many moves, a sweep of the polish scores twice as many."""
HALVINGS = 20
"""Attempts to shorten a step along continua that leads to what is not valid."""
ROUNDING = 1e-8
"""Constraints may be violated by so much."""
DECODED = 64
"""Encodings decoded at a time, of which most are not wanted."""


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
        sweeps: that all starts may take; then the best goes on alone.
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
    sweeps: int = 100
    rounds: int = 20
    chunk: int = CHUNK

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
        count = count_moves(blocks)
        if count <= FEW_MOVES:
            return Effort(samples=0, starts=3)
        return Effort(steps=6, screen=16 if count <= MANY_MOVES else 32)


class Polisher(Generic[A]):
    """Coordinate ascent in a space, in turns with L-BFGS where coordinates are continuous.

    Args:
        space: where to climb.
        effort: how hard to try; what suits the space unless told.
        device: of the encodings.
        random: for spaces that draw some of their neighbours at random.
    """

    def __init__(
        self,
        space: Space[A],
        effort: Effort | None = None,
        device: torch.device | str | None = None,
        random: torch.Generator | None = None,
    ) -> None:
        self.space, self.effort = space, effort or Effort.of(space)
        self.moves = moves_of(space, device, random)

    def __call__(self, x: Tensor, scores: Scores[A], slack: Guide | None = None) -> None:
        """Climb from encodings, `S x D`; all that is found is in `scores`."""
        free, before = self.moves.continuous, -torch.inf
        allowed: Filter | None = None if slack is None else partial(meets, slack)
        for _ in range(self.effort.rounds if len(free) else 1):
            if not len(x):
                break
            if len(free):
                x, values = self._ascend(x, scores, allowed)
            if self.moves.count:
                x, values = climb(
                    x,
                    scores,
                    self.moves,
                    screen=self.effort.screen,
                    pairs=self.effort.pairs,
                    max_sweeps=self.effort.sweeps,
                    allowed=allowed,
                    valid=self.valid,
                )
            best = float(values.max())
            if best <= before + 1e-9 * abs(before):
                break
            before = best

    def repair(self, x: Tensor, slack: Guide | None) -> Tensor:
        """Keep of `S x D` what meets the constraint, and what single moves lead there."""
        if slack is None:
            return x
        met = meets(slack, x)
        if bool(met.all()) or not self.moves.count:
            return x[met]
        broken = Scores(
            self.space, lambda rows: slack(rows.flatten(1)).clamp(max=0), chunk=self.effort.chunk
        )
        repaired, _ = climb(x[~met], broken, self.moves, pairs=0, valid=self.valid)
        return torch.cat([x[met], only(repaired, slack)])

    def valid(self, x: Tensor) -> Tensor:
        """Tell which flat encodings are of valid architectures."""
        archs = self.space.decode(x.view(-1, *self.space.shape).cpu())
        return torch.tensor([self.space.is_valid(arch) for arch in archs], device=x.device)

    def best(
        self,
        scores: Scores[A],
        key: Callable[[A], Hashable | None],
        slack: Guide | None = None,
    ) -> Iterator[tuple[A, float]]:
        """Yield what was scored and is valid, distinct in `key`, best first.

        Args:
            scores: what has been visited.
            key: of an architecture; None for one that is not wanted.
            slack: see `Maximizer`; what breaks the constraint is left out.
        """
        x, values = scores.visited()
        if slack is not None:
            met = meets(slack, x)
            x, values = x[met], values[met]
        seen = set()
        for start in range(0, len(x), DECODED):
            part = x[start : start + DECODED].view(-1, *self.space.shape)
            archs = self.space.decode(part.cpu())
            for arch, value in zip(archs, values[start : start + DECODED].tolist(), strict=True):
                own = key(arch)
                if own is not None and own not in seen and self.space.is_valid(arch):
                    seen.add(own)
                    yield arch, value

    def _ascend(
        self, x: Tensor, scores: Scores[A], allowed: Filter | None
    ) -> tuple[Tensor, Tensor]:
        """Ascend along continua, and back halfway as often as it takes to be valid."""
        better, _ = ascend(x, scores, self.moves.continuous)
        for _ in range(HALVINGS):
            bad = ~self.valid(better)
            if allowed is not None:
                bad |= ~allowed(better)
            if not bool(bad.any()):
                break
            better[bad] = (better[bad] + x[bad]) / 2
        else:
            better = torch.where(bad[:, None], x, better)
        return better, scores(better)


def meets(slack: Guide, x: Tensor) -> Tensor:
    """Tell which of `R x D` meet the constraint, up to rounding."""
    if not len(x):
        return torch.ones(0, dtype=torch.bool, device=x.device)
    with torch.no_grad():
        return torch.ge(slack(x), -ROUNDING)


def only(x: Tensor, slack: Guide | None) -> Tensor:
    """Keep what meets the constraint, if there is one."""
    return x if slack is None else x[meets(slack, x)]
