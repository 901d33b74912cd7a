"""What a method is, and what those of the literature have in common."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, Protocol

import torch
from torch import Tensor

from naslib_diffusion.spaces import Space
from naslib_diffusion.spaces.base import A

TRIES = 20
"""Draws for each candidate that is wanted, before a pool stays smaller."""


class Method(Protocol[A]):
    """A search, one evaluation at a time; any class that is made by `(space, seed)` will do.

    Before the first `ask`, a method is told the random start that all methods share.
    """

    def ask(self) -> A:
        """Return the architecture to evaluate next."""

    def tell(self, arch: A, value: float) -> None:
        """Record a value, to be maximised."""


Maker = Callable[[Space[Any], int], Method[Any]]


class UnfitSpace(ValueError):  # noqa: N818 - it reads as what happened
    """A method cannot search this space; the message says why."""


class PoolMethod(ABC, Generic[A]):
    """Bayesian optimisation over a pool: half mutants of the best, half random, all of them new.

    Args:
        space: where to search.
        seed: of all random decisions.
        pool: number of candidates that are scored at a time.
        parents: number of best architectures that are mutated.
    """

    def __init__(self, space: Space[A], seed: int, *, pool: int, parents: int) -> None:
        self.space, self.size, self.parents = space, pool, parents
        self.random = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.archs: list[A] = []
        self.values: list[float] = []

    def ask(self) -> A:
        """Return the candidate with the highest score."""
        candidates = self.candidates() if self.archs else []
        if not candidates:
            return self.space.sample(1, self.generator)[0]
        return candidates[int(self.score(candidates).argmax())]

    def tell(self, arch: A, value: float) -> None:
        """Record a value."""
        self.archs.append(arch)
        self.values.append(value)

    @abstractmethod
    def score(self, candidates: Sequence[A]) -> Tensor:
        """Fit the model to `archs` and `values`; return how good each candidate is: `B`."""

    def candidates(self) -> list[A]:
        """Return distinct new architectures."""
        order = sorted(range(len(self.values)), key=self.values.__getitem__, reverse=True)
        best = [self.archs[i] for i in order[: self.parents]]
        found: dict[Hashable, A] = {}
        known = {self.space.canonical(arch) for arch in self.archs}
        for draw, wanted in ((self._mutant, self.size // 2), (self._random, self.size)):
            for _ in range(TRIES * self.size):
                if len(found) >= wanted:
                    break
                arch = draw(best)
                key = self.space.canonical(arch)
                if key not in known:
                    found.setdefault(key, arch)
        return list(found.values())

    def _mutant(self, best: Sequence[A]) -> A:
        parent = self.random.choice(best)
        return self.random.choice(self.space.neighbors(parent, self.generator) or [parent])

    def _random(self, best: Sequence[A]) -> A:
        return self.space.sample(1, self.generator)[0]
