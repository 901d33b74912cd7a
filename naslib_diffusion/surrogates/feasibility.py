"""Constraints that are known only after an evaluation: how likely a candidate meets them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.surrogates.base import Surrogate


@dataclass(frozen=True)
class Feasibility:
    """Logarithm of the probability that all constraints are met, as independent surrogates see it.

    Attributes:
        models: for each constraint its surrogate, on a scale of its own, and zero on that scale.
    """

    models: tuple[tuple[Surrogate, float], ...]

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
        models = []
        for column in table.T:
            known = column.isfinite()
            values = column[known]
            if not (values > 0).any():
                continue
            spread = float(values.std()) if len(values) > 1 else 0.0
            center, spread = float(values.mean()), spread or 1.0
            targets = ((values - center) / spread).to(x)
            models.append(
                (copy.copy(surrogate).fit(x[known.to(x.device)], targets), -center / spread)
            )
        return cls(tuple(models)) if models else None

    def __call__(self, x: Tensor) -> Tensor:
        """Score encodings, `B x *shape` to `B`."""
        total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        for model, zero in self.models:
            mean, deviation = model.posterior(x)
            total = total + torch.special.log_ndtr((zero - mean) / deviation)
        return total


@dataclass(frozen=True)
class Constrained:
    """An acquisition function plus the log-probability of feasibility (Gardner et al., 2014)."""

    acquisition: Guide
    feasibility: Feasibility

    def __call__(self, x: Tensor) -> Tensor:
        """Score encodings, `B x *shape` to `B`."""
        return self.acquisition(x) + self.feasibility(x)
