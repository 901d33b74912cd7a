"""The report of a search on images: what was trained, what came out, how to use it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from markupsafe import Markup

from naslib_diffusion.report.cells import LABELS, NODES, RADIUS, Edge, draw_cell
from naslib_diffusion.report.learning import confusion_matrix, loss_curves
from naslib_diffusion.report.templating import render_page
from naslib_diffusion.runs.trials import Evaluation
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.costs import parameters
from naslib_diffusion.transfer.diagnostics import Course

DRAWN = 12
"""Most classes of which a confusion matrix is drawn."""
CONFUSED = 10
"""How many confusions are listed."""


def render_image_report(
    summary: Mapping[str, Any],
    trials: Sequence[Evaluation],
    courses: Mapping[int, Course],
) -> str:
    """Render one HTML page that needs nothing else.

    Args:
        summary: as of `summary.json`.
        trials: all of the run, in order; at least one that did not diverge.
        courses: of the trainings, by their number.
    """
    diagnosis, classes = summary.get("diagnosis"), summary["classes"]
    counts = diagnosis["counts"] if diagnosis else []
    losses = {step: course.losses for step, course in courses.items()}
    curves = {step: own for step, own in losses.items() if any(map(math.isfinite, own))}
    return render_page(
        "images.html.j2",
        summary=summary,
        rows=_rows(summary, trials, courses),
        comparison=_comparison(summary),
        matrix=Markup(confusion_matrix(counts, classes)) if 2 <= len(counts) <= DRAWN else "",
        confused=_confused(counts, classes),
        curves=Markup(loss_curves(curves, summary["best"]["step"])) if curves else "",
        error=_standard_error(summary),
        best=draw_cell(NASBench201().parse(summary["best"]["arch"])),
        settings={
            **summary["settings"],
            **summary["settings"]["recipe"],
            "prior": ", ".join(summary["settings"]["prior"]),
            "recipe": None,
        },
        nodes=NODES,
        radius=RADIUS,
        labels=LABELS,
    )


@dataclass(frozen=True)
class _Row:
    """A trained cell; without `seconds` where the file that has them was lost."""

    trial: Evaluation
    edges: list[Edge] | None
    parameters: int
    seconds: float | None

    @property
    def finished(self) -> bool:
        return math.isfinite(self.trial.value)


def _rows(
    summary: Mapping[str, Any], trials: Sequence[Evaluation], courses: Mapping[int, Course]
) -> list[_Row]:
    """Return what the table says of each trained cell, best first."""
    space, recipe, found = NASBench201(), summary["settings"]["recipe"], []
    for trial in sorted(trials, key=lambda t: (math.isnan(t.value), -t.value, t.step)):
        cell, course = space.parse(trial.arch), courses.get(trial.step)
        with torch.device("meta"):  # for its size alone
            network = space.build(cell, channels=recipe["channels"], cells=recipe["cells"],
                                  outputs=len(summary["classes"]))  # fmt: skip
        seconds = None if course is None else course.seconds
        found.append(_Row(trial, draw_cell(cell), int(parameters(network)), seconds))
    return found


def _confused(
    counts: Sequence[Sequence[int]], classes: Sequence[str]
) -> list[tuple[str, str, int, float]]:
    """Return the most frequent confusions: class, what it is taken for, how often, in percent."""
    pairs = [
        (classes[i], classes[j], count, 100 * count / sum(row))
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if count and i != j
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], -pair[3], pair[0]))[:CONFUSED]


def _comparison(summary: Mapping[str, Any]) -> list[tuple[str, float, bool]]:
    """Return what the best cell is to be measured by, and itself, in order of accuracy."""
    rows = [(name, value, False) for name, value in summary["baselines"].items()]
    rows.append(("the best cell", summary["best"]["value"], True))
    return sorted(rows, key=lambda row: row[1])


def _standard_error(summary: Mapping[str, Any]) -> float:
    """Return the standard error of the accuracy, in points.

    By Laplace's rule of succession, so that it is not zero where all images are right.
    """
    n = summary["held_out"]
    share = (n * summary["best"]["value"] / 100 + 1) / (n + 2)
    return 100 * math.sqrt(share * (1 - share) / n)
