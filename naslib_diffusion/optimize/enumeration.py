"""Spaces small enough to look at everything."""

from __future__ import annotations

import math
import weakref
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import (
    Block,
    Space,
    UniformBlock,
    count_encodings,
    count_values,
    values_of,
)
from naslib_diffusion.spaces.equality import pool_of
from naslib_diffusion.surrogates.once import lasting

A = TypeVar("A", bound=Hashable)

LISTED = 2**16
"""Spaces of at most so many encodings can be listed."""
MEMBERS = 2**20
"""Of lists, whose architectures are there already, so many are looked at."""
PART = 8192
"""Encodings that are scored at once, to bound memory."""


@dataclass(frozen=True, eq=False)
class Catalogue(Generic[A]):
    """The valid architectures of a space, one of each canonical form.

    Attributes:
        archs: `R` of them.
        rows: the place in `archs` of each canonical form.
        parts: their encodings in lists of up to `PART`, `PART x *shape` each.
    """

    archs: list[A]
    rows: dict[Hashable, int]
    parts: tuple[Tensor, ...]


_catalogues: dict[int, Catalogue[Any]] = {}  # by the id of a space that is still alive


def catalogue(space: Space[A]) -> Catalogue[A]:
    """List a space; for the same space only once.

    Raises:
        ValueError: if it has more than `LISTED` encodings, or a law that is not in blocks; of
            lists, more than `MEMBERS` architectures.
    """
    if id(space) not in _catalogues:
        firsts: dict[Hashable, A] = {}
        for arch in _all_valid(space):
            firsts.setdefault(space.canonical(arch), arch)
        rows = {key: i for i, key in enumerate(firsts)}
        archs = list(firsts.values())
        parts = tuple(map(lasting, torch.split(space.encode(archs), PART)))
        _catalogues[id(space)] = Catalogue(archs, rows, parts)
        weakref.finalize(space, _catalogues.pop, id(space), None)
    return _catalogues[id(space)]


def is_enumerable(space: Space[Any]) -> bool:
    """Whether `catalogue` can list a space."""
    pool = pool_of(space)
    if pool is not None:
        return len(pool) <= MEMBERS
    blocks = space.blocks or ()
    count = count_encodings(blocks) if blocks else None
    return count is not None and count <= LISTED


def _all_valid(space: Space[A]) -> Sequence[A]:
    """Return all valid architectures of a space."""
    if not is_enumerable(space):
        raise ValueError(
            f"space {space.name!r} cannot be enumerated: only those with blocks of at most "
            f"{LISTED:,} encodings can be, and lists of at most {MEMBERS:,} architectures; "
            f"'guided' searches any space"
        )
    pool = pool_of(space)
    if pool is not None:
        return pool.archs
    x = enumerate_blocks(space.blocks or (), LISTED)
    assert x is not None
    return list(filter(space.is_valid, space.decode(x.view(-1, *space.shape))))


def enumerate_blocks(blocks: Sequence[Block], limit: int) -> Tensor | None:
    """Return all encodings of a space, `size x D`, or None if there are more than `limit`."""
    if not blocks:
        return None
    listed = []
    for block in blocks:
        if isinstance(block, UniformBlock) or count_values(block) > limit:
            return None
        listed.append((list(block.columns), values_of(block).double()))
    if math.prod(len(values) for _, values in listed) > limit:
        return None
    indices = [torch.arange(len(values)) for _, values in listed]
    grids = torch.meshgrid(*indices, indexing="ij")
    x = torch.empty(grids[0].numel(), sum(b.width for b in blocks), dtype=torch.double)
    for (columns, values), grid in zip(listed, grids, strict=True):
        x[:, columns] = values[grid.flatten()]
    return x
