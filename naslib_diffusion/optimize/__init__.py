"""Maximising functions over spaces: generate under guidance, then climb."""

from naslib_diffusion.optimize.effort import Effort
from naslib_diffusion.optimize.generator import GuidedGenerator
from naslib_diffusion.optimize.maximize import Maximizer
from naslib_diffusion.optimize.pool import SpaceExhausted

__all__ = ["Effort", "GuidedGenerator", "Maximizer", "SpaceExhausted"]
