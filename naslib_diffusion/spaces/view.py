"""A space that looks at another one: fewer of its architectures, or another equality."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence
from typing import Generic

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import A, Block, Space

SHARED = ("legend", "columns", "build", "cost", "costs", "variables", "spell", "read_spelling")
"""What a space may offer beside the protocol that holds for any part of it, too."""


class View(Generic[A]):
    """All of `space`, under the same name; a subclass overrides what it changes.

    Args:
        space: the space that is looked at.
    """

    def __init__(self, space: Space[A]) -> None:
        self.space = space
        self.name = space.name
        self.shape = space.shape
        for own in SHARED:
            if hasattr(space, own) and not hasattr(type(self), own):
                setattr(self, own, getattr(space, own))

    @functools.cached_property
    def size(self) -> int | None:
        """Number of canonical forms, as `space` has it: an upper bound for a part of it."""
        return self.space.size

    @functools.cached_property
    def blocks(self) -> Sequence[Block] | None:
        """The law of `space`."""
        return self.space.blocks

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[A]:
        """Draw `n` architectures as `space` does."""
        return self.space.sample(n, generator)

    def encode(self, archs: Sequence[A]) -> Tensor:
        """Encode architectures as `space` does, `B x *shape`."""
        return self.space.encode(archs)

    def decode(self, x: Tensor) -> list[A]:
        """Return the nearest architecture of `space` of each encoding, `B x *shape`."""
        return self.space.decode(x)

    def is_valid(self, arch: A) -> bool:
        """Whether `arch` belongs to `space`."""
        return self.space.is_valid(arch)

    def canonical(self, arch: A) -> Hashable:
        """Return the canonical form in `space`."""
        return self.space.canonical(arch)

    def parse(self, text: str) -> A:
        """Read the string form of `space`."""
        return self.space.parse(text)

    def neighbors(self, arch: A, generator: torch.Generator | None = None) -> list[A]:
        """Return the neighbours in `space`."""
        return self.space.neighbors(arch, generator)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the features in `space`."""
        return self.space.features(x)
