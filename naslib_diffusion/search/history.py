"""The record of a search: what was asked, and what was told of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from naslib_diffusion.search.trials import Prediction, Trial
from naslib_diffusion.spaces.base import Space

A = TypeVar("A", bound=Hashable)


class History(Generic[A]):
    """Architectures in the order in which they were asked, and trials in that of being told.

    Args:
        space: of the architectures; those of equal canonical form count as one.
        maximize: whether high values are good.
    """

    def __init__(self, space: Space[A], *, maximize: bool) -> None:
        self.space = space
        self.maximize = maximize
        self.asked: dict[Hashable, A] = {}
        self._predicted: dict[Hashable, tuple[Prediction, ...]] = {}
        self.trials: list[Trial[A]] = []

    def expect(self, archs: Sequence[A]) -> None:
        """Record that architectures are being evaluated."""
        for arch in archs:
            self.asked.setdefault(self.space.canonical(arch), arch)

    def foresee(self, archs: Sequence[A], predictions: Sequence[tuple[Prediction, ...]]) -> None:
        """Note what is predicted of architectures, by objective; what was noted first stays."""
        for arch, own in zip(archs, predictions, strict=True):
            self._predicted.setdefault(self.space.canonical(arch), own)

    def predicted(self, arch: A) -> tuple[Prediction, ...]:
        """Return what was noted of an architecture; empty if nothing was."""
        return self._predicted.get(self.space.canonical(arch), ())

    def record(self, trials: Sequence[Trial[A]]) -> None:
        """Record finished evaluations, whether they were asked or not."""
        self.expect([trial.arch for trial in trials])
        self.trials += trials

    @property
    def best(self) -> Trial[A] | None:
        """The finished, feasible trial with the best value; None before there is one."""
        return max((t for t in self.finished if t.feasible), key=self._worth, default=None)

    @property
    def finished(self) -> list[Trial[A]]:
        """The trials that did not fail."""
        return [trial for trial in self.trials if math.isfinite(trial.value)]

    @property
    def pending(self) -> list[A]:
        """Architectures that were asked and not told yet."""
        told = {self.space.canonical(trial.arch) for trial in self.trials}
        return [arch for key, arch in self.asked.items() if key not in told]

    @property
    def pending_or_failed(self) -> set[Hashable]:
        """Canonical forms of what is being evaluated, and of what failed."""
        failed = [trial.arch for trial in self.trials if not math.isfinite(trial.value)]
        return {self.space.canonical(arch) for arch in [*self.pending, *failed]}

    def incumbents(self, count: int) -> list[A]:
        """Return the best valid architectures, distinct; feasible ones come first."""
        by_worth = sorted(
            self.finished, key=lambda trial: (trial.feasible, self._worth(trial)), reverse=True
        )
        archs = dict.fromkeys(trial.arch for trial in by_worth)
        return list(islice(filter(self.space.is_valid, archs), count))

    def derived_seed(self, seed: int) -> int:
        """Derive the seed of the next ask from that of all and the progress, stable everywhere."""
        text = f"{seed}/{len(self.asked)}/{len(self.trials)}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")

    def _worth(self, trial: Trial[A]) -> float:
        return trial.value if self.maximize else -trial.value
