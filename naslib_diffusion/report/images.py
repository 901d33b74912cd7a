"""The report of a search on images: what was trained, what came out, how to use it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from naslib_diffusion.report.cells import LABELS, NODES, RADIUS, draw_cell
from naslib_diffusion.runs.trials import Evaluation
from naslib_diffusion.spaces import NASBench201


def render_image_report(summary: Mapping[str, Any], trials: Sequence[Evaluation]) -> str:
    """Render one HTML page that needs nothing else.

    Args:
        summary: as of `summary.json`.
        trials: all of the run, in order; at least one that did not diverge.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("naslib_diffusion.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    space = NASBench201()
    page = environment.get_template("images.html.j2").render(
        style=Markup(environment.get_template("style.css").render()),
        summary=summary,
        rows=[
            (t, draw_cell(space.parse(t.arch)), math.isfinite(t.value))
            for t in sorted(trials, key=lambda t: (math.isnan(t.value), -t.value, t.step))
        ],
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
    return page + "\n"
