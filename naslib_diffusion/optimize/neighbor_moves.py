"""Moves to the neighbours that a space lists."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.sampling import sample_some

A = TypeVar("A", bound=Hashable)


class NeighborMoves(Generic[A]):
    """The moves that a space itself lists, by `neighbors`, all of them to valid architectures.

    For spaces whose law does not factorise, or is a single block: a list of architectures.

    Args:
        space: of the encodings.
        random: for spaces that draw some of their neighbours at random.
    """

    def __init__(self, space: Space[A], random: torch.Generator | None = None) -> None:
        self.space, self.random = space, random
        self.continuous = torch.empty(0, dtype=torch.long)
        (arch,) = sample_some(space, 1, random)
        self.count = len(space.neighbors(arch, random))

    def round(self, x: Tensor) -> Tensor:
        """Decode `S x D`, and encode again."""
        return self._encode(self._decode(x), x)

    def propose(self, x: Tensor, gradient: Tensor | None, limit: int) -> tuple[Tensor, Tensor]:
        """Encode the neighbours of each row; see `Moves`."""
        near = [self.space.neighbors(arch, self.random) for arch in self._decode(x)]
        counts = torch.tensor([len(archs) for archs in near], device=x.device)
        rows = self._encode([arch for archs in near for arch in archs], x)
        owners = torch.arange(len(x), device=x.device).repeat_interleave(counts)
        if gradient is None or not len(rows):
            return rows, owners
        gains = ((rows - x[owners]) * gradient[owners]).sum(1)
        starts = (counts.cumsum(0) - counts).tolist()
        parts = torch.split(gains, counts.tolist())
        best = [
            start + part.topk(min(limit, len(part))).indices
            for start, part in zip(starts, parts, strict=True)
        ]
        chosen = torch.cat(best)
        return rows[chosen], owners[chosen]

    def _decode(self, x: Tensor) -> list[A]:
        return self.space.decode(x.view(len(x), *self.space.shape).cpu())

    def _encode(self, archs: Sequence[A], like: Tensor) -> Tensor:
        return self.space.encode(archs).view(len(archs), -1).to(like)
