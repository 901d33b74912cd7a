"""Mean ranks over tasks, and which differences between them are more than chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, studentized_range

LEVEL = 0.05
"""Probability that equal samplers differ by more than the critical difference."""


def mean_ranks(table: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return each sampler's mean rank, 1 the best; equals share their ranks.

    Args:
        table: by sampler, what it lost on each task, in the same order for all.
    """
    losses: NDArray[np.float64] = np.array(list(table.values()))
    means = rankdata(losses, axis=0).mean(1)
    return dict(zip(table, means.tolist(), strict=True))


def critical_difference(samplers: int, tasks: int) -> float:
    """Return how far mean ranks lie apart by chance at most (Nemenyi; Demsar, JMLR 2006)."""
    if samplers < 2:
        return 0.0
    quantile = studentized_range.ppf(1 - LEVEL, samplers, math.inf) / math.sqrt(2)
    return float(quantile * math.sqrt(samplers * (samplers + 1) / (6 * tasks)))
