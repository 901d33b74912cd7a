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

REACH = 0.2
"""Distance, in encodings, beyond which a label counts as far from the border."""
CAUTION = 3.0
"""Posterior deviations by which a label's constraint is taken to be worse than its mean."""


@dataclass(frozen=True)
class Feasibility:
    """Logarithm of the probability that all constraints are met, as independent surrogates see it.

    Attributes:
        models: for each constraint its surrogate, on a scale of its own, zero on that scale, and
            by how many deviations the mean is taken to be worse.
    """

    models: tuple[tuple[Surrogate, float, float], ...]

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
            encoded = x[known.to(x.device)]
            caution = 0.0
            if len(values.unique()) == 2:  # labels, such as failures, hide how far the border is
                values, caution = signed_distances(encoded, values > 0), CAUTION
            spread = float(values.std()) if len(values) > 1 else 0.0
            center, spread = float(values.mean()), spread or 1.0
            targets = ((values - center) / spread).to(x)
            fitted = copy.copy(surrogate).fit(encoded, targets)
            models.append((fitted, -center / spread, caution))
        return cls(tuple(models)) if models else None

    def __call__(self, x: Tensor) -> Tensor:
        """Score encodings, `B x *shape` to `B`."""
        total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        for model, zero, caution in self.models:
            mean, deviation = model.posterior(x)
            total = total + torch.special.log_ndtr((zero - mean) / deviation - caution)
        return total


@dataclass(frozen=True)
class Constrained:
    """An acquisition function plus the log-probability of feasibility (Gardner et al., 2014)."""

    acquisition: Guide
    feasibility: Feasibility

    def __call__(self, x: Tensor) -> Tensor:
        """Score encodings, `B x *shape` to `B`."""
        return self.acquisition(x) + self.feasibility(x)


def signed_distances(x: Tensor, violated: Tensor) -> Tensor:
    """Return how far each encoding is from the nearest of the other label, at most `REACH`.

    Positive where the label is a violation. A surrogate fits the kink of a distance better than
    the step of a label, which it takes for noise.

    Args:
        x: encodings, `B x *shape`.
        violated: labels, `B`.

    Returns:
        Distances, `B`, in double precision on the CPU.
    """
    points = x.flatten(1).double().cpu()
    same = violated[:, None] == violated
    distances = torch.cdist(points, points).masked_fill(same, torch.inf).amin(1).clamp(max=REACH)
    return torch.where(violated, distances, -distances)
