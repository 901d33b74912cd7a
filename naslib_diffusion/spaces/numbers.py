"""Numbers as parameters of product spaces: integers and reals, on grids and continua."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import torch
from torch import Tensor

from naslib_diffusion.spaces.parameters import Value, bins, typed

MAX_ATOMS = 1024
"""Grids of more values are treated as a continuum whose values are rounded to the grid."""

_ALL_MOVES = 10  # grids of at most so many values have all other values as neighbours
_JUMPS = 4  # random values among the neighbours on larger grids
_PERTURBATIONS = (0.2, 0.2, 0.05, 0.05)  # standard deviations of steps on a continuum
_DIGITS = 10  # decimal digits of real values: rounding makes decode(encode(value)) == value exact
_MAX_INTEGER = 2**40  # beyond, a double in [0, 1] no longer tells neighbouring integers apart
_MAX_REAL = 1e300  # beyond, differences and ratios of bounds may overflow


class _Number:
    """What integers and reals share: one coordinate on [0, 1], linear or logarithmic.

    A continuum spans [0, 1]. A grid of K values cuts it into K cells, each with its value inside,
    on a linear scale in the middle, so that a rounded uniform number falls on all K alike.
    """

    low: float
    high: float
    step: float | None
    log: bool
    width: ClassVar[int] = 1

    @functools.cached_property
    def count(self) -> int | None:
        """Number of values on the grid; None for a continuum."""
        if self.low == self.high:
            return 1
        if self.step is None:
            return None
        return int((_exact(self.high) - _exact(self.low)) // _exact(self.step)) + 1

    @functools.cached_property
    def values(self) -> tuple[Value, ...] | None:
        """The values of a grid; None for a continuum or more than `MAX_ATOMS` values."""
        if self.count is None or self.count > MAX_ATOMS:
            return None
        return tuple(self._value(k) for k in range(self.count))

    @functools.cached_property
    def atoms(self) -> Tensor | None:
        """Positions of the values of a grid, `count x 1`."""
        if self.values is None:
            return None
        return self._unit(torch.tensor(self.values, dtype=torch.double)).unsqueeze(-1)

    def encode(self, values: Sequence[Value]) -> Tensor:
        """Encode a batch of values, `B x 1`."""
        if self.atoms is not None:
            try:
                indices = [self._lookup[v.__class__, v] for v in values]
            except (KeyError, TypeError):
                indices = [self._index(v) for v in values]
            return self.atoms[torch.tensor(indices, dtype=torch.long)]
        within = all(type(v) is float and self.low <= v <= self.high for v in values)
        if self.count is not None or not within:
            for value in values:  # to check grids, and to raise the error that says which and why
                self.key(value)
        return self._unit(torch.tensor(values, dtype=torch.double)).clamp(0, 1).unsqueeze(-1)

    def decode(self, x: Tensor) -> list[Value]:
        """Return the value nearest to each coordinate, `B x 1`, clamped to [0, 1]."""
        u = x[:, 0].clamp(0, 1)
        if self.atoms is not None and self.values is not None:
            middles = (self.atoms[1:, 0] + self.atoms[:-1, 0]) / 2
            return [self.values[k] for k in torch.bucketize(u, middles).tolist()]
        lower, upper = self._edges
        values = lower + u * (upper - lower)
        if self.log:
            values = values.exp()
        if self.count is None or self.step is None:
            return [self._round(value) for value in values.tolist()]
        indices = ((values - self.low) / self.step).round().long().clamp(0, self.count - 1)
        return [self._value(k) for k in indices.tolist()]

    def draw(self, u: Tensor) -> list[Value]:
        """Turn numbers uniform on [0, 1), `B`, into values: equally likely ones on a grid."""
        if self.values is None:
            return self.decode(u.unsqueeze(-1))
        return [self.values[k] for k in bins(u, len(self.values))]

    def key(self, value: Value) -> Hashable:
        """Return the index on the grid, or the value up to rounding on a continuum."""
        if self.count is not None:
            return self._index(value)
        if type(value) is not float or not self.low <= value <= self.high:
            raise ValueError(f"{value!r} is not a float in [{self.low!r}, {self.high!r}]")
        return self._round(value)

    def read(self, value: Value) -> Value:
        """Return the grid's own value, or the value itself on a continuum."""
        if self.count is not None:
            return self._value(self._index(value))
        self.key(value)
        return value

    def moves(self, value: Value, generator: torch.Generator | None = None) -> list[Value]:
        """Return values on the grid (see `ProductSpace.neighbors`) or a few perturbed ones."""
        if self.count is None:
            deviations = torch.tensor(_PERTURBATIONS, dtype=torch.double)
            steps = deviations * torch.randn(len(deviations), generator=generator).double()
            near = self.decode(self.encode([value]) + steps.unsqueeze(-1))
            return [v for v in dict.fromkeys(near) if v != self.key(value)]
        own = self._index(value)
        if self.count <= _ALL_MOVES:
            others = set(range(self.count))
        else:
            others = {max(own - 1, 0), min(own + 1, self.count - 1)}
            others |= set(torch.randint(self.count, (_JUMPS,), generator=generator).tolist())
        return [self._value(k) for k in sorted(others - {own})]

    def _value(self, k: int) -> Value:
        """Return value number k of the grid."""
        raise NotImplementedError

    def _index(self, value: Value) -> int:
        """Inverse of `_value`; raises ValueError."""
        raise NotImplementedError

    @functools.cached_property
    def _lookup(self) -> dict[Hashable, int]:
        return {typed(value): k for k, value in enumerate(self.values or ())}

    @functools.cached_property
    def _edges(self) -> tuple[float, float]:
        """The values, or their logarithms, at 0 and 1; a grid ends half a step before them."""
        lower, upper = float(self.low), float(self.high)
        if self.count is not None:
            step = self.step if self.step is not None and self.count > 1 else abs(self.low) or 1.0
            below = min(step, self.low) if self.log else step  # a logarithm needs a positive edge
            upper = self.low + (self.count - 1) * step + step / 2
            lower -= below / 2
        return (math.log(lower), math.log(upper)) if self.log else (lower, upper)

    def _unit(self, values: Tensor) -> Tensor:
        """Map values to their positions in [0, 1]."""
        lower, upper = self._edges
        return ((values.log() if self.log else values) - lower) / (upper - lower)

    def _round(self, value: float) -> float:
        """Round to `_DIGITS` digits: of the range if linear, of the value if logarithmic."""
        rounded = float(f"{value:.{_DIGITS}g}") if self.log else round(value, self._decimals)
        return min(max(rounded, float(self.low)), float(self.high))

    @functools.cached_property
    def _decimals(self) -> int:
        """Digits after the point that a value on a linear scale is rounded to."""
        return _DIGITS - math.ceil(math.log10(self.high - self.low))


