"""The page that lays finished runs side by side."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from naslib_diffusion.report.figures import legend_above
from naslib_diffusion.report.svg import COLORS, new_figure, style, to_svg
from naslib_diffusion.report.templating import render_page
from naslib_diffusion.runs.finished import FinishedRun

HUES = ("accent", "random", "optimum", "ink", "muted", "space")
DASHES: tuple[tuple[int, tuple[int, ...]], ...] = ((0, ()), (0, (5, 2)), (0, (1, 2)))
"""Colours of curves, and how they are drawn when the colours begin again."""

MAX_LEGEND = 24
"""Characters of a run's name in the legend, its end."""


@dataclass(frozen=True)
class Row:
    """A run in the table of the page."""

    name: str
    seeds: int
    evaluations: int
    best: float
    median: float
    steps: float
    seconds: float
    arch: str


def row(run: FinishedRun) -> Row:
    """Return what the table says of a run."""
    return Row(
        run.name,
        len(run.curves),
        run.curves.shape[1],
        run.best.value,
        float(np.nanmedian(run.final)),
        statistics.median(run.steps_to_best),
        run.seconds,
        run.best.arch,
    )


def differences(runs: Sequence[FinishedRun]) -> list[tuple[str, list[str]]]:
    """Return the settings in which runs differ, with the value of each run; "" if it has none."""
    names = sorted({name for run in runs for name in run.settings})
    table = [(name, [run.settings.get(name, "") for run in runs]) for name in names]
    return [(name, values) for name, values in table if len(set(values)) > 1]


def comparable(runs: Sequence[FinishedRun]) -> bool:
    """Whether the values of the runs are of the same objective, so that they can be compared."""
    return len({(run.source, run.objective, run.direction) for run in runs}) == 1


def render_comparison(runs: Sequence[FinishedRun]) -> str:
    """Render one HTML page that needs nothing else.

    Args:
        runs: at least one.
    """
    return render_page(
        "side_by_side.html.j2",
        runs=runs,
        rows=[row(run) for run in runs],
        differences=differences(runs),
        comparable=comparable(runs),
        chart=Markup(_curves(runs)) if comparable(runs) else None,
    )


def _curves(runs: Sequence[FinishedRun]) -> str:
    """Median over seeds of the best value so far, with the middle half of the seeds."""
    with style("comparison"):
        figure, axes = new_figure()
        for number, run in enumerate(runs):
            color = COLORS[HUES[number % len(HUES)]]
            dash = DASHES[number // len(HUES) % len(DASHES)]
            finite = np.isfinite(run.curves).all(0)
            steps = np.arange(1, run.curves.shape[1] + 1)[finite]
            curves = run.curves[:, finite]
            if len(curves) > 1:
                low, high = np.quantile(curves, [0.25, 0.75], axis=0)
                axes.fill_between(steps, low, high, step="post", color=color, alpha=0.15, lw=0)
            name = run.name if len(run.name) <= MAX_LEGEND else f"…{run.name[1 - MAX_LEGEND :]}"
            axes.step(steps, np.median(curves, 0), where="post", color=color, ls=dash, label=name)
        axes.set_xlabel("evaluations")
        axes.set_ylabel("best so far, median of the seeds")
        axes.set_xlim(left=1)
        axes.set_ylim(*_limits(runs))
        legend_above(axes, 2)
        return to_svg(figure, "comparison")


def _limits(runs: Sequence[FinishedRun]) -> tuple[float, float]:
    """Leave out the first third of each curve, where chance decides."""
    late = np.concatenate([run.curves[:, run.curves.shape[1] // 3 :].ravel() for run in runs])
    late = late[np.isfinite(late)]
    low, high = float(np.quantile(late, 0.02)), float(np.quantile(late, 0.98))
    ends = float(late.min()), float(late.max())
    # up to the best, whichever end that is
    low, high = (low, ends[1]) if runs[0].direction == "maximize" else (ends[0], high)
    room = 0.08 * (high - low) or abs(high) or 1.0
    return low - room, high + room
