"""BoTorch plugin: acquisition functions maximised over discrete, mixed and structural spaces."""

from naslib_diffusion.plugins.botorch.bayesian import DiffusionCandidates
from naslib_diffusion.plugins.botorch.optimize import optimize_acqf_diffusion

__all__ = ["DiffusionCandidates", "optimize_acqf_diffusion"]
