"""A part of a space whose architectures have given values of some variables."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import A, HardlyAnyValid, Space
from naslib_diffusion.spaces.parameters import Value
from naslib_diffusion.spaces.sampling import sample_some
from naslib_diffusion.spaces.variables import Spelled, settle
from naslib_diffusion.spaces.view import View

_ROUNDS = 10
_MIN_BATCH = 100


class Given(View[A]):
    """The architectures of `space` that have given values, where these variables exist at all.

    Encodings and features are those of `space`, and so is the law in `blocks`: `decode` writes the
    given values over what it finds, and what these bring into being gets its first value. `size`
    is an upper bound.

    Args:
        space: the space.
        spelling: how its architectures are spelled.
        values: by name of the variable.
    """

    def __init__(self, space: Space[A], spelling: Spelled[A], values: Mapping[str, Value]) -> None:
        super().__init__(space)
        self._spelling, self._values = spelling, dict(values)

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[A]:
        """Draw `n` architectures: uniformly, unless hardly any has the values by chance.

        Raises:
            HardlyAnyValid: if hardly any belongs to the space with those values.
        """
        found: list[A] = []
        others: list[A] = []
        batch = max(n, _MIN_BATCH)
        for _ in range(_ROUNDS):
            drawn = sample_some(self.space, batch, generator)
            found += filter(self.is_valid, drawn)
            if len(found) >= n:
                return found[:n]
            others += filter(self.is_valid, map(self._write, drawn))
        found += others
        if len(found) < n:
            raise HardlyAnyValid(
                f"{self.name}: fewer than the {n} wanted have the given values", found
            )
        return found[:n]

    def is_found(self) -> bool:
        """Whether one of two thousand random trials has the values; the same whenever asked."""
        try:
            self.sample(1, torch.Generator().manual_seed(0))
        except HardlyAnyValid:
            return False
        return True

    def decode(self, x: Tensor) -> list[A]:
        """Return an architecture near each encoding, `B x *shape`, with the given values."""
        return list(map(self._write, self.space.decode(x)))

    def is_valid(self, arch: A) -> bool:
        """Whether `arch` is of the space and has the given values."""
        return self.space.is_valid(arch) and self._has(arch)

    def neighbors(self, arch: A, generator: torch.Generator | None = None) -> list[A]:
        """Return the neighbours that have the given values."""
        return [near for near in self.space.neighbors(arch, generator) if self._has(near)]

    def _has(self, arch: A) -> bool:
        own = self._spelling.spell(arch)
        return all(own[name] == value for name, value in self._values.items() if name in own)

    def _write(self, arch: A) -> A:
        if self._has(arch):
            return arch
        own = {**self._spelling.spell(arch), **self._values}
        variables = self._spelling.variables
        return self._spelling.read_spelling(
            settle(variables, lambda variable: own.get(variable.name, variable.filler))
        )
