"""The page of a search that a user's own program ran."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from naslib_diffusion.report.cells import decisions
from naslib_diffusion.report.study import Study, StudyTrial
from naslib_diffusion.report.study_page import render_study
from naslib_diffusion.runtime.files import write_atomically
from naslib_diffusion.search import ParetoSearch, Prediction, Search, Trial
from naslib_diffusion.tables import Direction


def write_report(
    search: Search[Any],
    path: str | Path,
    *,
    name: str = "search",
    objectives: Sequence[str] = (),
) -> None:
    """Write the report of a search as one HTML page that needs nothing else.

    The page shows the best architectures, or the front of several objectives, what was predicted
    of each architecture before it was evaluated, and which decisions matter.

    Args:
        search: a `Search` or `ParetoSearch` that was told at least one finite value.
        path: of the HTML file, which is overwritten.
        name: what the page is called.
        objectives: a name for each objective.

    Raises:
        ValueError: if the names are not as many as the objectives, or nothing succeeded yet.

    Example:
        write_report(search, "report.html", objectives=["error", "latency (ms)"])
    """
    write_atomically(Path(path), render_study(study_of(search, name, objectives)))


def study_of(search: Search[Any], name: str, objectives: Sequence[str] = ()) -> Study:
    """Return what the report shows of a search.

    Raises:
        ValueError: if the names are not as many as the objectives.
    """
    directions = _directions(search)
    several = len(directions) > 1
    names = tuple(objectives) or (
        tuple(f"objective {i}" for i in range(len(directions))) if several else ("value",)
    )
    if len(names) != len(directions):
        raise ValueError(f"{len(directions)} objectives need as many names, not {len(names)}")
    told = [_trial(search, number, trial) for number, trial in enumerate(search.trials)]
    running = [
        StudyTrial(len(told) + i, "running", (), {}, str(arch))
        for i, arch in enumerate(search.pending)
    ]
    return Study(name, directions, names, (*told, *running), search.space, kind="Search")


def _directions(search: Search[Any]) -> tuple[Direction, ...]:
    signs = search.signs if isinstance(search, ParetoSearch) else (search.history.maximize,)
    return tuple("maximize" if sign > 0 else "minimize" for sign in signs)


def _trial(search: Search[Any], number: int, trial: Trial[Any]) -> StudyTrial:
    failed = not math.isfinite(trial.value)
    told = trial.told if isinstance(trial.told, tuple) else (trial.told,)
    return StudyTrial(
        number=number,
        state="failed" if failed else "complete",
        values=() if failed else told,
        params=dict(decisions(search.space, trial.arch)),
        text=str(trial.arch),
        predictions=_spans(search.history.predicted(trial.arch)),
        arch=trial.arch,
        feasible=trial.feasible,
    )


def _spans(predictions: Sequence[Prediction]) -> tuple[tuple[float, float], ...]:
    return tuple((p.mean, p.deviation) for p in predictions)
