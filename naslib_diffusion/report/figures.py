"""The figures of a report."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from naslib_diffusion.report.scales import Floats, StretchedAxis, formatter
from naslib_diffusion.report.svg import COLORS, explain, new_figure, style, to_svg
from naslib_diffusion.runs import Evaluation, Results
from naslib_diffusion.tables import Table

MAX_LABEL = 30
"""Characters of a label that fit along an axis."""

QUARTILES_FROM = 5
"""Seeds from which on the band is the middle half; with fewer it is all of them."""


def progress(results: Results) -> str:
    """Best value found so far against evaluations, zoomed to where the search happens."""
    with style("progress"):
        figure, axes = new_figure()
        table, curves = results.table, results.curves
        _over_seeds(axes, curves)
        axes.axhline(table.optimum, color=COLORS["optimum"], lw=1.4, ls=(0, (4, 3)))
        after_start = curves[:, min(results.settings.initial, curves.shape[1]) - 1]
        worst = max((float(v) for v in after_start), key=table.gap)
        room = abs(table.optimum - worst) or float(np.ptp(table.values)) or 1.0
        low, high = sorted((worst, table.optimum))
        axes.set_ylim(low - 0.15 * room, high + 0.12 * room)
        _note(axes, table.optimum, "best of the table", below=table.direction == "minimize")
        _evaluations_axis(axes, results)
        axes.set_ylabel(short_name(table.objective))
        axes.legend(loc="lower right" if table.direction == "maximize" else "upper right")
        return to_svg(figure, "progress")


def regret(results: Results) -> str:
    """Gap of the incumbent to the best of the table, on a logarithmic scale that includes 0."""
    with style("regret"):
        figure, axes = new_figure()
        table = results.table
        gaps = np.maximum([[table.gap(v) for v in curve] for curve in results.curves], 0)
        floor = _floor(table, gaps)
        _over_seeds(axes, np.maximum(gaps, floor))
        axes.set_yscale("log")
        top = max(float(gaps.max()) * 1.4, floor * 20)
        axes.set_ylim(floor / 1.5, top)
        ticks = [
            t for t in LogLocator(numticks=8).tick_values(floor * 1.9, top) if t > floor * 1.9
        ]
        axes.yaxis.set_major_locator(FixedLocator([floor, *ticks]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(
            FuncFormatter(lambda v, _: "0" if v <= floor * 1.001 else f"{v:g}")
        )
        axes.axhline(floor, color=COLORS["optimum"], lw=1.4, ls=(0, (4, 3)))
        _note(axes, floor, "nothing in the table is better")
        _evaluations_axis(axes, results)
        axes.set_ylabel("gap to the best of the table")
        axes.legend(loc="upper right")
        return to_svg(figure, "regret")


def distribution(results: Results) -> str:
    """Values of all of the table, of the random start and of what was proposed after it."""
    with style("distribution"):
        figure, axes = new_figure()
        table = results.table
        axis = StretchedAxis.of(table)
        random, guided = ([results.value(t) for t in part] for part in _by_phase(results))
        low = float(np.quantile(axis(table.values), 0.005))
        low = min([low, *axis(random + guided)])
        bins = np.linspace(low, float(axis(table.optimum)) + 1e-9, 33)
        groups = [
            ("whole table", table.values, "space", 0.55),
            ("random start", np.array(random), "random", 0.0),
            (_proposed(results), np.array(guided), "accent", 0.3),
        ]
        for label, values, color, alpha in groups:
            if len(values):
                shares = np.histogram(np.maximum(axis(values), low), bins)[0] / len(values)
                line = 0 if color == "space" else 1.8
                axes.stairs(100 * shares, bins, fill=True, color=COLORS[color], alpha=alpha)
                axes.stairs(100 * shares, bins, lw=line, color=COLORS[color])
                axes.fill_between(
                    [],
                    [],
                    fc=(COLORS[color], alpha),
                    ec=COLORS[color],
                    lw=line,
                    label=f"{label} ({len(values):,})",
                )
        _value_ticks(axes.xaxis, table, axis, low)
        axes.set_ylabel("share (%)")
        axes.set_xlabel(f"{short_name(table.objective)}, stretched towards the best")
        legend_above(axes, 3)
        return to_svg(figure, "distribution")


def evaluations(results: Results) -> str:
    """Every evaluation of every seed, in order."""
    with style("evaluations"):
        figure, axes = new_figure()
        table = results.table
        axis = StretchedAxis.of(table)
        write, random, guided = formatter(table), *_by_phase(results)
        positions = axis([results.value(t) for t in random + guided])
        for label, trials, color in (
            ("random start", random, "random"),
            (_proposed(results), guided, "accent"),
        ):
            if trials:
                values = [results.value(t) for t in trials]
                points = axes.scatter(
                    [t.step for t in trials], axis(values),
                    s=20, color=COLORS[color], alpha=0.65, lw=0, label=label,
                )  # fmt: skip
                pairs = zip(trials, values, strict=True)
                explain(points, [f"{write(v)} at {t.step} of seed {t.seed}: {t.arch}"
                                 for t, v in pairs])  # fmt: skip
        best = float(axis(table.optimum))
        low = float(positions.min())
        axes.axhline(best, color=COLORS["optimum"], lw=1.4, ls=(0, (4, 3)))
        axes.set_ylim(low - 0.05 * (best - low) - 1e-9, best + 0.06 * (best - low) + 1e-9)
        _value_ticks(axes.yaxis, table, axis, low)
        axes.set_ylabel(short_name(table.objective))
        _evaluations_axis(axes, results)
        axes.set_xlim(0.4, results.settings.budget + 0.6)
        legend_above(axes, 2)
        return to_svg(figure, "evaluations")


def short_name(name: str) -> str:
    """Return the name of an objective, cut to what fits along an axis."""
    return name if len(name) <= MAX_LABEL else f"{name[: MAX_LABEL - 1]}…"


def _over_seeds(axes: Any, curves: Floats) -> None:
    """Draw each seed faintly, the band over them, and their median."""
    steps = np.arange(1, curves.shape[1] + 1)
    if len(curves) == 1:
        axes.step(steps, curves[0], where="post", color=COLORS["accent"], lw=2.4, label="one seed")
        return
    for curve in curves[:30]:
        axes.step(steps, curve, where="post", color=COLORS["accent"], lw=0.9, alpha=0.35)
    many = len(curves) >= QUARTILES_FROM
    low, high = np.quantile(curves, [0.25, 0.75] if many else [0, 1], axis=0)
    label = "middle half of seeds" if many else "all seeds"
    axes.fill_between(
        steps, low, high, step="post", color=COLORS["accent"], alpha=0.16, lw=0, label=label
    )
    median = np.median(curves, 0)
    label = f"median of {len(curves)} seeds"
    axes.step(steps, median, where="post", color=COLORS["accent"], lw=2.4, label=label)


def _evaluations_axis(axes: Any, results: Results) -> None:
    """Label the axis of evaluations, and shade the random start."""
    settings = results.settings
    axes.axvspan(1, settings.initial, color=COLORS["random"], alpha=0.12, lw=0)
    axes.set_xlim(1, max(settings.budget, 2))
    axes.set_xlabel("evaluations (shaded: random start)")
    axes.grid(visible=False, axis="x")


def _note(axes: Any, y: float, text: str, *, below: bool = False) -> None:
    """Write a note at the left end of a horizontal line."""
    axes.annotate(
        text,
        (0.985, y),
        xycoords=("axes fraction", "data"),
        xytext=(0, -4 if below else 4),
        textcoords="offset points",
        va="top" if below else "bottom",
        ha="right",
        color=COLORS["optimum"],
        fontsize=10,
    )


def legend_above(axes: Any, columns: int) -> None:
    """Put the legend above the axes, in so many columns."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=columns,
        columnspacing=1.2,
        handlelength=1.2,
        borderaxespad=0.2,
    )


