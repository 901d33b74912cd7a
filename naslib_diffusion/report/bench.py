"""The page of a measurement: its curves and its table."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from naslib_diffusion.report.templating import render_page


def render_bench(title: str, text: str, image: bytes, rows: Sequence[Mapping[str, object]]) -> str:
    """Render a figure and a table as one HTML page that needs nothing else.

    Args:
        title: what was measured.
        text: how.
        image: PNG.
        rows: of the table, with equal keys.
    """
    return render_page(
        "bench.html.j2",
        title=title,
        text=text,
        image=base64.b64encode(image).decode(),
        rows=rows,
    )