@dataclass(frozen=True)
class Integer(_Number):
    """An integer between `low` and `high`, both included: one coordinate.

    All values are equally likely, on a log scale too; there, only the distances in the encoding
    are logarithmic. Grids of more than `MAX_ATOMS` values follow the scale instead.

    Args:
        low: smallest value.
        high: largest value; where `step` does not lead to it, the last value before it.
        step: distance of the values.
        log: whether distances in the encoding are logarithmic; needs `low` of at least 1.
        name: what to call the parameter.
    """

    low: int
    high: int
    step: int = 1
    log: bool = False
    name: str | None = None

    def __post_init__(self) -> None:
        for field in ("low", "high", "step"):
            value = getattr(self, field)
            try:
                object.__setattr__(self, field, operator.index(value))
            except TypeError:
                raise ValueError(f"{field} must be an integer, not {value!r}") from None
            if abs(value) > _MAX_INTEGER:
                raise ValueError(f"{field} must be within -2**40 and 2**40, not {value!r}")
        _check_range(self.low, self.high, self.step, self.log)

    def _value(self, k: int) -> int:
        return self.low + k * self.step

    def _index(self, value: Value) -> int:
        if type(value) is not int or not self.low <= value <= self.high:
            raise ValueError(f"{value!r} is not an integer in [{self.low}, {self.high}]")
        k, rest = divmod(value - self.low, self.step)
        if rest:
            raise ValueError(f"{value!r} is not {self.low} plus a multiple of {self.step}")
        return k


@dataclass(frozen=True)
class Real(_Number):
    """A real number between `low` and `high`: one coordinate, uniform on the (log) scale.

    Decoded values carry ten decimal digits. With a step the values are `low`, `low + step`, ...,
    all equally likely, and a value that is off the grid by a rounding error counts as on it.

    Args:
        low: smallest value.
        high: largest value; where `step` does not lead to it, the last value before it.
        log: whether the scale is logarithmic; needs a positive `low`.
        step: distance of the values; None for a continuum.
        name: what to call the parameter.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        for field in ("low", "high", "step"):
            value = getattr(self, field)
            if field == "step" and value is None:
                continue
            try:
                number = float(value)
            except (TypeError, ValueError):
                raise ValueError(f"{field} must be a number, not {value!r}") from None
            if not abs(number) <= _MAX_REAL:
                raise ValueError(f"{field} must be finite and within 1e300, not {value!r}")
            object.__setattr__(self, field, number)
        _check_range(self.low, self.high, self.step, self.log)
        if (self.count or 1) > _MAX_INTEGER:
            raise ValueError(f"step {self.step!r} gives {self.count} values; at most 2**40 work")

    def read(self, value: Value) -> Value:
        """Return the value as a float: JSON writers may leave out the decimal point."""
        return super().read(float(value) if type(value) is int else value)

    @functools.cached_property
    def _integers(self) -> tuple[int, int, int]:
        """Low and step as integers, and what to divide them by."""
        low, step = _exact(self.low), _exact(self.step or 0.0)
        unit = math.lcm(low.denominator, step.denominator)
        return int(low * unit), int(step * unit), unit

    def _value(self, k: int) -> float:
        low, step, unit = self._integers  # exact, where 0.1 * 3 would be 0.30000000000000004
        return (low + k * step) / unit

    def _index(self, value: Value) -> int:
        if type(value) is float and math.isfinite(value) and self.count is not None:
            step = self.step or abs(self.low) or 1.0
            k = min(max(round((value - self.low) / step), 0), self.count - 1)
            if abs(value - self._value(k)) <= 1e-6 * step:
                return k
        grid = f" in steps of {self.step!r}" if self.step else ""
        raise ValueError(f"{value!r} is not a float in [{self.low!r}, {self.high!r}]{grid}")


def _check_range(low: float, high: float, step: float | None, log: bool) -> None:
    if low > high:
        raise ValueError(f"low {low!r} is above high {high!r}")
    if step is not None and step <= 0:
        raise ValueError(f"step must be positive, not {step!r}")
    if log and low <= 0:
        raise ValueError(f"a log scale needs a positive low, not {low!r}")


def _exact(number: float) -> Fraction:
    """Read a float as the decimal number that it prints as."""
    return Fraction(repr(number))
