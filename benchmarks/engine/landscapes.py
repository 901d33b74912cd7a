"""Made-up objectives that any space can have, the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from naslib_diffusion.spaces import Space

PAIRS = 4
"""Interactions of each column of an encoding, on average."""


class Quadratic:
    """A random quadratic function of encodings: an effect of each column, and of some pairs.

    Effects of columns and the sum of all interactions weigh the same. There is no order among the
    choices, and pairs are of any two columns, near or far.

    Args:
        space: whose architectures it values.
        seed: of the effects.
    """

    def __init__(self, space: Space[Any], seed: int = 0) -> None:
        self.space = space
        width = math.prod(space.shape)
        random = torch.Generator().manual_seed(seed)
        self._single = torch.randn(width, dtype=torch.double, generator=random)
        there = torch.rand(width, width, generator=random) < PAIRS / width
        effects = torch.randn(width, width, dtype=torch.double, generator=random)
        self._pairs = effects * there / PAIRS**0.5

    def __call__(self, archs: Sequence[Any]) -> list[float]:
        """Return the value of each architecture."""
        x = self.space.encode(archs).flatten(1)
        values: list[float] = (x @ self._single + ((x @ self._pairs) * x).sum(1)).tolist()
        return values