def _value_ticks(axis: Any, table: Table[Any], scale: StretchedAxis, low: float) -> None:
    ticks = scale.ticks(low)
    write = formatter(table)
    axis.set_major_locator(FixedLocator([float(scale(t)) for t in ticks]))
    labels = dict(zip([float(scale(t)) for t in ticks], ticks, strict=True))
    axis.set_major_formatter(FuncFormatter(lambda x, _: _short(write(labels[x]))))


def _short(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _floor(table: Table[Any], gaps: Floats) -> float:
    """Return the gap at which a logarithmic axis draws 0: below all that occur."""
    everywhere = np.abs(table.values - table.optimum)
    positive = np.concatenate([everywhere[everywhere > 0], gaps[gaps > 0]])
    return float(positive.min()) / 2.5 if len(positive) else 0.1


def _by_phase(results: Results) -> tuple[list[Evaluation], list[Evaluation]]:
    """Return the evaluations of the random start, and those that came after it."""
    initial, trials = results.settings.initial, results.trials
    return [t for t in trials if t.step <= initial], [t for t in trials if t.step > initial]


def _proposed(results: Results) -> str:
    names = {
        "random": "chosen among random",
        "mutation": "chosen among mutants",
        "mutation+random": "chosen among mutants and random",
    }
    return names.get(results.settings.strategy, results.settings.strategy)
