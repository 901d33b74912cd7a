"""Maximising functions over spaces: generate under guidance, then climb."""

from naslib_diffusion.optimize.effort import Effort
from naslib_diffusion.optimize.generator import GuidedGenerator, SpaceExhausted
from naslib_diffusion.optimize.maximize import Maximizer

__all__ = ["Effort", "GuidedGenerator", "Maximizer", "SpaceExhausted"]
