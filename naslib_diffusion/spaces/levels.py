"""Choices in an order, such as numbers of heads, as levels from -1 to 1."""

from __future__ import annotations

import torch
from torch import Tensor


def levels(count: int) -> Tensor:
    """Return `count` levels from -1 to 1; 0 for a single one."""
    return torch.linspace(-1, 1, count, dtype=torch.double) if count > 1 else torch.zeros(1)


def middle(level: Tensor) -> Tensor:
    """Return how far levels are from the ends, -1 and 1, where it is -0.5, up to 1 amid them.

    Summed over layers, it tells even ones from uneven ones with the same sum of levels: where
    returns diminish, even ones are better.
    """
    return 1 - 1.5 * level.square()
