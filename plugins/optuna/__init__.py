"""Optuna: a sampler that proposes trials by guided diffusion."""

from naslib_diffusion.plugins.optuna.sampler import DiffusionNAGSampler
from naslib_diffusion.plugins.optuna.spaces import suggest

__all__ = ["DiffusionNAGSampler", "suggest"]
