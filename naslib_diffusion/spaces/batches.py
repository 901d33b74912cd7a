"""Batches of architectures as a space of its own, to search over a whole batch at once."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Generic

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import A, Block, Space


@dataclass(frozen=True)
class Batch(Generic[A]):
    """Several architectures; the order does not matter for the canonical form."""

    members: tuple[A, ...]

    def __str__(self) -> str:
        return "; ".join(map(str, self.members))


class Batches(Generic[A]):
    """The sets of `q` distinct architectures of a space, none of which is known.

    Encodings are `B x q x *shape`. `blocks` describe `q` independent architectures, so `decode`
    may return a batch with repeats, which is not valid.

    Args:
        space: of the members.
        q: members of a batch.
        known: canonical keys that no member may have.
    """

    def __init__(self, space: Space[A], q: int, known: Collection[Hashable] = ()) -> None:
        if q < 1:
            raise ValueError(f"q must be at least 1, not {q}")
        self.space, self.q, self.known = space, q, frozenset(known)
        self.name = f"{q} x {space.name}"
        self.shape = (q, *space.shape)
        self.size = None if space.size is None else math.comb(space.size, q)
        width = math.prod(space.shape)
        self.blocks: Sequence[Block] | None = None
        if space.blocks is not None:
            self.blocks = tuple(
                replace(block, start=block.start + i * width)
                for i in range(q)
                for block in space.blocks
            )

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[Batch[A]]:
        """Draw `n` batches of independent members; rarely, one of them is not valid."""
        archs = self.space.sample(n * self.q, generator)
        return [Batch(tuple(archs[i : i + self.q])) for i in range(0, len(archs), self.q)]

    def encode(self, archs: Sequence[Batch[A]]) -> Tensor:
        """Encode batches, `B x q x *shape`."""
        x = self.space.encode([arch for batch in archs for arch in batch.members])
        return x.view(-1, *self.shape)

    def decode(self, x: Tensor) -> list[Batch[A]]:
        """Decode each member, `B x q x *shape`."""
        archs = self.space.decode(x.flatten(0, 1))
        return [Batch(tuple(archs[i : i + self.q])) for i in range(0, len(archs), self.q)]

    def is_valid(self, arch: Batch[A]) -> bool:
        """Whether all members are valid, distinct and not known."""
        if len(arch.members) != self.q or not all(map(self.space.is_valid, arch.members)):
            return False
        keys = {self.space.canonical(member) for member in arch.members}
        return len(keys) == self.q and not keys & self.known

    def canonical(self, arch: Batch[A]) -> Hashable:
        """Return the set of the members' canonical forms."""
        return frozenset(map(self.space.canonical, arch.members))

    def parse(self, text: str) -> Batch[A]:
        """Read members separated by semicolons."""
        batch = Batch(tuple(self.space.parse(part.strip()) for part in text.split(";")))
        if not self.is_valid(batch):
            raise ValueError(f"{text!r} is not {self.q} distinct architectures")
        return batch

    def neighbors(
        self, arch: Batch[A], generator: torch.Generator | None = None
    ) -> list[Batch[A]]:
        """Return the valid batches in which one member is replaced by a neighbour."""
        found = [
            Batch((*arch.members[:i], other, *arch.members[i + 1 :]))
            for i, member in enumerate(arch.members)
            for other in self.space.neighbors(member, generator)
        ]
        return list(filter(self.is_valid, found))

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the members' features side by side."""
        groups = self.space.features(x.flatten(0, 1))
        return tuple(group.reshape(len(x), -1) for group in groups)
