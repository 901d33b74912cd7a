"""Surrogates of expensive objectives, and acquisition functions on them."""

from __future__ import annotations

from typing import Any

from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.budgeted import Budgeted
from naslib_diffusion.spaces.equality import pool_of, whole
from naslib_diffusion.surrogates.acquisition import (
    IndependentThompson,
    LogExpectedImprovement,
    UpperConfidenceBound,
)
from naslib_diffusion.surrogates.base import ObjectiveScale, Surrogate
from naslib_diffusion.surrogates.ensemble import NeuralEnsemble
from naslib_diffusion.surrogates.feasibility import Constrained, Feasibility
from naslib_diffusion.surrogates.gp import GaussianProcess
from naslib_diffusion.surrogates.product import ProductGaussianProcess, is_product

SURROGATES = ("gp", "ensemble")

__all__ = [
    "SURROGATES",
    "Constrained",
    "Feasibility",
    "GaussianProcess",
    "IndependentThompson",
    "LogExpectedImprovement",
    "NeuralEnsemble",
    "ObjectiveScale",
    "ProductGaussianProcess",
    "Surrogate",
    "UpperConfidenceBound",
    "gaussian_process",
    "make_surrogate",
]


def make_surrogate(name: str, space: Space[Any]) -> Surrogate:
    """Return a new surrogate by its name; "gp" is the Gaussian process that fits the space.

    A list of points of a product space has the kernel of that.

    Raises:
        ValueError: if there is none of that name; lists those there are.
    """
    if name not in SURROGATES:
        raise ValueError(f"unknown surrogate {name!r}; known: {', '.join(SURROGATES)}")
    space = space.space if isinstance(space, Budgeted) else space
    if name == "ensemble":
        return NeuralEnsemble(space)
    return gaussian_process(space)


def gaussian_process(space: Space[Any]) -> GaussianProcess | ProductGaussianProcess:
    """Return a new Gaussian process that fits the space."""
    own, pool = whole(space), pool_of(space)
    if (pool is not None and pool.places is not None) or not is_product(own):
        return GaussianProcess(space)
    return ProductGaussianProcess(own)
