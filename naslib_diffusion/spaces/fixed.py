"""A space some coordinates of whose encoding are fixed."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import (
    A,
    AtomBlock,
    Block,
    Space,
    UniformBlock,
    UnionBlock,
    count_encodings,
    draw,
    values_of,
)
from naslib_diffusion.spaces.paths import PathBlock
from naslib_diffusion.spaces.sampling import sample_some
from naslib_diffusion.spaces.view import View

_MAX_ROUNDS = 100  # batches that `sample` draws before it gives up
_MIN_BATCH = 100
_SAME = 1e-6  # rounding by less than this is none
_CLOSE = 1e-9  # how far a coordinate of an atom may be from its fixed value


class Fixed(View[A]):
    """The architectures of `space` whose flat encoding has given values in given columns.

    Fixing a column of a one-hot at 1 makes the choice, at 0 bans it. A number on a grid is fixed
    at the grid's value nearest to a position in [0, 1], as `decode` takes it.

    Args:
        space: the whole space; its law has to factorise into `blocks`.
        columns: value by column of the flattened encoding.

    Raises:
        ValueError: if the law of the space does not factorise, a column does not exist, or no
            architecture has those values.
    """

    def __init__(self, space: Space[A], columns: Mapping[int, float]) -> None:
        width = math.prod(space.shape)
        unknown = [column for column in columns if not 0 <= column < width]
        if unknown:
            raise ValueError(f"column {unknown[0]} does not exist; encodings have {width}")
        if space.blocks is None:
            raise ValueError(f"the law of space {space.name!r} does not factorise")
        super().__init__(space)
        snapped = (self._snap(int(column), float(value)) for column, value in columns.items())
        self.columns = dict(snapped)
        self.name = f"{space.name} with {len(columns)} columns fixed"
        self.blocks: Sequence[Block] = tuple(map(self._fix, space.blocks))

    @functools.cached_property
    def size(self) -> int | None:
        """Number of encodings left, an upper bound of that of canonical forms; or None."""
        total = count_encodings(self.blocks)
        return total if total is None or self.space.size is None else min(total, self.space.size)

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[A]:
        """Draw `n` valid architectures; raises ValueError if nearly all are not valid."""
        found: list[A] = []
        batch = max(n, _MIN_BATCH)
        for _ in range(_MAX_ROUNDS):
            x = draw(self.blocks, batch, generator)
            drawn = self.space.decode(x.view(-1, *self.shape))
            found += filter(self.space.is_valid, drawn)
            if len(found) >= n:
                return found[:n]
        raise ValueError(f"{self.name}: nearly all random architectures are not valid")

    def decode(self, x: Tensor) -> list[A]:
        """Return an architecture near each encoding, `B x *shape`, with the columns fixed."""
        flat = x.detach().double().cpu().flatten(1).clone()
        for block in self.blocks:
            columns = list(block.columns)
            if isinstance(block, UnionBlock | PathBlock):
                flat[:, columns] = block.nearest(flat[:, columns])
            elif not isinstance(block, UniformBlock):
                atoms = values_of(block)
                cost = atoms.square().sum(1) - 2 * flat[:, columns] @ atoms.T
                flat[:, columns] = atoms[cost.argmin(1)]
        return self.space.decode(flat.view(x.shape))

    def is_valid(self, arch: A) -> bool:
        """Whether `arch` is of the space and has the fixed values."""
        if not self.space.is_valid(arch):
            return False
        x = self.space.encode([arch]).flatten()
        return all(abs(float(x[c]) - value) <= 1e-6 for c, value in self.columns.items())

    def parse(self, text: str) -> A:
        """Read the string form of an architecture that has the fixed values."""
        arch = self.space.parse(text)
        if not self.is_valid(arch):
            raise ValueError(f"{text!r} is of {self.space.name}, but has not the fixed values")
        return arch

    def neighbors(self, arch: A, generator: torch.Generator | None = None) -> list[A]:
        """Return the neighbours that have the fixed values."""
        return [a for a in self.space.neighbors(arch, generator) if self.is_valid(a)]

    def _snap(self, column: int, value: float) -> tuple[int, float]:
        """Round the position of a number to that of the nearest value on its grid, if any."""
        here = [b for b in self.space.blocks or () if b.start == column and b.width == 1]
        number = any(not isinstance(b, AtomBlock) or len(b.atoms) > 1 for b in here)
        if not number or not 0 <= value <= 1:
            return column, value
        x = self.space.encode(sample_some(self.space, 1, torch.Generator().manual_seed(0)))
        x.view(-1)[column] = value
        own = float(self.space.encode(self.space.decode(x)).view(-1)[column])
        return column, value if abs(own - value) <= _SAME else own

    def _fix(self, block: Block) -> Block:
        """Keep the atoms of a block that agree with the fixed columns."""
        inside = {
            block.columns.index(column): value
            for column, value in self.columns.items()
            if column in block.columns
        }
        if not inside:
            return block
        if isinstance(block, UniformBlock):
            if not 0 <= inside[0] <= 1:
                raise ValueError(f"column {block.start} is in [0, 1], not {inside[0]}")
            return AtomBlock(block.start, torch.tensor([[inside[0]]], dtype=torch.double))
        if isinstance(block, UnionBlock | PathBlock):
            left: Block | None = block.having(inside, _CLOSE)
        else:
            atoms = values_of(block).double()
            for column, value in inside.items():
                atoms = atoms[(atoms[:, column] - value).abs() <= _CLOSE]
            left = AtomBlock(block.start, atoms) if len(atoms) else None
        if left is None:
            listed = ", ".join(f"{block.start + c}: {v:g}" for c, v in inside.items())
            raise ValueError(f"no architecture of space {self.space.name!r} has columns {listed}")
        return left
