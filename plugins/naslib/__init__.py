"""NASLib: `optimizer: diffusionnag`, and NASLib's own optimizers with guided candidates.

Importing this package does not import NASLib; what needs it does so on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from naslib_diffusion.plugins.naslib.guided import GuidedBananas, GuidedNpenas
    from naslib_diffusion.plugins.naslib.optimizer import DiffusionNAG
    from naslib_diffusion.plugins.naslib.optimizers import supported_optimizers

_HOMES = {
    "DiffusionNAG": "optimizer",
    "GuidedBananas": "guided",
    "GuidedNpenas": "guided",
    "supported_optimizers": "optimizers",
}

__all__ = ["DiffusionNAG", "GuidedBananas", "GuidedNpenas", "supported_optimizers"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
