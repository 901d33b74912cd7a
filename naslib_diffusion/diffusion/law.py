"""Drawing encodings from the uniform law over a space, on any device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from naslib_diffusion.diffusion.exact import grouped
from naslib_diffusion.spaces.base import Block, UniformBlock, count_values, values_of

MAX_ATOMS = 2**17
"""Blocks of more values than this are not listed."""


class UniformLaw:
    """The uniform law over a space that factorises, without making architectures of it.

    Args:
        blocks: of the space, `listable`; see `Space.blocks`.
        device: where to draw.
    """

    def __init__(self, blocks: Sequence[Block], device: torch.device) -> None:
        self._device, self._groups = device, []
        for index, block in grouped(blocks):
            listed = None if isinstance(block, UniformBlock) else values_of(block)
            atoms = None if listed is None else listed.float().to(device)
            self._groups.append((index.to(device), atoms))
        self._width = sum(index.numel() for index, _ in self._groups)

    def __call__(self, n: int, random: torch.Generator) -> Tensor:
        """Draw `n` flat encodings, `n x D`, in single precision; `random` is on the device."""
        x = torch.empty(n, self._width, device=self._device)
        for index, atoms in self._groups:
            shape = n, len(index)
            if atoms is None:
                x[:, index] = torch.rand(*shape, 1, generator=random, device=self._device)
                continue
            chosen = torch.randint(len(atoms), shape, generator=random, device=self._device)
            x[:, index] = atoms[chosen]
        return x


def listable(blocks: Sequence[Block] | None) -> bool:
    """Whether the law factorises into blocks whose values can be listed."""
    return blocks is not None and all(
        isinstance(block, UniformBlock) or count_values(block) <= MAX_ATOMS for block in blocks
    )
