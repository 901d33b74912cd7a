"""A space restricted to a finite list of its architectures, such as the rows of a table."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Generic

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import A, AtomBlock, Block, Space

_NEAREST = 8  # neighbours by distance, for a member that has none by the space's own measure
_CHUNK = 1024  # encodings compared with all members at a time, to bound memory


class Subset(Generic[A]):
    """The architectures `archs` of `space`, and no others.

    Encodings, string forms, canonical forms and features are those of `space`. The law is uniform
    over the list, as one block, so that the exact denoiser works by enumeration.

    Args:
        space: the whole space.
        archs: distinct valid architectures. Several may share a canonical form.
    """

    def __init__(self, space: Space[A], archs: Sequence[A]) -> None:
        self.space = space
        self.archs = tuple(archs)
        if not self.archs:
            raise ValueError(f"archs is empty; a subset of {space.name} needs at least one")
        self._index: dict[A, int] = {}
        for i, arch in enumerate(self.archs):
            if not space.is_valid(arch):
                raise ValueError(f"archs[{i}] = {str(arch)!r} is not valid in {space.name}")
            if arch in self._index:
                raise ValueError(
                    f"archs[{i}] = {str(arch)!r} is a duplicate of archs[{self._index[arch]}]"
                )
            self._index[arch] = i
        self.name = f"{space.name}[{len(self.archs)}]"
        self.shape = space.shape
        self.size = len({space.canonical(arch) for arch in self.archs})
        self._encodings = space.encode(self.archs).flatten(1)
        self.blocks: Sequence[Block] = (AtomBlock(0, self._encodings),)

    def __iter__(self) -> Iterator[A]:
        """Iterate over the list."""
        return iter(self.archs)

    def __len__(self) -> int:
        """Length of the list."""
        return len(self.archs)

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[A]:
        """Draw `n` members uniformly, with replacement."""
        indices = torch.randint(len(self.archs), (n,), generator=generator)
        return [self.archs[i] for i in indices.tolist()]

    def encode(self, archs: Sequence[A]) -> Tensor:
        """Encode architectures as `space` does, `B x *shape`."""
        return self.space.encode(archs)

    def decode(self, x: Tensor) -> list[A]:
        """Return the nearest member of each encoding, `B x *shape`."""
        x = x.detach().to(self._encodings).flatten(1)
        return [
            self.archs[i]
            for start in range(0, len(x), _CHUNK)
            for i in self._distances(x[start : start + _CHUNK]).argmin(-1).tolist()
        ]

    def is_valid(self, arch: A) -> bool:
        """Whether exactly `arch`, and not only one of equal canonical form, is a member."""
        return arch in self._index

    def canonical(self, arch: A) -> Hashable:
        """Return the canonical form in `space`."""
        return self.space.canonical(arch)

    def parse(self, text: str) -> A:
        """Read the string form of a member."""
        arch = self.space.parse(text)
        if arch not in self._index:
            raise ValueError(
                f"{text!r} is in {self.space.name} but not among the {len(self)} of this subset"
            )
        return arch

    def neighbors(self, arch: A, generator: torch.Generator | None = None) -> list[A]:
        """Return the neighbours in `space` that are members, or else the nearest members."""
        near = [a for a in self.space.neighbors(arch, generator) if a in self._index]
        if near:
            return near
        distances = self._distances(self.encode([arch]).flatten(1))[0]
        order = distances.argsort(stable=True)[: _NEAREST + 1].tolist()
        return [self.archs[i] for i in order if self.archs[i] != arch][:_NEAREST]

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the features in `space`."""
        return self.space.features(x)

    def _distances(self, x: Tensor) -> Tensor:
        """Squared distances to all members, `B x len(self)`, less what they have in common."""
        return self._encodings.square().sum(-1) - 2 * x @ self._encodings.T
