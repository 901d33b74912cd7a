"""A guide on flat encodings, evaluated in chunks, counted, and remembered."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide, Linearized, score, value_and_gradient
from naslib_diffusion.spaces.base import Space

A = TypeVar("A", bound=Hashable)

CHUNK = 1024
"""How many encodings a guide is given at once by default."""


class Scores(Generic[A]):
    """What is to be maximised, on flat encodings, `B x D`.

    No architecture is scored twice: ascents meet, and come back to where others have been.

    Args:
        space: of the encodings.
        guide: maps encodings, `B x *shape`, to scores to be maximised, `B`.
        device: where the guide gets its input.
        chunk: encodings that the guide is given at once.

    Attributes:
        count: encodings that were scored.
        relaxed: scores relaxed encodings, as a guide for a generator.
    """

    def __init__(
        self,
        space: Space[A],
        guide: Guide,
        device: torch.device | str | None = None,
        chunk: int = CHUNK,
    ) -> None:
        self.space, self.guide, self.device, self.chunk = space, guide, device, chunk
        self.relaxed, self.count = Relaxed(self), 0
        self._x: list[Tensor] = []
        self._values: list[Tensor] = []
        self._known: dict[int, float] = {}

    def encode(self, archs: Sequence[A]) -> Tensor:
        """Encode architectures as the scores take them, `B x D`."""
        return self.space.encode(archs).flatten(1).to(self.device)

    def decode(self, x: Tensor) -> list[A]:
        """Decode flat encodings, `B x D`."""
        return self.space.decode(x.view(-1, *self.space.shape).cpu())

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Score architectures, `B x D`, and remember them: `B`, double.

        Raises:
            ValueError: if a score is NaN, or the guide does not return one for each.
        """
        keys = row_keys(x)
        first = {key: i for i, key in reversed(list(enumerate(keys))) if key not in self._known}
        if first:
            rows = sorted(first.values())
            new = x[rows]
            self._remember(new, self.once(new), [keys[i] for i in rows])
        known = [self._known[key] for key in keys]
        return torch.tensor(known, dtype=torch.double, device=x.device)

    @torch.no_grad()
    def once(self, x: Tensor) -> Tensor:
        """Score architectures, `B x D`, that will not be met again: `B`, double.

        Raises:
            ValueError: as for those that are remembered.
        """
        values = self.relaxed(x.view(-1, *self.space.shape)).detach().double()
        self._check(x, values)
        return values

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Score architectures with the gradient of the guide: `B`, and `B x D` or None."""
        parts = [
            value_and_gradient(self.guide, part.view(-1, *self.space.shape))
            for part in torch.split(x, self.chunk)
        ]
        self.count += len(x)
        values = torch.cat([value for value, _ in parts]).double()
        self._check(x, values)
        self._remember(x, values, row_keys(x))
        slopes = [slope.flatten(1) for _, slope in parts if slope is not None]
        return values, torch.cat(slopes) if len(slopes) == len(parts) else None

    def visited(self) -> tuple[Tensor, Tensor]:
        """Return the architectures that were scored, `R x D`, best first, and their scores."""
        if not self._x:
            return torch.empty(0, math.prod(self.space.shape)), torch.empty(0)
        x, values = torch.cat(self._x), torch.cat(self._values)
        order = values.argsort(descending=True, stable=True)
        return x[order], values[order]

    def _check(self, x: Tensor, values: Tensor) -> None:
        bad = values.isnan().nonzero()
        if len(bad):
            (worst,) = self.decode(x[bad[0]])
            raise ValueError(f"the guide is NaN at architecture {worst}")

    def _remember(self, x: Tensor, values: Tensor, keys: Sequence[int]) -> None:
        self._x.append(x)
        self._values.append(values)
        self._known.update(zip(keys, values.tolist(), strict=True))


class Relaxed:
    """Scores of relaxed encodings, counted, with their gradient in closed form if there is one."""

    def __init__(self, scores: Scores[Any]) -> None:
        self._scores = scores

    def __call__(self, x: Tensor) -> Tensor:
        """Score relaxed encodings, `B x *shape` to `B`, differentiably.

        Raises:
            ValueError: if the guide does not return one score per encoding.
        """
        scores = self._scores
        scores.count += len(x)
        parts = [score(scores.guide, part) for part in torch.split(x, scores.chunk)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return scores, `B`, and their gradient, `B x *shape`; None without a closed form."""
        scores, guide = self._scores, self._scores.guide
        if not isinstance(guide, Linearized):
            return None
        parts = [guide.value_and_gradient(part) for part in torch.split(x, scores.chunk)]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        scores.count += len(x)
        if len(known) == 1:
            return known[0]
        return torch.cat([value for value, _ in known]), torch.cat([slope for _, slope in known])


def row_keys(x: Tensor) -> list[int]:
    """Return a key of each row of numbers, `B x D`, computed where they are.

    Equal rows have equal keys; two different ones have the same with a probability of about
    2^-64: the sum of their bits times random numbers, modulo 2^64.
    """
    bits = x.double().contiguous().view(torch.int64)
    mixed = bits ^ (bits >> 52)  # round numbers end in zeros, which multiples would keep
    mixed *= _multipliers(x.shape[1], x.device)
    keys: list[int] = mixed.sum(1).tolist()
    return keys


@functools.lru_cache(maxsize=64)
def _multipliers(count: int, device: torch.device) -> Tensor:
    """Return random odd numbers of 64 bits, copied to a device once."""
    random = torch.Generator().manual_seed(0)
    numbers = torch.randint(-(2**63), 2**63 - 1, (count,), generator=random)
    return (numbers | 1).to(device)
