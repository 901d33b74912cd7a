"""How pages are made from templates: everything is escaped, and the style is part of the page."""

from __future__ import annotations

import re

import jinja2
from markupsafe import Markup


def render_page(template: str, **values: object) -> str:
    """Render a template of this package as one HTML page that needs nothing else.

    Args:
        template: file name.
        values: what it shows; a name that it uses and that is missing is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("naslib_diffusion.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    style = Markup(environment.get_template("style.css").render())
    return environment.get_template(template).render(style=style, **values) + "\n"


def _breakable(text: str) -> Markup:
    """Escape, and allow a line break after each plus sign, bar and comma."""
    parts = re.split(r"(?<=[+,|])", text)
    return Markup("<wbr>").join(parts)
