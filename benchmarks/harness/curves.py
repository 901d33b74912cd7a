"""Curves with bands over seeds, as PNG and on a page with their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_diffusion.report import render_bench
from naslib_diffusion.runtime.files import write_atomically

COLORS = ("#d1495b", "#1f6f8b", "#7a9e3f", "#8d6a9f", "#c98b2b", "#5c6770")


def save_curves(
    out: Path,
    name: str,
    panels: Mapping[str, Mapping[str, NDArray[np.float64]]],
    rows: Sequence[Mapping[str, object]],
    *,
    title: str,
    text: str,
    start: int,
    ylabel: str,
) -> None:
    """Draw the curves of searches to `name.png`, and show them and a table in `name.html`.

    Args:
        out: folder.
        name: of the files.
        panels: best values so far, see `draw_curves`.
        rows: of the table.
        title: of the page.
        text: what was measured and how.
        start: random evaluations of each search.
        ylabel: what the values are.
    """
    image = out / f"{name}.png"
    draw_curves(
        panels, image, start=start, xlabel="evaluations (shaded: random start)", ylabel=ylabel
    )
    page = render_bench(title, text, image.read_bytes(), rows)
    write_atomically(out / f"{name}.html", page)


def draw_curves(
    panels: Mapping[str, Mapping[str, NDArray[np.float64]]],
    path: Path,
    *,
    start: int,
    xlabel: str,
    ylabel: str,
) -> None:
    """Draw one panel for each entry: medians, and the middle half of the seeds as a band.

    Args:
        panels: curves (`seeds x steps`) by label, by title of the panel.
        path: of the PNG.
        start: steps before this one are shaded and do not set the range of values.
        xlabel: what a step is.
        ylabel: what the values are.
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
        _frame(axes, np.concatenate(shown, axis=None))
        axes.axvspan(1, start, color="0.95", zorder=0)
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.legend(frameon=False, loc="lower right", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _frame(axes: Any, values: NDArray[np.float64]) -> None:
    """Fit the range of values to what was shown."""
    low, top = float(values.min()), float(values.max())
    room = (top - low) or 1.0
    axes.set_ylim(low - 0.05 * room, top + 0.08 * room)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01)
