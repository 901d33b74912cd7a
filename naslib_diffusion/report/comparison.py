"""The page of a comparison: curves of many methods, tables that sort, mean ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from naslib_diffusion.report.scales import Floats
from naslib_diffusion.report.svg import COLORS, new_figure, style, to_svg
from naslib_diffusion.report.templating import render_page
from naslib_diffusion.tables import Table

SERIES = 8
"""Colours of curves; beyond them lines are dashed."""
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.6)), (0, (1.4, 1.2)))
STARTS_FROM = 0.1
"""Share of the search after the random start from which on all curves are in sight."""


@dataclass(frozen=True)
class Panel:
    """One table that was searched.

    Attributes:
        name: what to call it.
        table: the table.
        start: random evaluations at the start.
        curves: best values so far by method, `seeds x steps`.
        rows: of the table below the curves.
    """

    name: str
    table: Table[Any]
    start: int
    curves: Mapping[str, Floats]
    rows: Sequence[Mapping[str, object]]


def render_comparison(
    *,
    title: str,
    lead: str,
    panels: Sequence[Panel],
    methods: Sequence[str],
    strong: Sequence[str],
    ranks: tuple[Sequence[Mapping[str, Any]], float],
    notes: Sequence[str],
    sources: Sequence[tuple[str, str, Mapping[str, Any]]],
    facts: Mapping[str, Sequence[str]],
    command: str,
) -> str:
    """Render one HTML page that needs nothing else.

    Args:
        title: what was compared.
        lead: how.
        panels: one for each table.
        methods: in the order of their colours.
        strong: those whose spread over seeds is shown from the first.
        ranks: rows of method and mean rank, best first, and by how much they must differ.
        notes: on the tables.
        sources: method, where it is from, and its settings.
        facts: versions and the like, by name.
        command: that repeats all this.
    """
    return render_page(
        "comparison.html.j2",
        title=title,
        lead=lead,
        panels=[
            (panel, Markup(draw_curves(panel, methods, strong, f"curves{i}")))
            for i, panel in enumerate(panels)
        ],
        keys=[
            (m, i % SERIES, i // SERIES % len(DASHES), m in strong) for i, m in enumerate(methods)
        ],
        ranks=Markup(draw_ranks(*ranks)) if ranks[0] else None,
        difference=ranks[1],
        notes=notes,
        sources=sources,
        facts=facts,
        command=command,
    )


def draw_curves(panel: Panel, methods: Sequence[str], strong: Sequence[str], name: str) -> str:
    """Draw stepped medians and the middle half of the seeds; each method has ids of its own."""
    with style(name):
        figure, axes = new_figure()
        table = panel.table
        steps = np.arange(1, next(iter(panel.curves.values())).shape[1] + 1)
        for i, method in enumerate(methods):
            if method not in panel.curves:
                continue
            color, dash = COLORS[f"series{i % SERIES}"], DASHES[i // SERIES % len(DASHES)]
            low, middle, high = np.quantile(panel.curves[method], [0.25, 0.5, 0.75], axis=0)
            axes.fill_between(
                steps, low, high, step="post", color=color, alpha=0.16, lw=0, gid=f"m{i}-band"
            )
            width = 2.6 if method in strong else 1.5
            axes.step(
                steps, middle, where="post", color=color, ls=dash, lw=width, gid=f"m{i}-line"
            )
        axes.axhline(table.optimum, color=COLORS["optimum"], lw=1.2, ls=(0, (4, 3)))
        _frame(axes, panel, int(steps[-1]))
        axes.set_ylabel(table.objective)
        return to_svg(figure, name)


def _frame(axes: Any, panel: Panel, budget: int) -> None:
    """Zoom to where the search happens, and shade the random start."""
    step = min(panel.start + round(STARTS_FROM * (budget - panel.start)), budget - 1)
    medians = [float(np.median(curve[:, step])) for curve in panel.curves.values()]
    worst = max(medians, key=panel.table.gap)
    best = panel.table.optimum
    room = abs(best - worst) or float(np.ptp(panel.table.values)) or 1.0
    low, high = sorted((worst, best))
    axes.set_ylim(low - 0.05 * room, high + 0.05 * room)
    if panel.start:
        axes.axvspan(1, panel.start, color=COLORS["random"], alpha=0.12, lw=0)
    axes.set_xlim(1, max(budget, 2))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("evaluations (shaded: random start)")
    axes.grid(visible=False, axis="x")


def draw_ranks(rows: Sequence[Mapping[str, Any]], difference: float) -> str:
    """Draw mean ranks; methods whose bars overlap do not differ."""
    with style("ranks"):
        figure, axes = new_figure()
        means = [float(row["mean rank"]) for row in rows]
        places = np.arange(len(rows))
        axes.barh(
            places, difference, left=np.array(means) - difference / 2, height=0.32,
            color=COLORS["accent"], alpha=0.25,
        )  # fmt: skip
        axes.plot(means, places, "o", color=COLORS["accent"], ms=5)
        axes.set_yticks(places, [str(row["method"]) for row in rows])
        axes.invert_yaxis()
        axes.set_xlim(0.5, len(rows) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("mean rank, 1 is best (bars: critical difference)")
        axes.grid(visible=False, axis="y")
        return to_svg(figure, "ranks")
