"""Curves with bands over seeds, as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLORS = ("#d1495b", "#1f6f8b", "#7a9e3f", "#8d6a9f", "#c98b2b", "#5c6770")


def draw_curves(
    panels: Mapping[str, Mapping[str, NDArray[np.float64]]],
    path: Path,
    *,
    start: int,
    xlabel: str,
    ylabel: str,
    references: Mapping[str, float] | None = None,
) -> None:
    """Draw one panel for each entry: medians, and the middle half of the seeds as a band.

    Args:
        panels: curves (`seeds x steps`) by label, by title of the panel.
        path: of the PNG.
        start: steps before this one are shaded and do not set the range of values.
        xlabel: what a step is.
        ylabel: what the values are.
        references: a level to mark, by title of the panel.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    size = (4.6 * len(panels), 3.8)
    figure, grid = plt.subplots(
        1, len(panels), figsize=size, squeeze=False, constrained_layout=True
    )
    for axes, (title, curves) in zip(grid[0], panels.items(), strict=True):
        shown = []
        for color, (label, values) in zip(COLORS, curves.items(), strict=False):
            steps = np.arange(1, values.shape[1] + 1)
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
            axes.fill_between(steps, low, high, color=color, alpha=0.15, lw=0)
            axes.plot(steps, middle, color=color, lw=1.8, label=label)
            shown.append(np.stack([low, high])[:, start - 1 :])
        _frame(axes, np.concatenate(shown, axis=None), (references or {}).get(title))
        axes.axvspan(1, start, color="0.95", zorder=0)
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.legend(frameon=False, loc="lower right", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _frame(axes: Any, values: NDArray[np.float64], reference: float | None) -> None:
    """Fit the range of values to what was shown, and to the level to mark."""
    top = float(values.max()) if reference is None else max(float(values.max()), reference)
    low = float(values.min())
    room = (top - low) or 1.0
    axes.set_ylim(low - 0.05 * room, top + 0.08 * room)
    if reference is not None:
        axes.axhline(reference, color="0.45", lw=1.2, ls=(0, (4, 3)))
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01)
