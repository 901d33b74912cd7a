"""Which versions decide what a run does."""

from __future__ import annotations

import functools
import platform
from importlib import metadata
from typing import Any

PACKAGES = ("naslib-diffusion", "torch", "gpytorch", "botorch", "numpy")


@functools.cache
def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Return the versions of Python and of those packages that are installed, by name."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def changed_since(then: Any) -> str:
    """Describe what has another version than `then`, as `versions` told it; empty if nothing.

    What is no such dictionary, or was not noted, tells nothing.
    """
    known, now = then if isinstance(then, dict) else {}, versions()
    return ", ".join(
        f"{name} {known[name]}"
        for name in now
        if isinstance(known.get(name), str) and known[name] != now[name]
    )
