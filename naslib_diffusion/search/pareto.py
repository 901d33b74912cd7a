"""Search with several objectives: for the set of best compromises, the Pareto front."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from naslib_diffusion.search.joint_model import JointModeler
from naslib_diffusion.search.saved import writable
from naslib_diffusion.search.search import Direction, Search
from naslib_diffusion.search.told import read_trials
from naslib_diffusion.search.trials import ParetoTrial
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.equality import Equality
from naslib_diffusion.surrogates.multiobjective import MAX_OBJECTIVES, dominators
from naslib_diffusion.surrogates.prior import Prior

A = TypeVar("A", bound=Hashable)


class ParetoSearch(Search[A]):
    """Search with several objectives, for the Pareto front of the best compromises.

    It chooses what may increase the hypervolume that the front dominates. It works as `Search`
    does, but values are tuples: `search.tell([arch], [(accuracy, latency)])`.

    Args:
        space: the space that is searched.
        directions: "maximize" or "minimize" for each objective.
        priors: for each objective, what is expected of it before it is measured. The default is
            none.
        distinct: as in `Search`. The default is "exact", since one of several objectives is nearly
            always a cost, in which isomorphic architectures differ.
        options: further arguments of `Search`, except `direction` and `acquisition`.

    Raises:
        ValueError: if there are fewer than 2 or more than `MAX_OBJECTIVES` objectives, or an
            argument has a value that is not allowed.
    """

    def __init__(
        self,
        space: Space[A],
        directions: Sequence[Direction],
        *,
        priors: Sequence[Sequence[Prior]] = (),
        distinct: Equality = "exact",
        **options: Any,
    ) -> None:
        if not 2 <= len(directions) <= MAX_OBJECTIVES:
            raise ValueError(f"directions must be 2 to {MAX_OBJECTIVES}, not {len(directions)}")
        wrong = [d for d in directions if d not in ("maximize", "minimize")]
        if wrong:
            raise ValueError(f"a direction must be 'maximize' or 'minimize', not {wrong[0]!r}")
        if priors and not (len(priors) == len(directions) and all(priors)):
            sizes = [len(own) for own in priors]
            raise ValueError(f"{len(directions)} objectives need priors each, not {sizes} of them")
        flat = [p for own in priors for p in own]
        super().__init__(space, prior=flat, distinct=distinct, **options)
        self.signs = tuple(1.0 if d == "maximize" else -1.0 for d in directions)
        own = iter(self.modeler.priors)  # which lie where the search computes
        each = tuple(
            tuple(itertools.islice(own, len(each))) for each in priors or ((),) * len(directions)
        )
        self.modeler = JointModeler(**vars(self.modeler), signs=self.signs, priors_each=each)
        for name in ("direction", "acquisition", "prior"):
            self._settings.pop(name, None)
        self._settings |= writable(directions=list(directions), priors=tuple(priors))

    @property
    def front(self) -> list[ParetoTrial[A]]:
        """The finished, feasible trials that no other of them dominates."""
        done = [t for t in self._records() if math.isfinite(t.value) and t.feasible]
        return [
            trial for trial, count in zip(done, self._dominators(done), strict=True) if not count
        ]

    def tell(  # type: ignore[override]
        self,
        archs: Sequence[A | str] | A | str,
        values: Sequence[Sequence[float]] | Sequence[float],
        constraints: Sequence[Sequence[float]] | Sequence[float] | None = None,
    ) -> None:
        """Record evaluations, as `Search.tell` does, with one value for each objective."""
        told: Any = values
        limits: Any = constraints
        if len(told) and not hasattr(told[0], "__len__"):
            archs, told = [archs], [told]  # type: ignore[list-item]
            limits = None if constraints is None else [constraints]
        rows = [tuple(map(float, row)) for row in told]
        short = [row for row in rows if len(row) != len(self.signs)]
        if short:
            raise ValueError(f"{short[0]} must have {len(self.signs)} values")
        failed = [math.nan if not all(map(math.isfinite, row)) else 0.0 for row in rows]
        trials = read_trials(self.space, archs, failed, limits)
        self.history.record(
            [
                ParetoTrial(trial.arch, trial.value, trial.constraints, row)
                for trial, row in zip(trials, rows, strict=True)
            ]
        )
        self._rank()

    def _rank(self) -> None:
        """Give each trial its value: those that nothing dominates come first."""
        trials = self._records()
        self.history.trials = [
            replace(t, value=-float(count) if math.isfinite(t.value) else math.nan)
            for t, count in zip(trials, self._dominators(trials), strict=True)
        ]

    def _records(self) -> list[ParetoTrial[A]]:
        return [trial for trial in self.trials if isinstance(trial, ParetoTrial)]

    def _dominators(self, trials: Sequence[ParetoTrial[A]]) -> Sequence[int]:
        """Count for each of some trials how many of them dominate it."""
        signed = [
            [sign * value for sign, value in zip(self.signs, trial.objectives, strict=True)]
            for trial in trials
        ]
        return dominators(signed) if signed else []
