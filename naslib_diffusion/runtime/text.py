"""Text that others wrote, fit to be shown."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return a text with escapes for what would command a terminal, or is no text.

    That is control characters, such as those that set a terminal's title, and the bytes of files'
    names that are not UTF-8.
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
