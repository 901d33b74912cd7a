"""Single decisions as operations on encodings: what coordinate ascent chooses from."""

from __future__ import annotations

import functools
from typing import Any, Protocol

import torch
from torch import Tensor

from naslib_diffusion.optimize.block_moves import BlockMoves
from naslib_diffusion.optimize.budget_moves import BudgetMoves
from naslib_diffusion.optimize.neighbor_moves import NeighborMoves
from naslib_diffusion.spaces.base import AtomBlock, Block, Space, UniformBlock, count_values
from naslib_diffusion.spaces.budget import unlimited
from naslib_diffusion.spaces.budgeted import Budgeted
from naslib_diffusion.spaces.equality import Exact
from naslib_diffusion.spaces.paths import PathBlock

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

    Within a budget, moves exchange what decisions cost; along paths, what may follow each other.

    Args:
        space: of the encodings.
        device: of the encodings.
        random: for spaces that draw some of their neighbours at random.
        to_ends: whether continuous coordinates may be moved to either end.
    """
    inner = space.space if isinstance(space, Exact) else space
    if isinstance(inner, Budgeted):
        return BudgetMoves(space, inner.budget, random)
    blocks = space.blocks or ()
    paths = [block for block in blocks if isinstance(block, PathBlock)]
    if paths and all(block.exact for block in paths):
        return BudgetMoves(space, unlimited(tuple(blocks)), random)
    alone = len(blocks) == 1 and not isinstance(blocks[0], UniformBlock)
    if blocks and not alone and not paths and not any(map(_is_vast, blocks)):
        return _block_moves(tuple(map(_ends, blocks) if to_ends else blocks), device)
    return NeighborMoves(space, random)


@functools.lru_cache(maxsize=4)
def _block_moves(blocks: tuple[Block, ...], device: torch.device | str | None) -> BlockMoves:
    """Return the moves of a law, made once: they list what unions can be."""
    return BlockMoves(blocks, device)


def _is_vast(block: Block) -> bool:
    """Whether a block has too many values to list them as moves."""
    return not isinstance(block, UniformBlock) and count_values(block) > VAST


def _ends(block: Block) -> Block:
    """Reduce a continuous coordinate to its ends."""
    if not isinstance(block, UniformBlock):
        return block
    return AtomBlock(block.start, torch.tensor([[0.0], [1.0]], dtype=torch.double))
