"""The figure of what was predicted beside what was observed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from naslib_diffusion.report.figures import legend_above
from naslib_diffusion.report.svg import COLORS, explain, new_figure, style, to_svg

WIDTH = 2.0
"""Half the width of an interval, in standard deviations."""

SHARE = 0.95
"""The share of what comes that so wide an interval holds if the model is right about itself.

It holds less of what a search chooses: where the model promises most, it is most often too
optimistic. So the page says how wide the intervals would have had to be.
"""

EDGE = 0.05
"""Share of the observed values at either end that may lie outside of the figure."""


@dataclass(frozen=True)
class Foreseen:
    """An evaluation: what came out, and what had been predicted, in the same unit; and of what."""

    observed: float
    mean: float
    deviation: float
    name: str

    @property
    def distance(self) -> float:
        """How far what came out is from what was predicted, in standard deviations."""
        gap = abs(self.observed - self.mean)
        return gap / self.deviation if self.deviation > 0 else (math.inf if gap else 0.0)

    @property
    def held(self) -> bool:
        """Whether what came out lies in the interval."""
        return self.distance <= WIDTH

    def __str__(self) -> str:
        interval = f"{self.mean:.5g} ± {WIDTH * self.deviation:.2g}"
        return f"predicted {interval}, observed {self.observed:.5g}: {self.name}"


def sentence(points: Sequence[Foreseen]) -> str:
    """Say how many of the intervals hold what came out, and how wide they should have been."""
    held = sum(point.held for point in points)
    text = (
        f"before each evaluation, ± {WIDTH:g} standard deviations: {held} of {len(points)} "
        f"intervals ({100 * held / len(points):.0f} %) hold what was observed"
    )
    needed = sorted(point.distance for point in points)[math.ceil(SHARE * len(points)) - 1]
    if needed <= WIDTH or math.isinf(needed):
        return text
    return f"{text}; ± {math.ceil(10 * needed) / 10:.1f} would have held {100 * SHARE:.0f} %"


def foresight(points: Sequence[Foreseen], label: str, name: str = "foresight") -> str:
    """Predictions with intervals against observations; on the diagonal they agree.

    Args:
        points: at least one.
        label: the objective.
        name: of the figure.
    """
    observed = np.array([point.observed for point in points])
    low, high = np.quantile(observed, [EDGE, 1]) if len(observed) > 1 / EDGE else _ends(observed)
    room = 0.08 * (high - low) or abs(high) or 1.0
    low, high = low - room, high + room
    with style(name):
        figure, axes = new_figure()
        axes.plot([low, high], [low, high], color=COLORS["optimum"], lw=1.4, ls=(0, (4, 3)))
        for held, color, text in (
            (True, "accent", "in its interval"),
            (False, "random", "outside of it"),
        ):
            some = [p for p in points if p.held == held]
            if some:
                x, y = [p.observed for p in some], [p.mean for p in some]
                look = {"color": COLORS[color], "alpha": 0.7}
                axes.errorbar(
                    x, y, yerr=[WIDTH * p.deviation for p in some], fmt="none", lw=1, **look
                )
                dots = axes.scatter(x, y, s=18, lw=0, label=f"{text} ({len(some)})", **look)
                explain(dots, list(map(str, some)))
        axes.set_xlim(low, high)
        axes.set_ylim(low - 2 * room, high + 2 * room)
        axes.set_xlabel(f"observed {label}")
        axes.set_ylabel("predicted")
        legend_above(axes, 2)
        return to_svg(figure, name)


def _ends(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float]:
    return float(values.min()), float(values.max())
