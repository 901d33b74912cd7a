"""Constraints on candidates as BoTorch's users write them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Linear = tuple[Tensor, Tensor, float]
"""(indices, coefficients, rhs): `sum_i X[indices[i]] * coefficients[i] >= rhs`."""
Constraint = Callable[[Tensor], Tensor] | Sequence[Linear]
"""A function of candidates, `n x d`, to `n` booleans or numbers (met if not negative); or linear
inequalities as `optimize_acqf` takes them, all of which are to be met."""


def slack_of(constraint: Constraint, candidates: Tensor) -> Tensor:
    """Return how far candidates, `n x d`, are from breaking a constraint: `n`, negative if broken.

    Raises:
        ValueError: if a function does not return one value per candidate.
    """
    if callable(constraint):
        value = constraint(candidates)
        if value.shape != candidates.shape[:1]:
            raise ValueError(
                f"constraint must map {tuple(candidates.shape)} to ({len(candidates)},), "
                f"not to {tuple(value.shape)}"
            )
        return value.to(candidates) - 1 if value.dtype == torch.bool else value
    total = candidates.new_zeros(len(candidates))
    for indices, coefficients, rhs in constraint:
        left = (candidates[:, indices] * coefficients.to(candidates)).sum(-1)
        total = total + (left - rhs).clamp(max=0)
    return total
