"""The page of a measurement: its curves and its table."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import jinja2
from markupsafe import Markup


def render_bench(title: str, text: str, image: bytes, rows: Sequence[Mapping[str, object]]) -> str:
    """Render a figure and a table as one HTML page that needs nothing else.

    Args:
        title: what was measured.
        text: how.
        image: PNG.
        rows: of the table, with equal keys.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("naslib_diffusion.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("bench.html.j2").render(
        style=Markup(environment.get_template("style.css").render()),
        title=title,
        text=text,
        image=base64.b64encode(image).decode(),
        rows=rows,
    )
    return page + "\n"
