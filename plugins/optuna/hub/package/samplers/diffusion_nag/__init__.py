"""DiffusionNAG sampler: guided diffusion over any search space."""

from __future__ import annotations

from naslib_diffusion import DiffusionNAGSampler

__all__ = ["DiffusionNAGSampler"]
