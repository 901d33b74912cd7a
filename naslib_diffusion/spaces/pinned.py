"""A part of a product space: the points at which some parameters have given values."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import AtomBlock, Block, Space
from naslib_diffusion.spaces.budgeted import Budgeted
from naslib_diffusion.spaces.equality import Exact, under
from naslib_diffusion.spaces.given import Given
from naslib_diffusion.spaces.parameters import Value
from naslib_diffusion.spaces.point import Point
from naslib_diffusion.spaces.product import ProductSpace


class Pinned(ProductSpace):
    """The points of `whole` that have the given values.

    Encodings are those of `whole`, so that a surrogate may learn from all of its points what to
    expect of these. `size` is an upper bound.

    Args:
        whole: the whole space.
        values: by number of the parameter.

    Raises:
        ValueError: if a value is not one of its parameter.
    """

    def __init__(self, whole: ProductSpace, values: Mapping[int, Value]) -> None:
        super().__init__(whole.parameters, whole.is_valid)
        self.whole = whole
        self._values = {i: self.parameters[i].read(value) for i, value in values.items()}

    @functools.cached_property
    def blocks(self) -> Sequence[Block]:
        """The blocks of `whole`, those that are pinned with one atom."""
        blocks = list(self.whole.blocks)
        for i, value in self._values.items():
            block, atom = blocks[i], self.parameters[i].encode([value])
            kind = block.kind if isinstance(block, AtomBlock) else None
            blocks[i] = AtomBlock(block.start, atom, kind)
        return tuple(blocks)

    def decode(self, x: Tensor) -> list[Point]:
        """Return the nearest point of each encoding, `B x D`, at the given values."""
        return [self._pin(point) for point in super().decode(x)]

    def is_valid(self, arch: Point) -> bool:
        """Whether `arch` is of the whole space and has the given values."""
        return self.whole.is_valid(arch) and self.canonical(self._pin(arch)) == self.canonical(
            arch
        )

    def neighbors(self, arch: Point, generator: torch.Generator | None = None) -> list[Point]:
        """Return the neighbours in the whole space that have the given values."""
        return [near for near in self.whole.neighbors(arch, generator) if self.is_valid(near)]

    def _draw(self, n: int, generator: torch.Generator | None) -> list[Point]:
        return [self._pin(point) for point in super()._draw(n, generator)]

    def _pin(self, point: Point) -> Point:
        return Point(tuple(self._values.get(i, value) for i, value in enumerate(point.values)))


def unpinned(space: Space[Any]) -> Space[Any]:
    """Return the space of which `space` is a part, or itself, under the same equality."""
    if isinstance(space, Budgeted | Given):
        return unpinned(space.space)
    if isinstance(space, Exact):
        return under(unpinned(space.space), "exact")
    return space.whole if isinstance(space, Pinned) else space
