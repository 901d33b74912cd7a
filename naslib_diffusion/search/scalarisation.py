"""Several objectives as one: the random scalarisation of ParEGO (Knowles, 2006)."""

from __future__ import annotations

import torch
from torch import Tensor

AUGMENTATION = 0.05
"""Weight of the plain weighted sum, which orders what the largest weighted gap leaves equal."""


def random_weights(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw `count` weights uniformly from the simplex."""
    draws = -torch.log(torch.rand(count, generator=generator, dtype=torch.double).clamp(min=1e-12))
    return draws / draws.sum()


def chebyshev(values: Tensor, weights: Tensor) -> Tensor:
    """Return the augmented Chebyshev scalarisation, to be maximised, `n` from `n x m`.

    Each maximiser of `-max_j w_j gap_j`, with `gap_j` the distance to the best value of objective
    j in units of its range over the Pareto front, is on the front, whatever the front's shape.

    Args:
        values: objectives, all to be maximised, `n x m`; rows with a NaN stay NaN.
        weights: non-negative, `m`.
    """
    finite = values.isfinite().all(1)
    if not finite.any():
        return torch.full_like(values[:, 0], torch.nan)
    front = values[finite][pareto(values[finite])]
    best, worst = front.amax(0), front.amin(0)
    whole = values[finite].amax(0) - values[finite].amin(0)
    spread = torch.where(best > worst, best - worst, whole)
    gaps = (best - values) / torch.where(spread > 0, spread, 1.0)
    weighted = gaps * weights
    scalar = -(weighted.amax(1) + AUGMENTATION * weighted.sum(1))
    return torch.where(finite, scalar, torch.nan)


def pareto(values: Tensor) -> Tensor:
    """Return which rows of `n x m` no other row dominates, all objectives to be maximised."""
    least = (values[:, None] >= values[None]).all(-1)
    strictly = (values[:, None] > values[None]).any(-1)
    return ~(least & strictly).any(0)
