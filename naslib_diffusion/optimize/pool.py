"""What a generator has collected: distinct, valid, not known."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import NumberedForms, Space
from naslib_diffusion.spaces.sampling import sample_some

A = TypeVar("A", bound=Hashable)

Unique = Literal["canonical", "exact"]
"""Whether architectures of one canonical form, or of one string, count as one."""

FRUITLESS_DRAWS = 20
"""Random draws without success, per architecture of a space, after which it is exhausted."""
MIN_ROUND, MAX_ROUND = 32, 4096
"""Fewest and most architectures drawn at random at a time."""


class SpaceExhausted(ValueError):  # noqa: N818 - it reads as what happened
    """Fewer distinct new architectures exist, or could be found, than were asked for.

    Attributes:
        found: those that were found, best first if there was a guide.
    """

    def __init__(self, message: str, found: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.found = list(found)


class Pool(Generic[A]):
    """Distinct valid architectures that are not known."""

    def __init__(self, space: Space[A], known: Collection[Hashable], unique: Unique) -> None:
        self.space = space
        self.known = frozenset(known)
        self.unique = unique
        self.archs: dict[Hashable, A] = {}
        self._taken: Tensor | None = None

    def __len__(self) -> int:
        return len(self.archs)

    @property
    def capacity(self) -> int:
        """What the pool can ever hold at most; known keys are taken to be of the space."""
        if self.space.size is None or self.unique == "exact":
            return sys.maxsize
        return max(self.space.size - len(self.known), 0)

    @property
    def numbered(self) -> bool:
        """Whether repeats can be told from numbers, before architectures are made."""
        return self.unique == "canonical" and isinstance(self.space, NumberedForms)

    def fresh(self, x: Tensor) -> Tensor:
        """Return those of `B x *shape` that may be new, one for each canonical form.

        All of them if the space does not number its forms. Where it does, no architecture is made
        of what is left out; those that are returned count as taken.
        """
        if not self.numbered:
            return x
        assert isinstance(self.space, NumberedForms)
        if self._taken is None:
            self._taken = torch.zeros(self.space.size or 0, dtype=torch.bool, device=x.device)
            taken = [self.space.number(key) for key in (*self.known, *self.archs)]
            self._taken[taken] = True
        keys = self.space.keys(x)
        order = keys.argsort(stable=True)
        ordered = keys[order]
        new = ~self._taken[ordered]
        new[1:] &= ordered[1:] != ordered[:-1]
        self._taken[keys] = True
        return x[order[new].sort().values]

    def add(self, archs: Sequence[A]) -> int:
        """Add what is new; return how many that were."""
        before = len(self.archs)
        for arch in archs:
            key = self.key(arch)
            if key is not None and key not in self.archs and self.space.is_valid(arch):
                self.archs[key] = arch
        return len(self.archs) - before

    def fill_at_random(self, n: int, random: torch.Generator) -> None:
        """Draw from the space itself until the pool holds `n`, or nothing new turns up."""
        patience = FRUITLESS_DRAWS * min(self.space.size or 0, 8 * MAX_ROUND)
        fruitless, rows = 0, MIN_ROUND
        while len(self) < min(n, self.capacity) and fruitless <= patience:
            drawn = sample_some(self.space, rows, random)
            new = self.add(drawn)
            if not new and len(drawn) < rows:
                break  # hardly any architecture is valid
            fruitless = 0 if new else fruitless + rows
            rows = min(2 * rows, MAX_ROUND)

    def key(self, arch: A) -> Hashable | None:
        """Return what distinguishes an architecture from others; None if it is known."""
        canonical = self.space.canonical(arch)
        if canonical in self.known:
            return None
        return canonical if self.unique == "canonical" else str(arch)

    def sorted_by(self, score: Callable[[Sequence[A]], Tensor]) -> list[A]:
        """Return what is in the pool, best first by the scores of architectures."""
        archs = list(self.archs.values())
        if not archs:
            return []
        order = score(archs).argsort(descending=True, stable=True)
        return [archs[i] for i in order.tolist()]
