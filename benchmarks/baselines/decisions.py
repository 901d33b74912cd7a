"""A space as a list of independent choices, for methods that know no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

import torch
from naslib_diffusion.benchmarks.baselines.method import UnfitSpace

from naslib_diffusion.spaces import Space
from naslib_diffusion.spaces.base import A, AtomBlock
from naslib_diffusion.spaces.equality import structure


class Decisions(Generic[A]):
    """The blocks of a space's law, each a choice among its atoms.

    Args:
        space: whose architectures are built; of a subset, the member nearest to the choices.

    Raises:
        UnfitSpace: if the choices are not independent.
    """

    def __init__(self, space: Space[A]) -> None:
        self.space = space
        blocks = structure(space).blocks
        if blocks is None or not all(isinstance(block, AtomBlock) for block in blocks):
            raise UnfitSpace(f"{space.name} is no list of independent choices")
        self._blocks = [block for block in blocks if isinstance(block, AtomBlock)]
        self._open = [block for block in self._blocks if len(block.atoms) > 1]
        self.sizes = [len(block.atoms) for block in self._open]

    def build(self, choices: Sequence[int]) -> A:
        """Return the architecture of some choices."""
        own = iter(choices)
        parts = [b.atoms[next(own) if len(b.atoms) > 1 else 0] for b in self._blocks]
        return self.space.decode(torch.cat(parts).view(1, *self.space.shape))[0]

    def read(self, arch: A) -> list[int]:
        """Return the choices that make an architecture."""
        x = self.space.encode([arch]).flatten()
        return [
            int((block.atoms - x[block.start : block.start + block.width]).abs().sum(1).argmin())
            for block in self._open
        ]
