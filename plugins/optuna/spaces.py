"""Between Optuna's parameters and the engine's spaces."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from naslib_diffusion.spaces import ProductSpace
from naslib_diffusion.spaces.base import A, Space
from naslib_diffusion.spaces.equality import Equality, under
from naslib_diffusion.spaces.parameters import Categorical, Integer, Parameter, Real
from naslib_diffusion.spaces.product import Point

Params = Mapping[str, Any]
Rule = Callable[[dict[str, Any]], bool]

T = TypeVar("T")


class Codec(Protocol[A]):
    """Reads an architecture of `space` from a trial's parameters, and writes it as such."""

    @property
    def space(self) -> Space[A]:
        """The space of the architectures."""

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The parameters that spell an architecture."""

    def read(self, params: Params) -> A:
        """Return the architecture; KeyError or ValueError if `params` do not spell one."""

    def write(self, arch: A) -> dict[str, Any]:
        """Inverse of `read`."""


def parameter(name: str, distribution: BaseDistribution) -> Parameter:
    """Return a distribution as a parameter; a categorical one has the indices of its choices.

    Raises:
        ValueError: if the engine cannot represent it, such as integers beyond 2**40.
    """
    if isinstance(distribution, CategoricalDistribution):
        return Categorical(range(len(distribution.choices)), name, repr(distribution.choices))
    if isinstance(distribution, IntDistribution):
        low, high, step = distribution.low, distribution.high, distribution.step
        return Integer(low, high, step, distribution.log, name=name)
    if isinstance(distribution, FloatDistribution):
        floats = distribution.low, distribution.high
        return Real(*floats, distribution.log, distribution.step, name=name)
    raise ValueError(f"unknown kind of distribution: {distribution!r}")


def representable(distribution: BaseDistribution) -> bool:
    """Whether the engine can search over a distribution."""
    try:
        parameter("x", distribution)
    except ValueError:
        return False
    return True


class ProductCodec:
    """Any list of distributions as a `ProductSpace`.

    Args:
        distributions: by name.
        is_valid: bans combinations, given as a dictionary of values.
        constants: what else `is_valid` gets to see.
    """

    def __init__(
        self,
        distributions: Mapping[str, BaseDistribution],
        is_valid: Rule | None = None,
        constants: Params | None = None,
    ) -> None:
        self.distributions = dict(distributions)
        self._constants = dict(constants or {})
        rule = None if is_valid is None else Ruled(is_valid, self._all)
        parameters = [parameter(name, d) for name, d in self.distributions.items()]
        self.space = ProductSpace(parameters, rule)

    def read(self, params: Params) -> Point:
        """Return the point in the distributions' internal representation."""
        values: list[int | float] = []
        for name, distribution in self.distributions.items():
            internal = distribution.to_internal_repr(params[name])
            whole = not isinstance(distribution, FloatDistribution)
            values.append(int(internal) if whole else internal)
        return Point(tuple(values))

    def write(self, arch: Point) -> dict[str, Any]:
        """Return values as Optuna's users see them."""
        pairs = zip(self.distributions.items(), arch.values, strict=True)
        return {name: d.to_external_repr(value) for (name, d), value in pairs}  # type: ignore[arg-type]

    def _all(self, arch: Point) -> dict[str, Any]:
        return {**self._constants, **self.write(arch)}


def with_equality(codec: Codec[A], distinct: Equality) -> Codec[A]:
    """Return a codec that counts isomorphic architectures of its space as one, or not."""
    seen = copy.copy(codec)
    seen.space = under(codec.space, distinct)  # type: ignore[misc]
    return seen


@dataclass(frozen=True, eq=False)
class Ruled(Generic[T]):
    """A user's rule on parameters as one on architectures; an object, so that it can be pickled.

    A rule that asks for a parameter that is not searched jointly with these cannot judge them.
    """

    rule: Rule
    write: Callable[[T], dict[str, Any]]

    def __call__(self, arch: T) -> bool:
        """Whether an architecture is allowed."""
        return allows(self.rule, self.write(arch))


def allows(rule: Rule, params: Params) -> bool:
    """Whether a rule allows parameters, as far as it can judge them."""
    try:
        return bool(rule(dict(params)))
    except KeyError:
        return True
