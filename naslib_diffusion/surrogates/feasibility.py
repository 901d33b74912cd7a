"""Constraints that are known only after an evaluation: how likely a candidate meets them."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.surrogates.base import Surrogate
from naslib_diffusion.surrogates.classifier import Classifier

FEW = 10
"""Up to so many evaluations, a candidate is rather not tried if it fails with probability 1/2;
after n, with 1/2 sqrt(FEW / n). First failures show where the border is, later ones hardly."""
CAUTION = 10.0
"""How much more the logarithm of the probability counts there."""
HOPELESS = -8.0
"""Below this, acquisition functions count little: where all that is likely is known, their
logarithms fall to minus thousands, and what hardly can be evaluated promises most for ever."""
LEAK = 0.5
"""How much the logarithm of what is missing counts there."""


@dataclass(frozen=True)
class Feasibility:
    """Logarithm of the probability that all constraints are met, as independent surrogates see it.

    Attributes:
        models: for each constraint the log-probability that it is met.
        known: evaluations that it was fitted to.
    """

    models: tuple[Guide, ...]
    known: int

    @classmethod
    def fit(
        cls, surrogate: Surrogate, x: Tensor, constraints: Sequence[Sequence[float]]
    ) -> Self | None:
        """Fit a copy of `surrogate` to each constraint, met if not positive.

        Args:
            surrogate: what to copy.
            x: encodings, `B x *shape`.
            constraints: values for each encoding; empty or not finite where they are unknown.

        Returns:
            None if there is no constraint, or none was ever violated.
        """
        count = max(map(len, constraints), default=0)
        padded = [[*row, *[torch.nan] * (count - len(row))] for row in constraints]
        table = torch.tensor(padded, dtype=torch.double).view(len(constraints), count)
        models: list[Guide] = []
        for column in table.T:
            known = column.isfinite()
            values = column[known]
            if not (values > 0).any():
                continue
            encoded = x[known.to(x.device)]
            if len(values.unique()) <= 2:  # labels, such as failures, hide how far the border is
                models.append(Classifier.fit(encoded, (values <= 0).to(x.device)))
            else:
                models.append(Limit.fit(surrogate, encoded, values))
        return cls(tuple(models), len(x)) if models else None

    @property
    def demand(self) -> float:
        """Logarithm of the probability below which a candidate is rather not tried."""
        return math.log1p(-0.5 * math.sqrt(FEW / max(self.known, FEW)))

    def __call__(self, x: Tensor) -> Tensor:
        """Score encodings, `B x *shape` to `B`."""
        return torch.stack([model(x) for model in self.models]).sum(0)


@dataclass(frozen=True)
class Limit:
    """Logarithm of the probability that a constraint is met, as a surrogate of its values sees it.

    Attributes:
        surrogate: of the constraint, on a scale of its own.
        zero: the limit on that scale.
    """

    surrogate: Surrogate
    zero: float

    @classmethod
    def fit(cls, surrogate: Surrogate, x: Tensor, values: Tensor) -> Self:
        """Fit a copy of `surrogate` to encodings, `B x *shape`, and values, `B`."""
        spread = float(values.std()) if len(values) > 1 else 0.0
        center, spread = float(values.mean()), spread or 1.0
        targets = ((values - center) / spread).to(x)
        return cls(copy.copy(surrogate).fit(x, targets), -center / spread)

    def __call__(self, x: Tensor) -> Tensor:
        """Score encodings, `B x *shape` to `B`."""
        mean, deviation = self.surrogate.posterior(x)
        found: Tensor = torch.special.log_ndtr((self.zero - mean) / deviation)
        return found


@dataclass(frozen=True)
class Constrained:
    """An acquisition function plus the log-probability of feasibility (Gardner et al., 2014)."""

    acquisition: Guide
    feasibility: Feasibility

    def __call__(self, x: Tensor) -> Tensor:
        """Score encodings, `B x *shape` to `B`."""
        worth, likely = self.acquisition(x), self.feasibility(x)
        worth = worth.clamp(min=HOPELESS) - LEAK * (HOPELESS - worth).clamp(min=0).log1p()
        return worth + likely + CAUTION * (likely - self.feasibility.demand).clamp(max=0)
