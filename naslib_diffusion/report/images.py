"""The report of a search on images: what was trained, what came out, how to use it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from naslib_diffusion.report.cells import LABELS, NODES, RADIUS, draw_cell
from naslib_diffusion.report.learning import confusion_matrix, loss_curves
from naslib_diffusion.report.templating import render_page
from naslib_diffusion.runs.trials import Evaluation
from naslib_diffusion.spaces import NASBench201

DRAWN = 12
"""Most classes of which a confusion matrix is drawn."""
CONFUSED = 10
"""How many confusions are listed."""


def render_image_report(
    summary: Mapping[str, Any],
    trials: Sequence[Evaluation],
    losses: Mapping[int, Sequence[float]],
) -> str:
    """Render one HTML page that needs nothing else.

    Args:
        summary: as of `summary.json`.
        trials: all of the run, in order; at least one that did not diverge.
        losses: of each epoch of each training, by the number of the training.
    """
    space = NASBench201()
    diagnosis, classes = summary.get("diagnosis"), summary["classes"]
    counts = diagnosis["counts"] if diagnosis else []
    curves = {step: own for step, own in losses.items() if any(map(math.isfinite, own))}
    return render_page(
        "images.html.j2",
        summary=summary,
        rows=[
            (t, draw_cell(space.parse(t.arch)), math.isfinite(t.value))
            for t in sorted(trials, key=lambda t: (math.isnan(t.value), -t.value, t.step))
        ],
        comparison=_comparison(summary),
        parameters=diagnosis and diagnosis["parameters"],
        matrix=Markup(confusion_matrix(counts, classes)) if 2 <= len(counts) <= DRAWN else "",
        confused=_confused(counts, classes),
        curves=Markup(loss_curves(curves, summary["best"]["step"])) if curves else "",
        error=_standard_error(summary),
        best=draw_cell(space.parse(summary["best"]["arch"])),
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
