"""Regularized evolution (Real et al., AAAI 2019, Algorithm 1)."""

from __future__ import annotations

import random
from collections import deque
from typing import Generic

import torch

from naslib_diffusion.spaces import Space
from naslib_diffusion.spaces.base import A


class RegularizedEvolution(Generic[A]):
    """Each child is a mutant of the best of a few members; the oldest member dies.

    Args:
        space: where to search.
        seed: of all random decisions.
        population: number of members.
        tournament: number of members that are drawn, with replacement, for each child.
    """

    def __init__(self, space: Space[A], seed: int, *, population: int, tournament: int) -> None:
        self._space, self._tournament, self._size = space, tournament, population
        self._random = random.Random(seed)
        self._generator = torch.Generator().manual_seed(seed)
        self._members: deque[tuple[A, float]] = deque(maxlen=population)

    def ask(self) -> A:
        """Draw at random until the population is full, then mutate."""
        if len(self._members) < self._size:
            return self._space.sample(1, self._generator)[0]
        drawn = self._random.choices(self._members, k=self._tournament)
        parent, _ = max(drawn, key=lambda member: member[1])
        return self._random.choice(self._space.neighbors(parent, self._generator) or [parent])

    def tell(self, arch: A, value: float) -> None:
        """Let a member in; the oldest leaves."""
        self._members.append((arch, value))
