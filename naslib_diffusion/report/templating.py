"""How pages are made from templates: everything is escaped, style and script are in the page.

A page may load nothing and run nothing but our own script: its content security policy names the
script by its hash. Without scripts a page shows the same.
"""

from __future__ import annotations

import base64
import hashlib

import jinja2
from markupsafe import Markup

from naslib_diffusion.runtime.versions import versions


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
    style = Markup(environment.get_template("style.css").render())
    script = Markup(environment.get_template("script.js").render())
    return (
        environment.get_template(template).render(
            style=style,
            script=script,
            policy=_policy(script),
            terms=TERMS,
            versions=", ".join(f"{name} {own}" for name, own in versions().items()),
            **values,
        )
        + "\n"
    )


def _policy(script: str) -> str:
    """Return the content security policy of a page with this one script."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


TERMS = {
    "best": "The best value that was found.",
    "deviation": "How unsure the prediction was: one standard deviation.",
    "earliest": "After how many evaluations it was found first.",
    "found at": "After how many evaluations the best value was found.",
    "gap": "How far the best value that was found is from the best of the table.",
    "parameters": "How many weights the network has.",
    "predicted": "What the model expected of it before it was evaluated.",
    "rank": "Its place among all rows of the table; 1 is the best.",
    "seconds": "How long it took.",
    "seed": "The number from which all random decisions of a search follow.",
    "seeds": "In how many of the searches it was found.",
    "table's best at": "After how many evaluations nothing in the table was better.",
}
"""What headings mean, shown where the pointer rests on them."""
