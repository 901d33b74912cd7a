"""The page of a study."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from naslib_diffusion.report import study_figures as figures
from naslib_diffusion.report.cells import LABELS, NODES, RADIUS, draw_cell
from naslib_diffusion.report.figures import short_name
from naslib_diffusion.report.foresight import Foreseen, foresight, sentence
from naslib_diffusion.report.importance import EXPLAINED, effects_figure, main_effects
from naslib_diffusion.report.study import Study, StudyTrial
from naslib_diffusion.report.templating import render_page

Chart = tuple[str, str, str, Markup]
"""Kind, title, description and SVG."""


def render_study(study: Study) -> str:
    """Render one HTML page that needs nothing else.

    Raises:
        ValueError: if no trial is complete and feasible.
    """
    best = study.best()
    if not best:
        limits = " that meets all constraints" if study.finished() else ""
        raise ValueError(f"study {study.name!r} has no complete trial with a finite value{limits}")
    return render_page(
        "study.html.j2",
        study=study,
        best=best,
        states=Counter(trial.state for trial in study.trials),
        infeasible=sum(not trial.feasible for trial in study.finished()),
        charts=[*_courses(study, best), *_effects(study), *_predictions(study)],
        draw=draw_cell,
        cell=draw_cell(best[0].arch),
        nodes=NODES,
        radius=RADIUS,
        labels=LABELS,
    )


def _courses(study: Study, best: Sequence[StudyTrial]) -> list[Chart]:
    """Show how good the trials are."""
    if len(study.signs) == 1:
        svg = figures.progress(study)
        return [("", "Every trial", "and the best value so far", Markup(svg))]
    text = "trials than which no other is better in all objectives"
    names = study.objectives
    fronts = [
        ("", _titled("Front", names, f"{names[i]} and {names[j]}", 2), text, svg)
        for i, j in itertools.combinations(range(len(names)), 2)
        for svg in [Markup(figures.front(study, best, i, j))]
    ]
    text = "the hypervolume that the front dominates, as a share of that at the end"
    return [*fronts, ("", "How the front grew", text, Markup(figures.growth(study)))]


def _predictions(study: Study) -> list[Chart]:
    charts: list[Chart] = []
    for i, name in enumerate(study.objectives):
        points = [
            Foreseen(t.values[i], *t.predictions[i], str(t))
            for t in study.finished()
            if t.predictions
        ]
        if points:
            svg = Markup(foresight(points, short_name(name), f"foresight-{i}"))
            title = _titled("Predicted and observed", study.objectives, name)
            charts.append(("", title, sentence(points), svg))
    return charts


def _effects(study: Study) -> list[Chart]:
    """Show which decisions matter, where the trials have a space."""
    trials = [trial for trial in study.finished() if trial.arch is not None]
    if study.space is None:
        return []
    archs, charts = [trial.arch for trial in trials], []
    for i, (name, direction) in enumerate(zip(study.objectives, study.directions, strict=True)):
        values = [trial.values[i] for trial in trials]
        effects = main_effects(study.space, direction, archs, values, study.decide)
        if effects:
            svg = Markup(effects_figure(effects, short_name(name), f"effects-{i}"))
            charts.append(
                ("tall", _titled("What matters", study.objectives, name), EXPLAINED, svg)
            )
    return charts


def _titled(title: str, objectives: Sequence[str], which: str, least: int = 1) -> str:
    """Add which objectives a figure shows, where there are more than `least`."""
    return f"{title}: {which}" if len(objectives) > least else title
