"""A space less the architectures that a user's function bans."""

from __future__ import annotations

from collections.abc import Callable

import torch

from naslib_diffusion.spaces.base import A, HardlyAnyValid, Space
from naslib_diffusion.spaces.view import View

_MAX_ROUNDS = 100  # batches that `sample` draws before it gives up
_MIN_BATCH = 100


class Restricted(View[A]):
    """The architectures of `space` that `allowed` allows.

    Encodings, string forms, canonical forms and features are those of `space`. `blocks` still
    describe the whole of it, `decode` may return what is banned, and `size` is an upper bound.

    Args:
        space: the whole space.
        allowed: maps an architecture to whether it may be proposed.
    """

    def __init__(self, space: Space[A], allowed: Callable[[A], bool]) -> None:
        super().__init__(space)
        self._allowed = allowed
        self.name = f"restricted {space.name}"

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[A]:
        """Draw `n` allowed architectures; raises HardlyAnyValid if nearly all are banned."""
        found: list[A] = []
        batch = max(n, _MIN_BATCH)
        for _ in range(_MAX_ROUNDS):
            found += filter(self._allowed, self.space.sample(batch, generator))
            if len(found) >= n:
                return found[:n]
        raise HardlyAnyValid(
            f"{self.name}: only {len(found)} of {_MAX_ROUNDS * batch} random architectures were "
            f"allowed, fewer than the {n} wanted; ban less of the space",
            found,
        )

    def is_valid(self, arch: A) -> bool:
        """Whether `arch` is of the space and allowed."""
        return self.space.is_valid(arch) and bool(self._allowed(arch))

    def parse(self, text: str) -> A:
        """Read the string form of an allowed architecture."""
        arch = self.space.parse(text)
        if not self._allowed(arch):
            raise ValueError(f"{text!r} is of {self.space.name}, but not allowed")
        return arch

    def neighbors(self, arch: A, generator: torch.Generator | None = None) -> list[A]:
        """Return the neighbours that are allowed."""
        return [a for a in self.space.neighbors(arch, generator) if self._allowed(a)]
