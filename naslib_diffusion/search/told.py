"""What a search is told: all of it is checked before any of it is recorded."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from numbers import Real
from typing import Any, TypeVar

from naslib_diffusion.search.trials import Trial
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.pinned import unpinned

A = TypeVar("A", bound=Hashable)


def read_trials(space: Space[A], archs: Any, values: Any, constraints: Any) -> list[Trial[A]]:
    """Return the trials that `tell` was given: lists, or one architecture and its value.

    Args:
        space: of the architectures.
        archs: architectures, or their strings.
        values: of the objective, one for each.
        constraints: for each the values of all constraints; or none.

    Raises:
        ValueError: if the lengths differ, or an architecture is not of the space.
    """
    if isinstance(values, Real) or getattr(values, "ndim", None) == 0:
        archs, values = [archs], [values]
        constraints = None if constraints is None else [constraints]
    if isinstance(archs, str) or not isinstance(archs, Sequence):
        raise ValueError(f"{archs} was told with a list of values; give it one value")
    if len(archs) != len(values):
        raise ValueError(f"{len(archs)} architectures were told with {len(values)} values")
    numbers = [float(value) for value in values]
    read = [read_arch(space, arch) for arch in archs]
    limits = [tuple(map(float, limit)) for limit in constraints or [()] * len(read)]
    if len(limits) != len(read):
        raise ValueError(f"{len(read)} architectures were told with {len(limits)} constraints")
    return [Trial(*row) for row in zip(read, numbers, limits, strict=True)]


def read_arch(space: Space[A], arch: A | str) -> A:
    """Return an architecture of the space, which may be given by its string.

    Raises:
        ValueError: if it is not of the space.
    """
    if _contains(space, arch):
        return arch  # type: ignore[return-value]
    if isinstance(arch, str):
        return space.parse(arch)
    raise ValueError(f"{arch} is not an architecture of space {space.name!r}")


def _contains(space: Space[Any], arch: Any) -> bool:
    """Whether `arch` is of the space; what is not even an architecture is not."""
    try:
        return unpinned(space).is_valid(arch)
    except (AttributeError, TypeError):
        return False
