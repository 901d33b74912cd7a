"""Numbers and axes on which the top of a table is resolved, whatever its unit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_diffusion.tables import Table

Floats = NDArray[np.float64]

TOP_SHARE = 0.01
"""The share of a table that gets about as much room on a stretched axis as the next decade."""


def formatter(table: Table[Any]) -> Callable[[float], str]:
    """Return how to write values of a table: about four digits of its range, and no more."""
    spread = float(np.ptp(table.values)) or abs(table.optimum) or 1.0
    decimals = min(max(3 - math.floor(math.log10(spread)), 0), 8)
    return lambda value: f"{value:,.{decimals}f}"


@dataclass(frozen=True)
class StretchedAxis:
    """Maps values to `-log(gap + softening)`: better is larger, and the best get room.

    Attributes:
        table: whose values are mapped.
        softening: gap below which the axis is about linear.
    """

    table: Table[Any]
    softening: float

    @staticmethod
    def of(table: Table[Any]) -> StretchedAxis:
        """Fit the axis to a table."""
        gaps = np.sort(_gaps(table, table.values))
        softening = float(np.quantile(gaps, TOP_SHARE)) or float(gaps.mean()) or 1.0
        return StretchedAxis(table, softening)

    def __call__(self, values: ArrayLike) -> Floats:
        """Map values to positions on the axis."""
        gaps = _gaps(self.table, np.asarray(values, dtype=float))
        return -np.log(np.maximum(gaps, 0) + self.softening)

    def ticks(self, lowest: float, count: int = 7) -> list[float]:
        """Return round values between the position `lowest` and the best that are well apart."""
        sign = 1 if self.table.direction == "maximize" else -1
        worst_gap = math.exp(-lowest) - self.softening
        ends = sorted((self.table.optimum, self.table.optimum - sign * worst_gap))
        room = (float(self(self.table.optimum)) - lowest) / count
        chosen: list[float] = []
        for step in _round_steps(ends[1] - ends[0]):
            first = math.ceil(ends[0] / step - 1e-9)
            last = math.floor(ends[1] / step + 1e-9)
            for multiple in range(first, last + 1)[::sign][:200]:
                value = multiple * step
                if all(abs(float(self(value) - self(other))) >= room for other in chosen):
                    chosen.append(value)
        return sorted(chosen)


def _gaps(table: Table[Any], values: Floats) -> Floats:
    sign = 1.0 if table.direction == "maximize" else -1.0
    gaps: Floats = sign * (table.optimum - values)
    return gaps


def _round_steps(extent: float) -> list[float]:
    """Return 1, 5 and 2 times powers of ten, falling from `extent` over three decades."""
    if extent <= 0:
        return []
    top = math.floor(math.log10(extent))
    steps = [factor * 10.0**power for power in range(top, top - 3, -1) for factor in (5, 2, 1)]
    return [step for step in steps if step <= extent]
