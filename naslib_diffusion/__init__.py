"""DiffusionNAG: guided diffusion over neural architectures."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from naslib_diffusion.diffusion import guide_on
    from naslib_diffusion.optimize import GuidedGenerator, SpaceExhausted
    from naslib_diffusion.plugins.optuna import DiffusionNAGSampler
    from naslib_diffusion.search import Search

__version__ = "0.1.0"

_CHECKOUT = Path(__file__).resolve().parent.parent
if (_CHECKOUT / "setup.cfg").is_file() and (_CHECKOUT / "plugins" / "optuna").is_dir():
    # Python was started in a checkout, whose package hides an installed one. The folders that
    # install as `naslib_diffusion.plugins` and `naslib_diffusion.benchmarks` lie beside it.
    __path__.append(str(_CHECKOUT))

_LAZY = {
    "DiffusionNAGSampler": "naslib_diffusion.plugins.optuna",
    "GuidedGenerator": "naslib_diffusion.optimize",
    "Search": "naslib_diffusion.search",
    "SpaceExhausted": "naslib_diffusion.optimize",
    "guide_on": "naslib_diffusion.diffusion",
}
"""Public names by the module that defines them: imported on first use, so that importing the
package is quick and pulls in no host."""

__all__ = [
    "DiffusionNAGSampler",
    "GuidedGenerator",
    "Search",
    "SpaceExhausted",
    "__version__",
    "guide_on",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
