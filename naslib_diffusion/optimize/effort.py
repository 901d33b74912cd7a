"""How hard to try to maximise a function over a space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from naslib_diffusion.optimize.block_moves import count_moves
from naslib_diffusion.optimize.climb import ESCAPES
from naslib_diffusion.optimize.scores import CHUNK
from naslib_diffusion.spaces.base import Space, UniformBlock

FEW_MOVES = 64
"""Up to so many moves, such as those of a cell, a space counts as small."""
MANY_MOVES = 256
"""Above so many moves, a sweep of the polish scores twice as many."""


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Attributes:
        probes: random architectures that set the unit of guidance, and compete as starts.
        samples: architectures to generate; 0 turns the generator off, and takes 32 more probes.
        steps: of denoising.
        scale: strength of the guidance, see `GuidedGenerator.generate`. The default is sharp.
        starts: how many of the best are polished; 0 turns the polish off.
        screen: moves that a sweep of the polish scores; see `climb`.
        pairs: moves that are combined with a second one at its end; see `climb`.
        sweeps: that all starts may take; then the best goes on alone.
        escapes: how often that one tries all moves at the end of a climb; see `climb`.
        iterations: of one ascent along continua, at most.
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
    escapes: int = ESCAPES
    iterations: int = 100
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
            return Effort(samples=0, steps=6, starts=3)
        return Effort(steps=6, screen=16 if count <= MANY_MOVES else 32)
