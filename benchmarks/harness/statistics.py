"""What curves of paired searches tell: evaluations to a value, paired tests, mean ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, studentized_range, wilcoxon

Floats = NDArray[np.float64]


def evaluations_to(curves: Floats, target: float) -> Floats:
    """Return the evaluations until `target`, one for each seed; one more than the budget if not.

    Args:
        curves: best values so far, `seeds x steps`.
        target: the value.
    """
    reached = curves >= target
    counts: Floats = np.where(reached.any(1), reached.argmax(1) + 1.0, curves.shape[1] + 1.0)
    return counts


def paired(a: Floats, b: Floats) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test on pairs; 1 if all are equal."""
    if np.all(a == b):
        return 1.0
    return float(wilcoxon(a, b).pvalue)


def holm(ps: Sequence[float]) -> list[float]:
    """Adjust the p of several tests so that any false alarm is as rare (Holm, 1979)."""
    adjusted, largest = [0.0] * len(ps), 0.0
    for place, i in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min((len(ps) - place) * ps[i], 1.0))
        adjusted[i] = largest
    return adjusted


def mean_ranks(curves: Sequence[Floats]) -> Floats:
    """Return the mean rank of each method over seeds, 1 is best: by the last value, then by speed.

    Args:
        curves: best values so far of each method, `seeds x steps`, paired by seed.
    """
    ranks = [
        rankdata(_places([own[seed] for own in curves])) for seed in range(curves[0].shape[0])
    ]
    found: Floats = np.mean(ranks, axis=0)
    return found


def _places(curves: Sequence[Floats]) -> list[int]:
    """Return the place of each curve, equal for those of equal last value and speed."""
    keys = [(-curve[-1], int((curve < curve[-1]).sum())) for curve in curves]
    order = sorted(set(keys))
    return [order.index(key) for key in keys]


def critical_difference(methods: int, blocks: int) -> float:
    """Return by how much mean ranks must differ at 5 % (Nemenyi; Demsar, JMLR 2006)."""
    q = float(studentized_range.ppf(0.95, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * blocks))
