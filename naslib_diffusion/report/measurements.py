"""The page of all measurements: what was done, what was not and why, and every table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naslib_diffusion.report.templating import render_page


@dataclass(frozen=True)
class Measurement:
    """One measurement.

    Attributes:
        name: folder of its files, too.
        description: what is measured.
        command: that repeats it.
        status: "done", "skipped", "stopped" or "failed".
        message: why it was not done.
        seconds: that it took.
        results: what it wrote: name, settings, and rows of equal keys.
        pages: files in its folder.
    """

    name: str
    description: str
    command: str
    status: str
    message: str
    seconds: float
    results: Sequence[Mapping[str, Any]]
    pages: Sequence[str]


def render_measurements(
    measurements: Sequence[Measurement], quick: bool, facts: Mapping[str, Any]
) -> str:
    """Render one HTML page that needs nothing else.

    Args:
        measurements: in order.
        quick: whether sizes were small.
        facts: versions, commit, machine and time.
    """
    done = sum(m.status == "done" for m in measurements)
    return render_page(
        "measurements.html.j2",
        measurements=measurements,
        title=f"{done} of {len(measurements)} measurements",
        lead="Small sizes: they show that all of it runs, not how good anything is."
        if quick
        else "Every figure of the documentation comes from one of these commands.",
        facts=facts,
        write=lambda value: f"{value:.3f}" if isinstance(value, float) else str(value),
    )
