"""The page: what the template shows, in words and numbers."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from naslib_diffusion.report import figures
from naslib_diffusion.report.cells import LABELS, NODES, RADIUS, decisions, draw_cell
from naslib_diffusion.report.foresight import Foreseen, foresight, sentence
from naslib_diffusion.report.importance import EXPLAINED, effects_figure, main_effects
from naslib_diffusion.report.scales import formatter
from naslib_diffusion.report.templating import render_page
from naslib_diffusion.runs import Results
from naslib_diffusion.tables import Table
from naslib_diffusion.tables.equality import describe

TOP = 10
"""Architectures in the table of the best."""


def render_report(results: Results, out: str) -> str:
    """Render the report of a run as one HTML page that needs nothing else.

    Args:
        results: of the run.
        out: the folder that the user named, for the command that repeats the run.
    """
    table, winner = results.table, results.winner
    write = formatter(table)
    arch = table.space.parse(winner.best.arch)
    return render_page(
        "report.html.j2",
        headline=_headline(results),
        results=results,
        table=table,
        winner=winner,
        write=write,
        gap=lambda value: "0" if value <= 0 else f"{value:.3g}",
        tiles=list(_tiles(results)),
        cell=draw_cell(arch),
        draw=lambda text: draw_cell(table.space.parse(text)),
        decisions=decisions(table.space, arch),
        nodes=NODES,
        radius=RADIUS,
        labels=LABELS,
        charts=_charts(results),
        matters=_matters(results),
        top=results.top(TOP),
        settings=_settings(results),
        command=results.settings.command(out),
    )


def _headline(results: Results) -> str:
    table, winner = results.table, results.winner
    value, rows = formatter(table)(winner.value), f"{len(table):,}"
    if winner.rank == 1:
        return f"Found the best of {rows} architectures: {value}"
    return f"Found {value}, rank {winner.rank:,} of {rows} architectures"


def _tiles(results: Results) -> Iterator[tuple[str, str, str]]:
    """Yield the key figures: value, what it is, and a remark."""
    table, settings, seeds = results.table, results.settings, results.seeds
    write, number = formatter(table), len(results.seeds)
    yield write(results.winner.value), "best found", table.objective
    values = [seed.value for seed in seeds]
    if number > 1:
        remark = f"mean {write(statistics.fmean(values))} ± {write(statistics.stdev(values))}"
        yield write(statistics.median(values)), f"median of {number} seeds", remark
    reached = [seed.steps_to_optimum for seed in seeds if seed.steps_to_optimum is not None]
    if reached:
        remark = f"{len(reached)} of {number} seed{'s' * (number > 1)} reached it"
        yield f"{statistics.median(reached):g}", "evaluations to the table's best", remark
    else:
        median = statistics.median(seed.steps_to_best for seed in seeds)
        yield f"{median:g}", "evaluations to the best found", "median over the seeds"
    share = 100 * settings.budget / table.distinct
    remark = f"of {_counted(table)}, by each seed"
    yield f"{share:.2g} %", "of the table evaluated", remark
    new = len(results.trials) - results.resumed
    if new:
        remark = f"{results.seconds / new:.2g} s per evaluation"
        yield _duration(results.seconds), "to search", remark


def _counted(table: Table[Any]) -> str:
    """Count rows, and what is left of them if isomorphic ones count as one."""
    if len(table) == table.distinct:
        return f"{len(table):,}"
    return f"{len(table):,}, {table.distinct:,} up to isomorphism"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def _charts(results: Results) -> list[tuple[str, str, Markup]]:
    """Return title, description and SVG of each figure; the SVG is our own and escaped."""
    charts = [
        ("Best found so far", "zoomed to what follows the random start", figures.progress),
        ("How much is left", "gap of the best found so far, logarithmic", figures.regret),
        ("What was evaluated", "beside all that the table holds", figures.distribution),
        ("Every evaluation", "of every seed, in order", figures.evaluations),
    ]
    drawn = [(title, text, Markup(draw(results))) for title, text, draw in charts]
    points = [Foreseen(t.value, f.mean, f.deviation, t.arch) for t, f in results.foreseen()]
    if points:
        svg = foresight(points, figures.short_name(results.table.objective))
        drawn.append(("Predicted and observed", sentence(points), Markup(svg)))
    return drawn


def _matters(results: Results) -> tuple[str, str, Markup] | None:
    """Return title, description and SVG of the figure of main effects, if there are any."""
    table, trials = results.table, results.trials
    archs = [table.space.parse(trial.arch) for trial in trials]
    values = [trial.value for trial in trials]
    effects = main_effects(table.space, table.direction, archs, values)
    if not effects:
        return None
    svg = effects_figure(effects, figures.short_name(table.objective))
    return "What matters", EXPLAINED, Markup(svg)


def _settings(results: Results) -> list[tuple[str, str]]:
    table = results.table
    listed = [
        ("table", table.name),
        ("objective", f"{table.objective}, {table.direction}"),
        ("architectures", _counted(table)),
    ]
    reason = describe(table)
    listed += [("equality", reason)] if reason else []
    skipped = ("benchmark", "table", "objective", "direction", "fingerprint", "prior_fingerprint")
    listed += [
        (name, str(value))
        for name, value in results.settings.to_json().items()
        if name not in skipped and value is not None
    ]
    return listed
