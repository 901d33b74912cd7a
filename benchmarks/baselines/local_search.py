"""Local search (White, Nolen and Savani, "Exploring the loss landscape in NAS", UAI 2021)."""

from __future__ import annotations

import random
from collections.abc import Hashable
from typing import Generic

import torch

from naslib_diffusion.spaces import Space
from naslib_diffusion.spaces.base import A


class LocalSearch(Generic[A]):
    """Evaluate all neighbours, move to the best of them; start anew where none is better.

    What was evaluated once is not evaluated again.
    """

    def __init__(self, space: Space[A], seed: int) -> None:
        self._space = space
        self._random = random.Random(seed)
        self._generator = torch.Generator().manual_seed(seed)
        self._values: dict[Hashable, float] = {}
        self._current: tuple[A, float] | None = None
        self._best: tuple[A, float] | None = None
        self._queue: list[A] = []

    def ask(self) -> A:
        """Return the next neighbour, or a random architecture to start from."""
        while self._best is not None and not self._queue:
            if self._current is not None and self._best[1] <= self._current[1]:
                self._current = self._best = None  # a local optimum
            else:
                self._current = self._best
                self._queue = self._neighbors(self._current[0])
        return self._queue.pop() if self._queue else self._start()

    def tell(self, arch: A, value: float) -> None:
        """Keep the best since the last start."""
        self._values[self._space.canonical(arch)] = value
        if self._best is None or value > self._best[1]:
            self._best = arch, value

    def _neighbors(self, arch: A) -> list[A]:
        """Return those that were not evaluated; the others count at once."""
        new: dict[Hashable, A] = {}
        for other in self._space.neighbors(arch, self._generator):
            key = self._space.canonical(other)
            if key not in self._values:
                new.setdefault(key, other)
            elif self._best is not None and self._values[key] > self._best[1]:
                self._best = other, self._values[key]
        found = list(new.values())
        self._random.shuffle(found)
        return found

    def _start(self) -> A:
        """Draw an architecture that was not evaluated, if that can be had."""
        for arch in (drawn := self._space.sample(100, self._generator)):
            if self._space.canonical(arch) not in self._values:
                return arch
        return drawn[0]
