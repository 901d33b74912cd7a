"""How trials spell the architectures of the engine's own spaces: documented parameter names."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic

import numpy as np
import optuna
from naslib_diffusion.plugins.optuna.spaces import Codec, Params, ProductCodec, Rule, Ruled
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from naslib_diffusion.spaces.base import A, Space
from naslib_diffusion.spaces.given import Given
from naslib_diffusion.spaces.numbers import Integer, Real
from naslib_diffusion.spaces.parameters import Parameter, Value
from naslib_diffusion.spaces.restricted import Restricted
from naslib_diffusion.spaces.variables import Spelled, SpelledSpace, settle

MAX_NAMES = 5000
"""Most architectures of a space without variables: each trial stores all names."""


class VariableCodec(Generic[A]):
    """Any space that tells its variables: a parameter for each.

    A trial may leave out parameters that do not exist beside its others.
    """

    def __init__(self, space: SpelledSpace[A], is_valid: Rule | None = None) -> None:
        self.variables = tuple(space.variables)
        self.distributions: dict[str, BaseDistribution] = {
            variable.name: _distribution(variable.parameter) for variable in self.variables
        }
        self._spelling, self.space = space, restricted(space, is_valid, self.write)

    def read(self, params: Params) -> A:
        """Return the architecture; samplers may leave numbers of NumPy's types."""
        plain = {name: v.item() if isinstance(v, np.generic) else v for name, v in params.items()}
        return self._spelling.read_spelling(plain)

    def write(self, arch: A) -> dict[str, Any]:
        """Return all values; the first ones of parameters that do not exist."""
        values = self._spelling.spell(arch)
        return {v.name: values.get(v.name, v.filler) for v in self.variables}

    def given(self, fixed: Params) -> VariableCodec[A]:
        """Return a codec of the architectures that have these values, if there are any.

        Those that do not belong to their parameter are left out of account.
        """
        values: dict[str, Value] = {}
        for variable in self.variables:
            if variable.name in fixed:
                with contextlib.suppress(ValueError, TypeError):
                    values[variable.name] = variable.parameter.read(fixed[variable.name])
        if not values:
            return self
        space = Given(self.space, self._spelling, values)
        if not space.is_found():  # the values alone exceed a budget, say
            return self
        codec = copy.copy(self)
        codec.space = space
        return codec

    def suggest(self, trial: optuna.Trial) -> A:
        """Suggest the parameters that exist, one after the other; return the architecture."""
        own = self.distributions
        return self.read(settle(self.variables, lambda v: trial._suggest(v.name, own[v.name])))


class NameCodec(Generic[A]):
    """Any finite space: one parameter `arch`, whose choices are the architectures' strings."""

    def __init__(self, space: Space[A], is_valid: Rule | None = None) -> None:
        if not isinstance(space, Iterable) or not space.size or space.size > MAX_NAMES:
            raise ValueError(
                f"space {space.name!r} has no variables (see spaces.variables.Spelled) and more "
                f"than {MAX_NAMES} architectures; give distributions by name instead"
            )
        self.space = restricted(space, is_valid, self.write)
        self._archs: dict[str, A] = {str(arch): arch for arch in space}
        self.distributions: dict[str, BaseDistribution] = {
            "arch": CategoricalDistribution(tuple(self._archs))
        }

    def read(self, params: Params) -> A:
        """Look the string up."""
        arch: A = self._archs[params["arch"]]
        return arch

    def write(self, arch: A) -> dict[str, Any]:
        """Return the string."""
        return {"arch": str(arch)}

    def suggest(self, trial: optuna.Trial) -> A:
        """Suggest the string."""
        return self.read({"arch": trial._suggest("arch", self.distributions["arch"])})


def codec_of(space: Any, is_valid: Rule | None = None) -> Codec[Any]:
    """Return how trials spell the architectures of a space, or of a mapping of distributions."""
    if isinstance(space, Mapping):
        return ProductCodec(space, is_valid)
    return architectures(space, is_valid)


def architectures(
    space: Space[A], is_valid: Rule | None = None
) -> VariableCodec[A] | NameCodec[A]:
    """Return how trials spell the architectures of a space."""
    if isinstance(space, Spelled):
        return VariableCodec(space, is_valid)
    return NameCodec(space, is_valid)


def suggest(trial: optuna.Trial, space: Space[A]) -> A:
    """Suggest the parameters of a space that exist to a trial, and return the architecture.

    It works with any sampler. A sampler that does not know the space may choose an architecture
    that is not in it, such as one beyond the budget of a `Budgeted` space: ask `space.is_valid`.

    Example:
        def objective(trial):
            cell = suggest(trial, space)
            return train(str(cell))
    """
    return architectures(space).suggest(trial)


def restricted(
    space: Space[A], is_valid: Rule | None, write: Callable[[A], dict[str, Any]]
) -> Space[A]:
    """Return the space less what `is_valid` bans."""
    return space if is_valid is None else Restricted(space, Ruled(is_valid, write))


def _distribution(p: Parameter) -> BaseDistribution:
    if isinstance(p, Integer):
        return IntDistribution(p.low, p.high, p.log, p.step)
    if isinstance(p, Real):
        return FloatDistribution(p.low, p.high, p.log, p.step)
    values: Sequence[Any] = p.values or ()
    return CategoricalDistribution(values)
