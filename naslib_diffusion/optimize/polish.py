"""Polish: repair of encodings, and ascent from them."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import Generic, TypeVar

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.optimize.choice import settle
from naslib_diffusion.optimize.climb import climb
from naslib_diffusion.optimize.continua import Continua, meets, only
from naslib_diffusion.optimize.effort import Effort
from naslib_diffusion.optimize.moves import moves_of
from naslib_diffusion.optimize.scores import Scores
from naslib_diffusion.optimize.validity import Validity
from naslib_diffusion.spaces.base import Space

A = TypeVar("A", bound=Hashable)


class Polisher(Generic[A]):
    """Coordinate ascent in a space, in turns with ascent along continua where there are any.

    Under a constraint, single moves may take continuous coordinates to their ends too, to give to
    one what they take from another.

    Args:
        space: where to climb.
        effort: how hard to try. The default suits the space.
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
        self.space, self.effort, self.random = space, effort or Effort.of(space), random
        self.moves = moves_of(space, device, random)
        self.valid = Validity(space)
        self._ends = moves_of(space, device, random, to_ends=True)

    def __call__(self, x: Tensor, scores: Scores[A], slack: Guide | None = None) -> None:
        """Climb from encodings, `S x D`; all that is found is in `scores`.

        Args:
            x: where to start.
            scores: what to maximise.
            slack: how far flat encodings are from breaking constraints, `R x D` to `R x M`.
        """
        continua, before = self._continua(slack), -torch.inf
        moves = self.moves if slack is None else self._ends
        some = bool(len(continua.columns))
        for _ in range(self.effort.rounds if some and moves.count else 1):
            if not len(x):
                break
            if some:
                x, values = continua.ascend(x, scores)
            if moves.count:
                x, values = climb(
                    x,
                    scores,
                    moves,
                    screen=self.effort.screen,
                    pairs=self.effort.pairs,
                    max_sweeps=self.effort.sweeps,
                    escapes=self.effort.escapes,
                    allowed=None if slack is None else partial(meets, slack),
                    valid=self.valid,
                )
            best = float(values.max())
            if best <= before + 1e-9 * abs(before):
                break
            before = best
        if some:
            settle(scores, continua.allowed, self.effort.rounds, self.random)

    def repair(self, x: Tensor, slack: Guide | None) -> Tensor:
        """Keep of `S x D` what meets all constraints, and what can be led there.

        By steps along continua, where constraints have a gradient, and by single moves.
        """
        if slack is None:
            return x
        continua = self._continua(slack)
        x = continua.repair(x)
        met = meets(slack, x)
        if bool(met.all()) or not self._ends.count:
            return x[met]

        def violation(rows: Tensor) -> Tensor:
            return slack(rows.flatten(1)).clamp(max=0).sum(1)

        broken = Scores(self.space, violation, chunk=self.effort.chunk)
        repaired, _ = climb(x[~met], broken, self._ends, pairs=0, valid=self.valid)
        return torch.cat([x[met], only(continua.repair(repaired), slack)])

    def _continua(self, slack: Guide | None) -> Continua:
        return Continua(self.moves.continuous, self.valid, slack, self.effort.iterations)
