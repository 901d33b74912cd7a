"""Architectures as values by name, some of which exist only beside certain values of others.

Hosts such as Optuna know parameters and conditions, but no encodings. They can search any space
that tells its variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from naslib_diffusion.spaces.base import A, Space
from naslib_diffusion.spaces.parameters import Parameter, Value


@dataclass(frozen=True)
class Variable:
    """A named choice or number of an architecture.

    Attributes:
        name: the name by which hosts know it.
        parameter: its values.
        when: for earlier variables, by name, the values that let this one exist. All conditions
            have to be met.
    """

    name: str
    parameter: Parameter
    when: Mapping[str, Sequence[Value]] = field(default_factory=dict)

    def exists(self, values: Mapping[str, Value]) -> bool:
        """Whether it exists, given the values of the variables before it."""
        return all(name in values and values[name] in own for name, own in self.when.items())

    @property
    def filler(self) -> Value:
        """A value that stands in its place for hosts that cannot leave it out: the first."""
        low: Value = getattr(self.parameter, "low", None)
        return low if self.parameter.values is None else self.parameter.values[0]


@runtime_checkable
class Spelled(Protocol[A]):
    """A space that tells its variables.

    This is optional. It lets hosts suggest the variables that exist, by name.
    """

    @property
    def variables(self) -> Sequence[Variable]:
        """All of them, each after those on which it depends."""

    def spell(self, arch: A) -> dict[str, Value]:
        """Return the values of the variables that exist in an architecture, by name."""

    def read_spelling(self, values: Mapping[str, Value]) -> A:
        """Inverse of `spell`; values of variables that do not exist beside the others are ignored.

        Raises:
            KeyError: if one that exists is missing.
            ValueError: if a value is not one of its variable.
        """


class SpelledSpace(Space[A], Spelled[A], Protocol[A]):
    """A space that tells its variables."""


def reaching(depth: str, depths: Sequence[int], place: int) -> dict[str, Sequence[Value]]:
    """Return the condition under which layer number `place` exists, given the number of layers."""
    deep = tuple(d for d in depths if d > place)
    return {} if len(deep) == len(depths) else {depth: deep}


def settle(variables: Sequence[Variable], value: Callable[[Variable], Value]) -> dict[str, Value]:
    """Ask for each variable that exists, given those before it; return the values by name."""
    values: dict[str, Value] = {}
    for variable in variables:
        if variable.exists(values):
            values[variable.name] = value(variable)
    return values


def read_by(variables: Sequence[Variable], values: Mapping[str, Value]) -> dict[str, Value]:
    """Return those of the values that exist, in the parameters' own form.

    Raises:
        KeyError: if one that exists is missing.
        ValueError: if a value is not one of its variable.
    """
    return settle(variables, lambda variable: variable.parameter.read(values[variable.name]))
