"""Optuna: a sampler that proposes trials by guided diffusion."""

from naslib_diffusion.plugins.optuna.codecs import suggest
from naslib_diffusion.plugins.optuna.sampler import DiffusionNAGSampler

__all__ = ["DiffusionNAGSampler", "suggest"]
