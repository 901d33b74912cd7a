"""A study: trials with one or several objectives, wherever they ran, as its page shows them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from naslib_diffusion.report.cells import Decided
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.tables import Direction

TOP = 20
"""Trials in the table of the best."""


@dataclass(frozen=True)
class StudyTrial:
    """One trial.

    Attributes:
        state: "complete", "pruned", "failed", "running" or "waiting".
        values: of the objectives; empty unless the trial is complete.
        params: the decisions, by name.
        text: the architecture as a string that can be copied.
        predictions: mean and standard deviation for each objective; empty if there were none.
        arch: the architecture; None if the study has no space.
        feasible: whether it meets all constraints.
    """

    number: int
    state: str
    values: tuple[float, ...]
    params: Mapping[str, Any]
    text: str
    predictions: tuple[tuple[float, float], ...] = ()
    arch: Any = None
    feasible: bool = True

    @property
    def finite(self) -> bool:
        """Whether it has a finite value of each objective."""
        return bool(self.values) and all(map(math.isfinite, self.values))

    def __str__(self) -> str:
        limits = "" if self.feasible else ", breaks a constraint"
        return f"trial {self.number}{limits} {self.text}"


@dataclass(frozen=True)
class Study:
    """A study, as its storage or its search tells of it.

    Attributes:
        name: what to call it.
        directions, objectives: of each objective, whether it is maximised, and its name.
        trials: oldest first.
        space: of the architectures; None if the trials have no space in common.
        decide: names the decisions of an architecture, if the space does not.
        kind: what heads the page.
    """

    name: str
    directions: tuple[Direction, ...]
    objectives: tuple[str, ...]
    trials: tuple[StudyTrial, ...]
    space: Space[Any] | None = None
    decide: Callable[[Any], Decided] | None = None
    kind: str = "Study"

    @property
    def signs(self) -> tuple[int, ...]:
        """1 for each objective that is maximised, else -1."""
        return tuple(1 if d == "maximize" else -1 for d in self.directions)

    def finished(self) -> list[StudyTrial]:
        """Return the complete trials with finite values, in order."""
        return [trial for trial in self.trials if trial.finite]

    def best(self) -> list[StudyTrial]:
        """Return the best feasible trials, best first; of several objectives, the front."""
        trials = [trial for trial in self.finished() if trial.feasible]
        if len(self.signs) == 1:
            sign = self.signs[0]
            return sorted(trials, key=lambda t: (-sign * t.values[0], t.number))[:TOP]
        values = np.array([t.values for t in trials]).reshape(-1, len(self.signs)) * self.signs
        front = [t for t, own in zip(trials, values, strict=True) if not _dominated(own, values)]
        return sorted(front, key=lambda t: (-self.signs[0] * t.values[0], t.number))


def _dominated(own: Any, others: Any) -> bool:
    """Whether any of the others is no worse in all objectives, and better in one."""
    return bool(((others >= own).all(1) & (others > own).any(1)).any())
