"""Parameters of product spaces, each a block of the encoding: what they share, and choices."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

Value: TypeAlias = bool | int | float | str | None


class Parameter(Protocol):
    """One variable of a product space and its share of the encoding."""

    @property
    def name(self) -> str | None:
        """What to call the parameter."""

    @property
    def width(self) -> int:
        """Number of coordinates in the encoding."""

    @property
    def count(self) -> int | None:
        """Number of values; None for a continuum."""

    @property
    def values(self) -> Sequence[Value] | None:
        """All values, in the order of `atoms`; None where there are no atoms."""

    @property
    def atoms(self) -> Tensor | None:
        """Encodings of all values, `count x width`; None for a continuum and for large grids."""

    def encode(self, values: Sequence[Value]) -> Tensor:
        """Encode a batch of values, `B x width`; raises ValueError like `key`."""

    def decode(self, x: Tensor) -> list[Value]:
        """Return the value nearest to each encoding, `B x width`."""

    def draw(self, u: Tensor) -> list[Value]:
        """Turn numbers uniform on [0, 1), `B`, into values that follow the parameter's law."""

    def key(self, value: Value) -> Hashable:
        """Return what identifies a value; raises ValueError if it is not one of the parameter."""

    def read(self, value: Value) -> Value:
        """Return the parameter's own form of a value read from JSON; raises like `key`."""

    def moves(self, value: Value, generator: torch.Generator | None = None) -> list[Value]:
        """Return other values to try in the place of `value`."""


@dataclass(frozen=True)
class Categorical:
    """One of several unordered choices: a one-hot block.

    Args:
        choices: distinct values; None, booleans, numbers and strings may be mixed, and 1, 1.0,
            True and "1" are four different choices.
        name: what to call the parameter.
        kind: parameters of equal kind and number of choices are taken to have the same choices, so
            that a model shares what it learns of them. The default is the choices themselves.
    """

    choices: Iterable[Value]
    name: str | None = None
    kind: str | None = None

    def __post_init__(self) -> None:
        choices = self.choices
        if isinstance(choices, str):
            raise ValueError(f"choices must be a list of values, not the string {choices!r}")
        choices = tuple(choices)
        if not choices:
            raise ValueError("choices is empty; a categorical parameter needs at least one")
        seen = set()
        for choice in choices:
            if type(choice) not in (bool, int, float, str, type(None)):
                raise ValueError(
                    f"choice {choice!r} is a {type(choice).__name__}; "
                    "choices must be None, bool, int, float or str"
                )
            if choice != choice:  # noqa: PLR0124 - only NaN differs from itself
                raise ValueError("choice nan is not allowed: it does not equal itself")
            if typed(choice) in seen:
                raise ValueError(f"choice {choice!r} occurs twice in {choices!r}")
            seen.add(typed(choice))
        object.__setattr__(self, "choices", choices)

    @functools.cached_property
    def values(self) -> tuple[Value, ...]:
        """The choices."""
        return tuple(self.choices)

    @property
    def count(self) -> int:
        """Number of choices."""
        return len(self.values)

    width = count

    @functools.cached_property
    def atoms(self) -> Tensor:
        """One-hots, `count x count`."""
        return torch.eye(self.count, dtype=torch.double)

    @functools.cached_property
    def _lookup(self) -> dict[Hashable, int]:
        return {typed(choice): k for k, choice in enumerate(self.values)}

    def encode(self, values: Sequence[Value]) -> Tensor:
        """Encode a batch of choices as one-hots, `B x count`."""
        try:
            indices = [self._lookup[v.__class__, v] for v in values]
        except (KeyError, TypeError):
            indices = [self.key(v) for v in values]
        return functional.one_hot(torch.tensor(indices, dtype=torch.long), self.count).double()

    def decode(self, x: Tensor) -> list[Value]:
        """Take the choice of the largest coordinate, `B x count`."""
        return [self.values[k] for k in x.argmax(-1).tolist()]

    def draw(self, u: Tensor) -> list[Value]:
        """Turn numbers uniform on [0, 1), `B`, into equally likely choices."""
        return [self.values[k] for k in bins(u, self.count)]

    def key(self, value: Value) -> int:
        """Return the index of a choice."""
        try:
            return self._lookup[typed(value)]
        except (KeyError, TypeError):  # TypeError: a list or dictionary, which cannot be looked up
            raise ValueError(f"{value!r} is not one of the choices {self.values!r}") from None

    def read(self, value: Value) -> Value:
        """Return the choice that equals `value`."""
        return self.values[self.key(value)]

    def moves(self, value: Value, generator: torch.Generator | None = None) -> list[Value]:
        """Return all other choices."""
        own = self.key(value)
        return [choice for k, choice in enumerate(self.values) if k != own]


def typed(value: Value) -> tuple[type, Value]:
    """Return a key that keeps 1, 1.0 and True apart."""
    return value.__class__, value


def bins(u: Tensor, count: int) -> list[int]:
    """Cut [0, 1) into `count` equal bins."""
    indices: list[int] = (u * count).long().clamp(max=count - 1).tolist()
    return indices


def kind_of(parameter: Parameter) -> Hashable:
    """Return what parameters with the same choices have in common; None for numbers."""
    if not isinstance(parameter, Categorical):
        return None
    return parameter.kind or tuple(map(typed, parameter.values))
