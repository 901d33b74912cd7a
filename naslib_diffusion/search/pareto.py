"""Search with several objectives: for the set of best compromises, the Pareto front."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.search.saved import OBJECT
from naslib_diffusion.search.search import Direction, Search
from naslib_diffusion.search.trials import ParetoTrial, Prediction, Trial
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.equality import Equality
from naslib_diffusion.surrogates import Constrained, ObjectiveScale, Surrogate
from naslib_diffusion.surrogates.base import fit_to_values, levels
from naslib_diffusion.surrogates.multiobjective import (
    MAX_OBJECTIVES,
    JointSurrogate,
    LogExpectedHypervolumeImprovement,
    dominators,
)
from naslib_diffusion.surrogates.prior import Prior, informed

A = TypeVar("A", bound=Hashable)


class ParetoSearch(Search[A]):
    """Search that makes the hypervolume grow that the Pareto front dominates.

    Works as `Search` does, but values are tuples: `search.tell([arch], [(accuracy, latency)])`.

    Args:
        space: where to search.
        directions: "maximize" or "minimize", for each objective.
        priors: for each objective what is expected of it; none unless told.
        distinct: as `Search` has it. One of several objectives is nearly always a cost, for which
            isomorphic architectures differ, so that they are told apart unless told otherwise.
        options: as `Search` takes them, but `direction` and `acquisition`.

    Raises:
        ValueError: if the number of objectives is not 2 to `MAX_OBJECTIVES`, or as `Search` does.
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
        own = iter(self.priors)  # which lie where the search computes
        self.priors_each = tuple(
            tuple(itertools.islice(own, len(each))) for each in priors or ((),) * len(directions)
        )
        self.signs = tuple(1.0 if d == "maximize" else -1.0 for d in directions)
        self._scales: list[ObjectiveScale] = []

    @property
    def front(self) -> list[ParetoTrial[A]]:
        """The finished, feasible trials that no other of them dominates."""
        done = [t for t in self._records() if math.isfinite(t.value) and t.feasible]
        counts = dominators([self._signs_of(t) for t in done]) if done else []
        return [trial for trial, count in zip(done, counts, strict=True) if count == 0]

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
        before = len(self.trials)
        self._record(archs, failed, limits)  # type: ignore[arg-type]
        self.trials[before:] = [
            ParetoTrial(trial.arch, trial.value, trial.constraints, row)
            for trial, row in zip(self.trials[before:], rows, strict=True)
        ]
        self._rank()

    def _settings(self) -> dict[str, Any]:
        settings = super()._settings()
        for name in ("direction", "acquisition", "prior"):
            settings.pop(name, None)
        settings["directions"] = ["maximize" if s > 0 else "minimize" for s in self.signs]
        return settings | ({"priors": OBJECT} if self.priors else {})

    def predict_each(self, arch: A) -> tuple[Prediction, ...]:
        """Return what the last `ask` thought of `arch`, by objective; empty if that was random."""
        if self._model is None:
            return ()
        _, surrogate, acquisition = self._model
        with torch.no_grad():
            x = self._encode([arch])
            score = float(acquisition(x))
            mean, deviation = surrogate.posterior(x)
            levels = torch.stack([mean, mean - deviation, mean + deviation]).double().cpu()
            columns = zip(self._scales, self.signs, levels[:, 0].T, strict=True)
            values = [(sign * scale.inverse(column)).tolist() for scale, sign, column in columns]
        return tuple(Prediction(score, middle, abs(b - a) / 2) for middle, a, b in values)

    def _rank(self) -> None:
        """Give each trial its value: those that nothing dominates come first."""
        trials = self._records()
        counts = dominators([self._signs_of(t) for t in trials]) if trials else []
        self.trials = [
            replace(t, value=-float(count) if math.isfinite(t.value) else math.nan)
            for t, count in zip(trials, counts, strict=True)
        ]

    def _records(self, trials: Sequence[Trial[A]] | None = None) -> list[ParetoTrial[A]]:
        trials = self.trials if trials is None else trials
        return [trial for trial in trials if isinstance(trial, ParetoTrial)]

    def _signs_of(self, trial: ParetoTrial[A]) -> list[float]:
        return [s * v for s, v in zip(self.signs, trial.objectives, strict=True)]

    def _fit(self, pending: Sequence[A]) -> tuple[ObjectiveScale, Surrogate, float | None]:
        """Fit one surrogate to each objective."""
        trials = self._unforgiven()
        done = [t for t in self._records(trials) if math.isfinite(t.value)]
        if not done:
            return self._priors_alone(pending)
        table = torch.tensor([self._signs_of(t) for t in done], dtype=torch.double)
        self._scales = [ObjectiveScale.of(column) for column in table.T]
        x = self._encode([t.arch for t in done])
        targets = [s(c).to(x) for s, c in zip(self._scales, table.T, strict=True)]
        models = tuple(
            fit_to_values(informed(copy.copy(self.surrogate), priors), x, column, scale)
            for priors, column, scale in zip(self.priors_each, table.T, self._scales, strict=True)
        )
        self._feasibility = self._fit_feasibility(trials)
        feasible = torch.tensor([t.feasible for t in done]).to(x.device)
        worth = [levels(m, x, y, self.repeats) for m, y in zip(models, targets, strict=True)]
        joint = JointSurrogate(models, torch.stack(worth, -1)[feasible].detach())
        best = 0.0 if bool(feasible.any()) else None
        if pending and best is not None:
            joint = joint.fantasize(self._encode(pending))
        return self._scales[0], joint, best

    def _priors_alone(
        self, pending: Sequence[A]
    ) -> tuple[ObjectiveScale, Surrogate, float | None]:
        """Return what is believed before the first value: to beat is what is average."""
        models = tuple(informed(copy.copy(self.surrogate), own) for own in self.priors_each)
        average = torch.zeros(1, len(models), dtype=torch.double, device=self._device)
        joint = JointSurrogate(models, average)
        self._feasibility = None
        known = [*(trial.arch for trial in self.trials), *pending]
        if known:
            joint = joint.fantasize(self._encode(known))
        return ObjectiveScale(1.0, 0.0, 1.0, 0.0, 1.0), joint, 0.0

    def _acquire(self, surrogate: Surrogate, best: float | None, random: torch.Generator) -> Guide:
        assert isinstance(surrogate, JointSurrogate)
        if best is None and self._feasibility is not None:
            return self._feasibility
        guide = LogExpectedHypervolumeImprovement(surrogate)
        return guide if self._feasibility is None else Constrained(guide, self._feasibility)
