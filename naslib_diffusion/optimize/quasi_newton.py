"""Minimisation of many small problems at a time, each within its own box, by L-BFGS.

An evaluation of a surrogate costs about the same for one point as for ten. So all problems take
each step together, but each has its own step length and its own memory: a sum over all of them,
minimised by one solver, would stop at the step that suits the worst.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]
Objective = Callable[[Array, Rows], tuple[Array, Array]]
"""Maps points of some rows, `R x C`, and which they are, `R`, to values, `R`, and gradients."""

MEMORY = 10
"""Steps whose change of the gradient is remembered."""
FIRST = 0.1
"""Longest move of a coordinate in the first step, in units of its box."""
ARMIJO = 1e-4
"""Part of the decrease that the gradient promises, of which a step has to keep its promise."""
SHRINK = (0.1, 0.5)
"""A step that breaks it is shortened to a part within this range."""
SHORTEST = 1e-12
"""Part of a step below which there is nothing left to try."""


def minimize_rows(
    objective: Objective,
    x: Array,
    low: Array,
    high: Array,
    *,
    max_evaluations: int,
    tolerance: float = 1e-6,
) -> tuple[Array, Array]:
    """Minimise each row within its box by projected L-BFGS (Bertsekas, SIAM J. Control 1982).

    Coordinates at a bound that the gradient pushes against are held there; the others move by
    the inverse Hessian as it is known on them, and stop at their bounds.

    Args:
        objective: what is minimised; it is given the same rows each time.
        x: where to start, `S x C`, within the box.
        low: `S x C`.
        high: `S x C`.
        max_evaluations: calls of the objective, at most.
        tolerance: a row is done once a step improves it by less, relative to its value.

    Returns:
        Points, `S x C`, none of which has a greater value than where it started, and their values.
    """
    x = x.copy()
    values, gradient = objective(x, np.arange(len(x)))
    memory = _Memory(*x.shape)
    step = np.ones(len(x))
    width = np.maximum(high - low, 1e-300)
    for _ in range(max_evaluations - 1):
        free = ~(((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0)))
        slope = np.where(free, gradient, 0.0)
        direction = memory.direction(slope, width) * free
        trial = np.clip(x + step[:, None] * direction, low, high)
        moved = trial - x
        promise = (slope * moved).sum(1)
        going = (step > SHORTEST) & (promise < 0)
        if not going.any():
            break
        found, slopes = values.copy(), gradient.copy()
        rows = going.nonzero()[0]
        found[rows], slopes[rows] = objective(trial[rows], rows)
        kept = going & (found <= values + ARMIJO * promise)
        gain = np.where(kept, values - found, 0.0)
        done = kept & (gain <= tolerance * np.maximum(np.abs(values), 1.0))
        curved = memory.remember(kept, moved, slopes - gradient)
        with np.errstate(all="ignore"):  # the parabola through both values and the slope
            part = np.nan_to_num(promise / (2 * (promise + values - found)), nan=SHRINK[0])
        shorter = step * np.clip(part, *SHRINK)
        step = np.where(kept, np.where(curved, 1.0, 2 * step), shorter)
        step[done] = 0.0
        x[kept], values[kept], gradient[kept] = trial[kept], found[kept], slopes[kept]
    return x, values


class _Memory:
    """The last steps of each row, and how the gradient changed along them."""

    def __init__(self, rows: int, columns: int) -> None:
        self.moves = np.zeros((MEMORY, rows, columns))
        self.changes = np.zeros((MEMORY, rows, columns))
        self.inverse = np.zeros((MEMORY, rows))
        """One over their products; zero where there is none, so that it has no effect."""
        self.scale = np.zeros(rows)

    def remember(self, kept: Mask, moved: Array, change: Array) -> Mask:
        """Keep the steps that were taken; tell where the function curves upwards along them."""
        product = (moved * change).sum(1)
        squares = np.square(change).sum(1)
        curved: Mask = kept & (product > 1e-10 * squares)
        for array, new in ((self.moves, moved), (self.changes, change)):
            array[:-1, curved] = array[1:, curved]
            array[-1, curved] = new[curved]
        self.inverse[:-1, curved] = self.inverse[1:, curved]
        self.inverse[-1, curved] = 1 / product[curved]
        self.scale[curved] = product[curved] / squares[curved]
        return curved

    def direction(self, slope: Array, width: Array) -> Array:
        """Return minus the inverse Hessian times the gradient (Nocedal 1980), `S x C`."""
        aim, parts = slope.copy(), []
        for move, change, inverse in zip(
            self.moves[::-1], self.changes[::-1], self.inverse[::-1], strict=True
        ):
            part = inverse * (move * aim).sum(1)
            parts.append(part)
            aim -= part[:, None] * change
        longest = (np.abs(slope) / width).max(1, initial=0.0)
        first = FIRST / np.maximum(longest, 1e-300)
        aim *= np.where(self.scale > 0, self.scale, first)[:, None]
        for move, change, inverse, part in zip(
            self.moves, self.changes, self.inverse, parts[::-1], strict=True
        ):
            aim += (part - inverse * (change * aim).sum(1))[:, None] * move
        return -aim
