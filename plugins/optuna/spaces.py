"""Between Optuna's parameters and the engine's spaces."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from naslib_diffusion.spaces.numbers import Integer, Real
from naslib_diffusion.spaces.parameters import Categorical, Parameter
from naslib_diffusion.spaces.pinned import Pinned
from naslib_diffusion.spaces.point import Point

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


def parameter(
    name: str, distribution: BaseDistribution, shortlist: Sequence[int] | None = None
) -> Parameter:
    """Return a distribution as a parameter; a categorical one has the indices of its choices.

    Args:
        name: what to call it.
        distribution: what it is.
        shortlist: the indices that a categorical one is to have; all that differ unless told.

    Raises:
        ValueError: if the engine cannot represent it, such as integers beyond 2**40.
    """
    if isinstance(distribution, CategoricalDistribution):
        choices = distribution.choices
        indices = dict.fromkeys(stored(choices)) if shortlist is None else shortlist
        return Categorical(indices, name, repr([choices[i] for i in indices]))
    if isinstance(distribution, IntDistribution):
        low, high, step = distribution.low, distribution.high, distribution.step
        return Integer(low, high, step, distribution.log, name=name)
    if isinstance(distribution, FloatDistribution):
        floats = distribution.low, distribution.high
        return Real(*floats, distribution.log, distribution.step, name=name)
    raise ValueError(f"unknown kind of distribution: {distribution!r}")


def stored(choices: Sequence[Any]) -> list[int]:
    """Return for each choice the index under which a trial stores it.

    Optuna takes the first that is equal for Python: 1, 1.0 and True are one choice, and so are
    0 and False. All NaN are one too, since a storage does not tell them apart.
    """
    first: dict[Any, int] = {}
    indices = []
    for i, choice in enumerate(choices):
        nan = isinstance(choice, float) and math.isnan(choice)
        try:
            indices.append(first.setdefault("a NaN" if nan else (choice,), i))
        except TypeError:  # a list or dictionary, which cannot be looked up
            indices.append(choices.index(choice))
    return indices


def representable(distribution: BaseDistribution) -> bool:
    """Whether the engine can search over a distribution."""
    return obstacle(distribution) is None


def obstacle(distribution: BaseDistribution) -> str | None:
    """Return why the engine cannot search over a distribution; None if it can."""
    if isinstance(distribution, CategoricalDistribution):
        return None
    try:
        parameter("x", distribution)
    except ValueError as error:
        return str(error)
    return None


class ProductCodec:
    """Any list of distributions as a `ProductSpace`.

    Args:
        distributions: by name.
        is_valid: bans combinations, given as a dictionary of values.
        constants: what else `is_valid` gets to see.
        shortlists: the choices that count, by their indices, of parameters that have many.
        fixed: values that are given, so that the others are to be proposed to go with them; those
            that do not belong to their parameter are left out of account.
    """

    def __init__(
        self,
        distributions: Mapping[str, BaseDistribution],
        is_valid: Rule | None = None,
        constants: Params | None = None,
        shortlists: Mapping[str, Sequence[int]] | None = None,
        fixed: Params | None = None,
    ) -> None:
        self.distributions = dict(distributions)
        self._is_valid, self._constants, self._fixed = is_valid, dict(constants or {}), fixed
        self.shortlists = dict(shortlists or {})
        self._stored = {
            name: stored(d.choices)
            for name, d in self.distributions.items()
            if isinstance(d, CategoricalDistribution)
        }
        rule = None if is_valid is None else Ruled(is_valid, self._all)
        parameters = [
            parameter(name, d, self.shortlists.get(name)) for name, d in self.distributions.items()
        ]
        self.space: ProductSpace = ProductSpace(parameters, rule)
        self._pins = dict(self._readable(fixed or {}))
        if self._pins:
            numbers = {
                i: self._pins[n] for i, n in enumerate(self.distributions) if n in self._pins
            }
            self.space = Pinned(self.space, numbers)

    def shortlisted(self, shortlists: Mapping[str, Sequence[int]]) -> ProductCodec:
        """Return a codec for which only some choices count."""
        return ProductCodec(
            self.distributions, self._is_valid, self._constants, shortlists, self._fixed
        )

    def read(self, params: Params) -> Point:
        """Return the point in the distributions' internal representation."""
        return Point(tuple(self.internal(name, params[name]) for name in self.distributions))

    def write(self, arch: Point) -> dict[str, Any]:
        """Return values as Optuna's users see them."""
        pairs = zip(self.distributions.items(), arch.values, strict=True)
        return {name: d.to_external_repr(value) for (name, d), value in pairs}  # type: ignore[arg-type]

    def pinned(self, name: str) -> list[int]:
        """Return the given choice of a parameter, if there is one."""
        return [int(self._pins[name])] if name in self._pins else []

    def internal(self, name: str, value: Any) -> int | float:
        """Return a value in internal representation."""
        distribution = self.distributions[name]
        internal = distribution.to_internal_repr(value)
        if name in self._stored:
            return self._stored[name][int(internal)]
        return internal if isinstance(distribution, FloatDistribution) else int(internal)

    def _readable(self, fixed: Params) -> Iterator[tuple[str, int | float]]:
        """Yield the values that belong to their parameter, in internal representation."""
        for own, parameter in zip(self.distributions, self.space.parameters, strict=True):
            if own in fixed:
                with contextlib.suppress(ValueError, TypeError):
                    value = self.internal(own, fixed[own])
                    parameter.key(value)
                    yield own, value

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
