"""Equations of the pages as MathML, made when the site is built; readers need no script."""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert

INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
DISPLAY = re.compile(r'<div class="arithmatex">\\\[(.*?)\\\]</div>', re.DOTALL)


def on_page_content(content: str, **_: object) -> str:
    """Replace what `pymdownx.arithmatex` marked; MkDocs calls this for each page."""
    content = INLINE.sub(lambda found: convert(html.unescape(found[1])), content)
    return DISPLAY.sub(lambda found: convert(html.unescape(found[1]), display="block"), content)
