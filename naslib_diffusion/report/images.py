"""The report of a search on images: what was trained, what came out, how to use it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from naslib_diffusion.report.cells import LABELS, NODES, RADIUS, draw_cell
from naslib_diffusion.report.templating import render_page
from naslib_diffusion.runs.trials import Evaluation
from naslib_diffusion.spaces import NASBench201


def render_image_report(summary: Mapping[str, Any], trials: Sequence[Evaluation]) -> str:
    """Render one HTML page that needs nothing else.

    Args:
        summary: as of `summary.json`.
        trials: all of the run, in order; at least one that did not diverge.
    """
    space = NASBench201()
    return render_page(
        "images.html.j2",
        summary=summary,
        rows=[
            (t, draw_cell(space.parse(t.arch)), math.isfinite(t.value))
            for t in sorted(trials, key=lambda t: (math.isnan(t.value), -t.value, t.step))
        ],
        comparison=_comparison(summary),
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
