"""A function of architectures in the place of a table: a benchmark's predictor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide, score
from naslib_diffusion.optimize.maximize import Maximizer
from naslib_diffusion.spaces.base import A, Space
from naslib_diffusion.tables.table import Direction, Table

REFERENCE = 10_000
"""Random architectures that stand for the space where values are compared: ranks, figures."""
CHUNK = 1000


class PredictedTable(Table[A]):
    """A table that knows the value of every architecture of a space, by a predictor.

    Its rows are a fixed random sample and the best that guided search finds by the predictor
    itself, which counts as the optimum.

    Args:
        name: what to call the table, for people.
        space: of the architectures.
        predictor: maps encodings, `B x *shape`, to values, `B`.
        objective: what the values are, for people.
        direction: "maximize" or "minimize".
    """

    def __init__(
        self,
        name: str,
        space: Space[A],
        predictor: Guide,
        *,
        objective: str,
        direction: Direction = "maximize",
    ) -> None:
        self.predictor = predictor
        sign = 1.0 if direction == "maximize" else -1.0

        def guide(x: Tensor) -> Tensor:
            return sign * score(predictor, x)

        drawn = space.sample(REFERENCE, torch.Generator().manual_seed(0))
        best = Maximizer(space, seed=0)(guide).archs
        archs = list(dict.fromkeys([*best, *drawn]))
        values = _predict(predictor, space, archs)
        super().__init__(name, space, archs, values, objective=objective, direction=direction)
        self.space, self.complete = space, False

    def within(self, space: Space[A]) -> PredictedTable[A]:
        """Return the same for a part of the space."""
        return PredictedTable(
            self.name, space, self.predictor, objective=self.objective, direction=self.direction
        )

    def __getitem__(self, arch: A) -> float:
        """Return the predicted value of `arch`."""
        return _predict(self.predictor, self.space, [arch])[0]

    def __contains__(self, arch: A) -> bool:
        """Whether `arch` is of the space."""
        return self.space.is_valid(arch)

    def outcome(self, arch: A) -> float:
        """Return the predicted value of `arch`: none fails."""
        return self[arch]

    @property
    def distinct(self) -> int:
        """Number of architectures that differ in canonical form, all of the space."""
        return len(self) if self.space.size is None else self.space.size


@torch.no_grad()
def _predict(predictor: Guide, space: Space[A], archs: Sequence[A]) -> list[float]:
    parts = (archs[i : i + CHUNK] for i in range(0, len(archs), CHUNK))
    return [value for part in parts for value in score(predictor, space.encode(part)).tolist()]
