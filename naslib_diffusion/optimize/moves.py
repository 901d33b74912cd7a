"""Single decisions as operations on encodings: what coordinate ascent chooses from."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from naslib_diffusion.optimize.block_moves import BlockMoves
from naslib_diffusion.spaces.base import (
    AtomBlock,
    Block,
    Space,
    UniformBlock,
    count_values,
)
from naslib_diffusion.spaces.sampling import sample_some

A = TypeVar("A", bound=Hashable)

VAST = 2**17
"""Values of a block from which on they are not moves: the space's neighbours are."""


class Moves(Protocol):
    """Changes of flat encodings of architectures, `S x D`, in a single decision each.

    Attributes:
        count: moves from one encoding, at most or about.
        continuous: coordinates on a continuum, which are not moved.
    """

    count: int
    continuous: Tensor

    def round(self, x: Tensor) -> Tensor:
        """Return the nearest encodings of architectures, `S x D`, valid or not."""

    def propose(self, x: Tensor, gradient: Tensor | None, limit: int) -> tuple[Tensor, Tensor]:
        """Return what to score next, `R x D`, and the row of `x` that each comes from, `R`.

        From each row the `limit` moves that gain most by the gradient, the best first, and those
        of which it says nothing; without a gradient all.
        """


def moves_of(
    space: Space[Any],
    device: torch.device | str | None = None,
    random: torch.Generator | None = None,
    *,
    to_ends: bool = False,
) -> Moves:
    """Return the moves of a space: of its blocks, if they are decisions, or to its neighbours.

    Args:
        space: of the encodings.
        device: of the encodings.
        random: for spaces that draw some of their neighbours at random.
        to_ends: whether continuous coordinates may be moved to either end.
    """
    blocks = space.blocks or ()
    alone = len(blocks) == 1 and not isinstance(blocks[0], UniformBlock)
    if blocks and not alone and not any(map(_is_vast, blocks)):
        return BlockMoves(list(map(_ends, blocks)) if to_ends else blocks, device)
    return NeighborMoves(space, random)


def _is_vast(block: Block) -> bool:
    """Whether a block has too many values to list them as moves."""
    return not isinstance(block, UniformBlock) and count_values(block) > VAST


def _ends(block: Block) -> Block:
    """Reduce a continuous coordinate to its ends."""
    if not isinstance(block, UniformBlock):
        return block
    return AtomBlock(block.start, torch.tensor([[0.0], [1.0]], dtype=torch.double))


class NeighborMoves(Generic[A]):
    """The moves that a space itself lists, by `neighbors`, all of them to valid architectures.

    For spaces whose law does not factorise, is a single block, as a list of architectures is, or
    has a block of very many values.

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
