"""What came out of a run: incumbents, their regret, and statistics over the seeds."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_diffusion.runs.predictions import Forecast
from naslib_diffusion.runs.settings import Settings
from naslib_diffusion.runs.trials import Evaluation
from naslib_diffusion.runtime.versions import versions
from naslib_diffusion.tables import Table
from naslib_diffusion.tables.equality import disagreement, equality

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SeedResult:
    """The outcome of one seed.

    Attributes:
        best: the incumbent at the end: the best *observed* value.
        value: what the table says about it; the observed value unless evaluations are noisy.
        steps_to_best: evaluations until it was found.
        steps_to_optimum: evaluations until nothing in the table was better; None if never.
        gap: how far `value` is from the best of the table.
        rank: of `value` among the rows of the table.
        curve: the table's value of the incumbent after each evaluation.
    """

    seed: int
    best: Evaluation
    value: float
    steps_to_best: int
    steps_to_optimum: int | None
    gap: float
    rank: int
    curve: Floats


class Results:
    """All evaluations of a finished run and what they amount to."""

    def __init__(
        self,
        settings: Settings,
        table: Table[Any],
        trials: Sequence[Evaluation],
        *,
        seconds: float,
        resumed: int = 0,
        forecasts: Sequence[Forecast] = (),
    ) -> None:
        self.settings, self.table, self.trials = settings, table, list(trials)
        self.seconds, self.resumed = seconds, resumed
        self._forecasts = {(f.seed, f.step): f for f in forecasts}
        self._values = {t.arch: table[table.space.parse(t.arch)] for t in self.trials}
        self.seeds = [self._seed_result(seed) for seed in settings.all_seeds]

    def value(self, trial: Evaluation) -> float:
        """Return what the table says about the architecture of a trial, without noise."""
        return self._values[trial.arch]

    @functools.cached_property
    def winner(self) -> SeedResult:
        """The seed with the best incumbent; among equals, the one that found it first."""
        return min(self.seeds, key=lambda s: (s.gap, s.steps_to_best))

    @functools.cached_property
    def curves(self) -> Floats:
        """Values of the incumbents, seeds x evaluations."""
        return np.stack([seed.curve for seed in self.seeds])

    def top(self, limit: int) -> list[tuple[str, float, int, int]]:
        """Return the best architectures: string, value, number of seeds, earliest step."""
        found: dict[Any, list[Evaluation]] = {}
        for trial in self.trials:
            key = self.table.space.canonical(self.table.space.parse(trial.arch))
            found.setdefault(key, []).append(trial)
        rows = [
            (
                group[0].arch,
                self.value(group[0]),
                len({t.seed for t in group}),
                min(t.step for t in group),
            )
            for group in found.values()
        ]
        return sorted(rows, key=lambda row: (self.table.gap(row[1]), row[3]))[:limit]

    def foreseen(self) -> list[tuple[Evaluation, Forecast]]:
        """Return the evaluations of which something was expected beforehand, with that."""
        pairs = [(t, self._forecasts.get((t.seed, t.step))) for t in self.trials]
        return [(t, f) for t, f in pairs if f is not None and math.isfinite(t.value)]

    def summary(self) -> dict[str, Any]:
        """Return what `summary.json` holds."""
        table = self.table
        return {
            "settings": self.settings.to_json(),
            "versions": versions(),
            "table": {
                "name": table.name,
                "objective": table.objective,
                "direction": table.direction,
                "rows": len(table),
                "distinct": table.distinct,
                "equality": equality(table),
                "disagreement": disagreement(table),
                "complete": table.complete,
                "optimum": table.optimum,
                "failures": table.failures,
                "noise": table.noise,
            },
            "seeds": [_seed_summary(seed) for seed in self.seeds],
            "curve": _curve_summary(self.curves),
            "timing": {
                "seconds": round(self.seconds, 3),
                "new_evaluations": len(self.trials) - self.resumed,
                "resumed_evaluations": self.resumed,
            },
        }

    def _seed_result(self, seed: int) -> SeedResult:
        trials = [t for t in self.trials if t.seed == seed]
        sign = 1 if self.table.direction == "maximize" else -1
        scores = [sign * t.value if math.isfinite(t.value) else -math.inf for t in trials]
        record = -math.inf
        best, curve, steps_to_best = trials[0], [], 1
        for trial, score in zip(trials, scores, strict=True):
            if score > record:
                record, best, steps_to_best = score, trial, trial.step
            curve.append(self.value(best))
        gaps = [self.table.gap(value) for value in curve]
        at_optimum = [step for step, gap in enumerate(gaps, start=1) if gap <= 0]
        return SeedResult(
            seed=seed,
            best=best,
            value=curve[-1],
            steps_to_best=steps_to_best,
            steps_to_optimum=at_optimum[0] if at_optimum else None,
            gap=gaps[-1],
            rank=self.table.rank(curve[-1]),
            curve=np.array(curve),
        )


def _seed_summary(seed: SeedResult) -> dict[str, Any]:
    return {
        "seed": seed.seed,
        "best_arch": seed.best.arch,
        "best_value": seed.value,
        "observed_value": seed.best.value if math.isfinite(seed.best.value) else None,
        "evaluations_to_best": seed.steps_to_best,
        "evaluations_to_optimum": seed.steps_to_optimum,
        "gap": seed.gap,
        "rank": seed.rank,
    }


def _curve_summary(curves: Floats) -> dict[str, list[float]]:
    sd = curves.std(0, ddof=1) if len(curves) > 1 else np.zeros(curves.shape[1])
    return {
        "evaluations": list(range(1, curves.shape[1] + 1)),
        "median": np.median(curves, 0).tolist(),
        "mean": curves.mean(0).tolist(),
        "sd": sd.tolist(),
        "max": curves.max(0).tolist(),
        "min": curves.min(0).tolist(),
    }
