"""Transfer: what other tasks and data sets say about the architectures of a new one."""

from __future__ import annotations

from naslib_diffusion.spaces.nasbench201_network import CellNetwork
from naslib_diffusion.surrogates.adapted import AdaptedSurrogate, Residual
from naslib_diffusion.transfer.meta import MetaConfig, MetaSurrogate
from naslib_diffusion.transfer.priors import load_priors
from naslib_diffusion.transfer.recipe import Recipe, recipe_for
from naslib_diffusion.transfer.trained import TrainedCell, load_cell
from naslib_diffusion.transfer.training import train_cell, train_cells
from naslib_diffusion.transfer.zero_cost import ZeroCost

__all__ = [
    "AdaptedSurrogate",
    "CellNetwork",
    "MetaConfig",
    "MetaSurrogate",
    "Recipe",
    "Residual",
    "TrainedCell",
    "ZeroCost",
    "load_cell",
    "load_priors",
    "recipe_for",
    "train_cell",
    "train_cells",
]
