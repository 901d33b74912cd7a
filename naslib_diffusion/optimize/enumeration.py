"""Spaces small enough to look at everything."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from naslib_diffusion.optimize.block_moves import count_atoms
from naslib_diffusion.spaces.base import Block, UniformBlock, UnionBlock


def enumerate_blocks(blocks: Sequence[Block], limit: int) -> Tensor | None:
    """Return all encodings of a space, `size x D`, or None if there are more than `limit`."""
    listed = []
    for block in blocks:
        if isinstance(block, UniformBlock) or count_atoms(block) > limit:
            return None
        listed.append(block.expand() if isinstance(block, UnionBlock) else block)
    if math.prod(len(block.atoms) for block in listed) > limit:
        return None
    indices = [torch.arange(len(block.atoms)) for block in listed]
    grids = torch.meshgrid(*indices, indexing="ij")
    x = torch.empty(grids[0].numel(), sum(b.width for b in listed), dtype=torch.double)
    for block, grid in zip(listed, grids, strict=True):
        x[:, block.start : block.start + block.width] = block.atoms.double()[grid.flatten()]
    return x
