"""Packages that only some uses need, and the extras that install them."""

from __future__ import annotations

import importlib.util


class MissingExtra(ImportError):  # noqa: N818 - it says what is the case
    """A package is not installed; the message is one line that says how to get it."""


def require(module: str, extra: str, purpose: str) -> None:
    """Raise MissingExtra unless a module can be imported.

    Args:
        module: to be imported.
        extra: of this package that installs it.
        purpose: what needs it, for people.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingExtra(f"{purpose} need {module}: pip install 'naslib-diffusion[{extra}]'")
