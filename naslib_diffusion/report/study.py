"""The page of a study: trials with parameters and one or several objectives, wherever they ran."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from naslib_diffusion.report.figures import legend_above
from naslib_diffusion.report.foresight import Foreseen, foresight, sentence
from naslib_diffusion.report.svg import COLORS, explain, new_figure, style, to_svg
from naslib_diffusion.report.templating import render_page
from naslib_diffusion.tables import Direction

TOP = 20
"""Trials in the table of the best."""

Chart = tuple[str, str, Markup]
"""Title, description and SVG."""


@dataclass(frozen=True)
class StudyTrial:
    """One trial.

    Attributes:
        state: "complete", "pruned", "failed", "running" or "waiting".
        values: of the objectives; empty unless the trial is complete.
        predictions: mean and standard deviation for each objective; empty if there were none.
    """

    number: int
    state: str
    values: tuple[float, ...]
    params: Mapping[str, Any]
    predictions: tuple[tuple[float, float], ...] = ()

    @property
    def finite(self) -> bool:
        """Whether it has a finite value of each objective."""
        return bool(self.values) and all(map(math.isfinite, self.values))

    @property
    def text(self) -> str:
        """The parameters as JSON."""
        return json.dumps(dict(self.params), default=str)

    @property
    def name(self) -> str:
        """Its number and parameters."""
        return f"trial {self.number} {self.text}"


@dataclass(frozen=True)
class Study:
    """A study, as its storage tells of it."""

    name: str
    directions: tuple[Direction, ...]
    objectives: tuple[str, ...]
    trials: tuple[StudyTrial, ...]

    @property
    def signs(self) -> tuple[int, ...]:
        """1 for each objective that is maximised, else -1."""
        return tuple(1 if d == "maximize" else -1 for d in self.directions)

    def finished(self) -> list[StudyTrial]:
        """Return the complete trials with finite values, in order."""
        return [trial for trial in self.trials if trial.finite]

    def best(self) -> list[StudyTrial]:
        """Return the best trials, best first; of several objectives, those on the front."""
        trials = self.finished()
        if len(self.signs) == 1:
            sign = self.signs[0]
            return sorted(trials, key=lambda t: (-sign * t.values[0], t.number))[:TOP]
        values = np.array([t.values for t in trials]).reshape(-1, len(self.signs)) * self.signs
        front = [t for t, own in zip(trials, values, strict=True) if not _dominated(own, values)]
        return sorted(front, key=lambda t: (-self.signs[0] * t.values[0], t.number))


def _dominated(own: Any, others: Any) -> bool:
    """Whether any of the others is no worse in all objectives, and better in one."""
    return bool(((others >= own).all(1) & (others > own).any(1)).any())


def render_study(study: Study) -> str:
    """Render one HTML page that needs nothing else.

    Raises:
        ValueError: if no trial is complete.
    """
    best = study.best()
    if not best:
        raise ValueError(f"study {study.name!r} has no complete trial with a finite value")
    return render_page(
        "study.html.j2",
        study=study,
        best=best,
        states=Counter(trial.state for trial in study.trials),
        charts=_charts(study, best),
    )


def _charts(study: Study, best: Sequence[StudyTrial]) -> list[Chart]:
    charts: list[Chart] = []
    if len(study.signs) == 1:
        charts.append(("Every trial", "and the best value so far", Markup(_progress(study))))
    elif len(study.signs) == 2:
        charts.append(
            ("Front", "trials that no other is better than in both", Markup(_front(study, best)))
        )
    for i, name in enumerate(study.objectives):
        points = [
            Foreseen(t.values[i], *t.predictions[i], t.name)
            for t in study.finished()
            if t.predictions
        ]
        if points:
            svg = Markup(foresight(points, name[:30], f"foresight-{i}"))
            title = "Predicted and observed" + (f": {name}" if len(study.objectives) > 1 else "")
            charts.append((title, sentence(points), svg))
    return charts


def _tips(trials: Sequence[StudyTrial]) -> list[str]:
    """Return what is shown where the pointer rests on the point of a trial."""
    return [f"{', '.join(f'{v:.6g}' for v in t.values)}: {t.name}" for t in trials]


def _progress(study: Study) -> str:
    """Values of all complete trials in order, and the best value so far."""
    trials, sign = study.finished(), study.signs[0]
    numbers = [t.number for t in trials]
    values = np.array([t.values[0] for t in trials])
    best = sign * np.maximum.accumulate(sign * values)
    with style("trials"):
        figure, axes = new_figure()
        look = {"s": 18, "lw": 0, "alpha": 0.7, "color": COLORS["muted"], "label": "trial"}
        explain(axes.scatter(numbers, values, **look), _tips(trials))
        axes.step(numbers, best, where="post", color=COLORS["accent"], label="best so far")
        low, high = np.quantile(values, [0.1, 1.0] if sign > 0 else [0.0, 0.9])
        room = 0.08 * (high - low) or abs(high) or 1.0
        axes.set_ylim(low - room, high + room)
        axes.set_xlabel("number of the trial; the worst tenth may lie outside")
        axes.set_ylabel(study.objectives[0][:30])
        legend_above(axes, 2)
        return to_svg(figure, "trials")


def _front(study: Study, best: Sequence[StudyTrial]) -> str:
    """The two objectives against each other."""
    with style("front"):
        figure, axes = new_figure()
        x, y = zip(*(t.values for t in study.finished()), strict=True)
        look = {"s": 18, "lw": 0, "alpha": 0.7, "color": COLORS["muted"], "label": "trial"}
        explain(axes.scatter(x, y, **look), _tips(study.finished()))
        x, y = zip(*(t.values for t in best), strict=True)
        axes.plot(x, y, lw=1, color=COLORS["accent"])
        dots = axes.scatter(x, y, s=25, color=COLORS["accent"], label=f"front ({len(best)})")
        explain(dots, _tips(best))
        axes.set_xlabel(f"{study.objectives[0][:30]}, {study.directions[0]}")
        axes.set_ylabel(f"{study.objectives[1][:30]}, {study.directions[1]}")
        legend_above(axes, 2)
        return to_svg(figure, "front")
