"""The figures of a study: its values in order, its front, and how the front grew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from botorch.utils.multi_objective.hypervolume import Hypervolume
from botorch.utils.multi_objective.pareto import is_non_dominated

from naslib_diffusion.report.figures import legend_above, short_name
from naslib_diffusion.report.study import Study, StudyTrial
from naslib_diffusion.report.svg import COLORS, explain, new_figure, style, to_svg

FEASIBLE, INFEASIBLE = ("trial", "muted"), ("breaks a constraint", "random")
"""Labels and colours of trials."""


def progress(study: Study) -> str:
    """Values of all complete trials in order, and the best feasible value so far."""
    trials, sign = study.finished(), study.signs[0]
    numbers = [t.number for t in trials]
    values = np.array([t.values[0] for t in trials])
    counted = [sign * v if t.feasible else -np.inf for t, v in zip(trials, values, strict=True)]
    best = sign * np.maximum.accumulate(counted)
    with style("trials"):
        figure, axes = new_figure()
        _scatter(axes, trials, lambda t: (t.number, t.values[0]))
        known = np.isfinite(best)
        look = {"where": "post", "color": COLORS["accent"], "label": "best so far"}
        axes.step(np.array(numbers)[known], best[known], **look)
        low, high = np.quantile(values, [0.1, 1.0] if sign > 0 else [0.0, 0.9])
        room = 0.08 * (high - low) or abs(high) or 1.0
        axes.set_ylim(low - room, high + room)
        axes.set_xlabel("number of the trial; the worst tenth may lie outside")
        axes.set_ylabel(short_name(study.objectives[0]))
        legend_above(axes, 3)
        return to_svg(figure, "trials")


def front(study: Study, best: Sequence[StudyTrial], i: int, j: int) -> str:
    """Objectives `i` and `j` against each other; two objectives have a line along the front."""
    name = f"front-{i}-{j}"
    with style(name):
        figure, axes = new_figure()
        _scatter(axes, study.finished(), lambda t: (t.values[i], t.values[j]))
        x, y = [t.values[i] for t in best], [t.values[j] for t in best]
        if len(study.signs) == 2:
            axes.plot(x, y, lw=1, color=COLORS["accent"])
        dots = axes.scatter(x, y, s=25, color=COLORS["accent"], label=f"front ({len(best)})")
        explain(dots, _tips(best))
        axes.set_xlabel(f"{short_name(study.objectives[i])}, {study.directions[i]}")
        axes.set_ylabel(f"{short_name(study.objectives[j])}, {study.directions[j]}")
        legend_above(axes, 3)
        return to_svg(figure, name)


def growth(study: Study) -> str:
    """Hypervolume of the front after each trial, from the worst feasible values."""
    trials = [trial for trial in study.finished() if trial.feasible]
    values = torch.tensor([t.values for t in trials], dtype=torch.double)
    values = values * torch.tensor(study.signs, dtype=torch.double)
    low, high = values.min(0).values, values.max(0).values
    values = (values - low) / (high - low).where(high > low, torch.ones_like(low))
    volumes = hypervolumes(values)
    with style("growth"):
        figure, axes = new_figure()
        shares = 100 * np.array(volumes) / (volumes[-1] or 1.0)
        look = {"where": "post", "color": COLORS["accent"], "lw": 2.4}
        axes.step([t.number for t in trials], shares, **look)
        axes.set_ylim(-4, 104)
        axes.set_xlabel("number of the trial")
        axes.set_ylabel("hypervolume (%)")
        return to_svg(figure, "growth")


def hypervolumes(values: torch.Tensor) -> list[float]:
    """Return the hypervolume above the origin of the first trials, for each number of them."""
    measure = Hypervolume(torch.zeros(values.shape[1], dtype=torch.double))
    volumes, known = [0.0], values[:0]
    for row in values:
        if bool((known >= row).all(1).any()):
            volumes.append(volumes[-1])
            continue
        known = torch.cat([known, row[None]])
        known = known[is_non_dominated(known)]
        volumes.append(measure.compute(known))
    return volumes[1:]


def _scatter(
    axes: Any, trials: Sequence[StudyTrial], place: Callable[[StudyTrial], tuple[float, float]]
) -> None:
    """Draw trials where they belong, those that break a constraint in a colour of their own."""
    for feasible, (label, color) in ((True, FEASIBLE), (False, INFEASIBLE)):
        some = [trial for trial in trials if trial.feasible is feasible]
        if some:
            x, y = zip(*map(place, some), strict=True)
            look = {"s": 18, "lw": 0, "alpha": 0.7, "color": COLORS[color], "label": label}
            explain(axes.scatter(x, y, **look), _tips(some))


def _tips(trials: Sequence[StudyTrial]) -> list[str]:
    """Return what is shown where the pointer rests on the point of a trial."""
    return [f"{', '.join(f'{v:.6g}' for v in t.values)}: {t}" for t in trials]
