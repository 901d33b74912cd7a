"""A space restricted to a finite list of its architectures, such as the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import A, AtomBlock, Block, Space
from naslib_diffusion.spaces.view import View

_NEAREST = 8  # neighbours by distance, for a member that has none by the space's own measure
_CHUNK = 1024  # encodings compared with so many members at a time, to bound memory
_MEMBERS = 2**14


class Subset(View[A]):
    """The architectures `archs` of `space`, and no others.

    Encodings, string forms, canonical forms and features are those of `space`. The law is uniform
    over the list, as one block, so that the exact denoiser works by enumeration.

    Args:
        space: the whole space.
        archs: distinct valid architectures. Several may share a canonical form.
        similarity: how alike the architectures are, `n x n`, symmetric, such as a kernel matrix of
            your own. Surrogates go by it, in place of the features of `space`. Negative
            eigenvalues count as zero.

    Raises:
        ValueError: if the list is empty, has duplicates or architectures that are not of `space`,
            or the similarity is not symmetric, finite and of that size.
    """

    def __init__(
        self, space: Space[A], archs: Sequence[A], similarity: Tensor | None = None
    ) -> None:
        super().__init__(space)
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
        self.size = len({space.canonical(arch) for arch in self.archs})
        self._encodings = _encode_all(space, self.archs)
        self._squares = torch.cat([part.square().sum(-1) for part in self._parts()])
        self.blocks: Sequence[Block] = (AtomBlock(0, self._encodings),)
        self.places = None if similarity is None else _places(similarity, len(self.archs))

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

    def decode(self, x: Tensor) -> list[A]:
        """Return the nearest member of each encoding, `B x *shape`."""
        return [
            self.archs[i]
            for rows in torch.split(x.detach().flatten(1), _CHUNK)
            for i in self._nearest(rows, 1)[:, 0].tolist()
        ]

    def is_valid(self, arch: A) -> bool:
        """Whether exactly `arch`, and not only one of equal canonical form, is a member."""
        return arch in self._index

    def parse(self, text: str) -> A:
        """Read the string form of a member."""
        arch = self.space.parse(text)
        if arch not in self._index:
            raise ValueError(
                f"{text!r} is in {self.space.name} but not among the {len(self)} of this subset"
            )
        return arch

    def neighbors(self, arch: A, generator: torch.Generator | None = None) -> list[A]:
        """Return the neighbours in `space` that are members, or else the nearest members.

        In a space with continua these are always the nearest members, since random steps miss
        them.
        """
        if self.space.size is not None:
            near = [a for a in self.space.neighbors(arch, generator) if a in self._index]
            if near:
                return near
        order = self._nearest(self.encode([arch]).flatten(1), _NEAREST + 1)[0].tolist()
        return [self.archs[i] for i in order if self.archs[i] != arch][:_NEAREST]

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the features of `space`; or, with a similarity, places of the nearest members.

        The places are points, `B x n`, whose inner products are the similarity.
        """
        if self.places is None:
            return self.space.features(x)
        flat = x.detach().flatten(1)
        rows = torch.cat([self._nearest(part, 1)[:, 0] for part in torch.split(flat, _CHUNK)])
        return (self.places[rows].to(x),)

    def _nearest(self, x: Tensor, count: int) -> Tensor:
        """Return the indices of the members nearest to encodings, `B x count`, nearest first."""
        x = x.to("cpu", self._squares.dtype)
        best, found = x.new_empty(len(x), 0), torch.empty(len(x), 0, dtype=torch.long)
        start = 0
        for members, squares in zip(
            self._parts(), torch.split(self._squares, _MEMBERS), strict=True
        ):
            distances = torch.cat([best, squares - 2 * x @ members.T], -1)
            own = torch.arange(start, start + len(members)).expand(len(x), -1)
            order = _smallest(distances, count)
            best = distances.gather(1, order)
            found = torch.cat([found, own], -1).gather(1, order)
            start += len(members)
        return found

    def _parts(self) -> Iterator[Tensor]:
        """Yield the encodings of members, `_MEMBERS x D` at a time, bytes in single precision."""
        for part in torch.split(self._encodings, _MEMBERS):
            yield part if part.is_floating_point() else part.float()


def _places(similarity: Tensor, count: int) -> Tensor:
    """Return points, `n x n`, whose inner products are the similarity of `count` members."""
    matrix = torch.as_tensor(similarity, dtype=torch.double, device="cpu")
    if matrix.shape != (count, count):
        raise ValueError(f"similarity must be {count} x {count}, not {tuple(matrix.shape)}")
    if not bool(matrix.isfinite().all()) or not torch.allclose(matrix, matrix.mT):
        raise ValueError("similarity must be symmetric and finite")
    values, vectors = torch.linalg.eigh(matrix)
    places: Tensor = vectors * values.clamp(min=0).sqrt()
    return places


def _smallest(distances: Tensor, count: int) -> Tensor:
    if count == 1:
        return distances.argmin(-1, keepdim=True)
    return distances.argsort(stable=True)[:, :count]


def _encode_all(space: Space[A], archs: Sequence[A]) -> Tensor:
    """Encode as `n x D`, in a byte for each coordinate where many are zeros and ones only."""
    if len(archs) <= _MEMBERS:
        return space.encode(archs).flatten(1)
    parts = (space.encode(archs[i : i + _MEMBERS]) for i in range(0, len(archs), _MEMBERS))
    return torch.cat([_compact(part.flatten(1)) for part in parts])


def _compact(x: Tensor) -> Tensor:
    return x.to(torch.uint8) if bool(((x == 0) | (x == 1)).all()) else x
