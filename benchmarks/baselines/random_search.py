"""Random search (Li and Talwalkar, UAI 2019)."""

from __future__ import annotations

from typing import Generic

import torch

from naslib_diffusion.spaces import Space
from naslib_diffusion.spaces.base import A


class RandomSearch(Generic[A]):
    """Uniform draws of the space, repeats included."""

    def __init__(self, space: Space[A], seed: int) -> None:
        self._space = space
        self._generator = torch.Generator().manual_seed(seed)

    def ask(self) -> A:
        """Draw an architecture."""
        return self._space.sample(1, self._generator)[0]

    def tell(self, arch: A, value: float) -> None:
        """Learn nothing."""
