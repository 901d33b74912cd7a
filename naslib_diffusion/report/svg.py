"""Matplotlib figures as SVG that lives inside a page and takes the page's colours."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

from naslib_diffusion.runtime.extras import require

require("matplotlib", "report", "reports")

import matplotlib as mpl  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

COLORS = {
    "ink": "#010101",
    "muted": "#020202",
    "grid": "#030303",
    "accent": "#040404",
    "random": "#050505",
    "optimum": "#060606",
    "space": "#070707",
    "card": "#080808",
    **{f"series{i}": f"#0909{i:02d}" for i in range(8)},
}
"""Stand-ins that become the page's CSS variables of these names, for light and dark alike."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 11,
    "font.family": "DejaVu Sans",
    "text.color": COLORS["ink"],
    "axes.labelcolor": COLORS["muted"],
    "axes.labelsize": 10.5,
    "axes.edgecolor": COLORS["grid"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "grid.color": COLORS["grid"],
    "grid.linewidth": 0.8,
    "xtick.color": COLORS["grid"],
    "ytick.color": COLORS["grid"],
    "xtick.labelcolor": COLORS["muted"],
    "ytick.labelcolor": COLORS["muted"],
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 10.5,
    "lines.linewidth": 2,
    "lines.solid_capstyle": "round",
}

_TIP = "tip:"
_LINK = re.compile(rf"""<a xlink:href=(["']){_TIP}(.*?)\1[^>]*>(.*?)</a>""", re.DOTALL)
"""How `explain` marks a text, and a point with it: what is escaped in a link is so in a title."""

WIDTH, HEIGHT = 6.0, 3.9
"""Size of a figure in inches of 72 pixels; narrow, so that it is legible on a phone."""


def style(name: str) -> Any:
    """Return the context in which the figure `name` is made: its look, and ids of its own."""
    settings: Any = {**_STYLE, "svg.hashsalt": name}
    return mpl.rc_context(settings)


def new_figure() -> tuple[Figure, Any]:
    """Return a figure and its axes, without any global state."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    return figure, figure.subplots()


def explain(points: Any, texts: Sequence[str]) -> None:
    """Show a text where the pointer rests on a point of a scatter plot, one for each point."""
    points.set_urls([f"{_TIP}{text}" for text in texts])  # matplotlib knows links, and no titles


def to_svg(figure: Figure, name: str) -> str:
    """Render a figure as an `<svg>` element; the same figure gives the same text.

    Args:
        figure: made under `style(name)`.
        name: prefixes all ids, so that several figures fit in one page.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    text = _LINK.sub(r"<g><title>\2</title>\3</g>", text)
    for color, stand_in in COLORS.items():
        text = text.replace(stand_in, f"var(--{color})")
    return text.strip()
