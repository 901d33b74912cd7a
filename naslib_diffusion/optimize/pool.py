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
    """Distinct valid architectures that are not known.

    Args:
        space: of the architectures.
        known: canonical keys of those that must not be in it.
        unique: see `Unique`.
        device: where encodings are kept.
    """

    def __init__(
        self,
        space: Space[A],
        known: Collection[Hashable],
        unique: Unique,
        device: torch.device | str | None = None,
    ) -> None:
        self.space = space
        self.known = frozenset(known)
        self.unique = unique
        self.device = device
        self.numbered = unique == "canonical" and numbers_forms(space)
        self._made: dict[Hashable, A] = {}
        self._waiting: list[Tensor] = []
        self._taken: Tensor | None = None

    def __len__(self) -> int:
        return len(self._made) + sum(map(len, self._waiting))

    @property
    def archs(self) -> dict[Hashable, A]:
        """What is in the pool, in the order in which it came, by what distinguishes it."""
        for x in self._waiting:
            self._made.update((self.space.canonical(arch), arch) for arch in self._decoded(x))
        self._waiting.clear()
        return self._made

    @property
    def capacity(self) -> int:
        """What the pool can ever hold at most; known keys are taken to be of the space."""
        if self.space.size is None or self.unique == "exact":
            return sys.maxsize
        return max(self.space.size - len(self.known), 0)

    def take(self, x: Tensor) -> int:
        """Add what is new of (relaxed) encodings, `B x *shape`; return how many that were.

        Where the space numbers its forms, no architectures are made yet.
        """
        if not self.numbered:
            return self.add(self.space.decode(x.cpu()))
        assert isinstance(self.space, NumberedForms)
        if self._taken is None:
            self._taken = torch.zeros(self.space.size or 0, dtype=torch.bool, device=x.device)
            self._mark(self.known | self._made.keys())
        keys = self.space.keys(x)
        order = keys.argsort(stable=True)
        ordered = keys[order]
        new = ~self._taken[ordered]
        new[1:] &= ordered[1:] != ordered[:-1]
        self._taken[keys] = True
        self._waiting.append(self.space.round(x[order[new].sort().values]))
        return len(self._waiting[-1])

    def add(self, archs: Sequence[A]) -> int:
        """Add what is new; return how many that were."""
        held = self.archs
        new: dict[Hashable, A] = {}
        for arch in archs:
            key = self.key(arch)
            if key is not None and key not in held and self.space.is_valid(arch):
                new.setdefault(key, arch)
        self._mark(new)
        held.update(new)
        return len(new)

    def _mark(self, keys: Collection[Hashable]) -> None:
        """Remember canonical forms as taken, if their numbers are in use."""
        if self._taken is not None and isinstance(self.space, NumberedForms):
            self._taken[[self.space.number(key) for key in keys]] = True

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

    def best(self, n: int, score: Callable[[Tensor], Tensor] | None) -> list[A]:
        """Return the `n` best, best first, by the scores of flat encodings, `B x D` to `B`.

        Without a score they are those that came first. Fewer are returned if there are no more.
        """
        if self._waiting and not self._made:
            x = torch.cat(self._waiting)
            return self._decoded(x[:n] if score is None else x[_order(score(x.flatten(1)), n)])
        archs = list(self.archs.values())
        if score is None or not archs:
            return archs[:n]
        x = self.space.encode(archs).flatten(1).to(self.device)
        return [archs[i] for i in _order(score(x), n).tolist()]

    def _decoded(self, x: Tensor) -> list[A]:
        return self.space.decode(x.cpu())


def _order(scores: Tensor, n: int) -> Tensor:
    """Return the places of the `n` best of some scores; of equal ones, the first are better."""
    return scores.argsort(descending=True, stable=True)[:n]


def numbers_forms(space: Space[Any]) -> bool:
    """Whether repeats can be told by the numbers of a space's forms.

    All that is asked of it about its architectures has to be of the class that numbers them:
    another one may have a rule, or other forms.
    """
    if not isinstance(space, NumberedForms) or "is_valid" in vars(space):
        return False
    names = "keys", "number", "round", "is_valid", "canonical", "encode", "decode"
    return len({next(c for c in type(space).__mro__ if name in vars(c)) for name in names}) == 1
