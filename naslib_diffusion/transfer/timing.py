"""How long trainings take here: measured before they start, corrected while they run."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from naslib_diffusion.runtime.threads import threads
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.transfer.image_set import ImageSet
from naslib_diffusion.transfer.recipe import Recipe
from naslib_diffusion.transfer.training import time_step

LARGEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
LARGEST += "+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
"""The cell that takes longest, so that a search takes less than is said."""

WORTH = 1.5
"""How much faster twice the threads must be to be used; the others have work to do as well."""


@dataclass(frozen=True)
class Pace:
    """How trainings run here.

    Attributes:
        threads: of the CPU.
        seconds: of one training, at most.
    """

    threads: int
    seconds: float


def measure_pace(train: ImageSet, recipe: Recipe, device: str, most: int, fixed: bool) -> Pace:
    """Time a step of the largest cell, on more and more threads while that is worth it.

    Args:
        train: images to train on.
        recipe: of the training.
        device: where.
        most: threads that may be used.
        fixed: use so many threads, whatever it is worth.
    """
    cell = NASBench201().parse(LARGEST)

    def timed(count: int) -> float:
        with threads(count):
            return time_step(cell, train, recipe, device)

    count = most if fixed else 1
    step = timed(count)
    while 2 * count <= most and device == "cpu":
        faster = timed(2 * count)
        if faster * WORTH > step:
            break
        count, step = 2 * count, faster
    return Pace(count, step * recipe.epochs * math.ceil(len(train) / recipe.batch_size))


class Remaining:
    """Estimates how long trainings still take, by the epochs seen so far.

    Args:
        epochs: of all trainings together.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs, self._seen, self._start = epochs, 0, time.perf_counter()

    def after(self, position: int) -> float:
        """Count one more epoch, the `position`-th of all; return the seconds left."""
        self._seen += 1
        return (time.perf_counter() - self._start) / self._seen * (self._epochs - position)


def spoken(seconds: float) -> str:
    """Say a duration as people do: "40 seconds", "3 minutes", "2.5 hours"."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} second{'s' * (round(seconds) > 1)}"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
