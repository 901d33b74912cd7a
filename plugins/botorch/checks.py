"""Checks of points in a model's columns: are they encodings of the space?"""

from __future__ import annotations

from typing import Any

from botorch.exceptions.errors import InputDataError
from naslib_diffusion.plugins.botorch.coding import Coding
from torch import Tensor

from naslib_diffusion.optimize.moves import moves_of
from naslib_diffusion.spaces import Categorical, ProductSpace, Space
from naslib_diffusion.spaces.equality import structure

CLOSE = 1e-3
"""Coordinates may be off those of an architecture by so much: rows in single precision are, and
values on a fine grid that were not rounded to it."""

LISTED = 6
"""Parameters whose columns an error lists."""


def are_encodings(space: Space[Any], coding: Coding, points: Tensor) -> Tensor:
    """Tell which points in the model's columns, `n x d`, are architectures': `n`."""
    return ~_odd(space, coding, points).any(1)


def check_points(space: Space[Any], coding: Coding, points: Tensor, name: str) -> None:
    """Check that points, `n x d`, have the columns of a space and are encodings of it.

    Raises:
        InputDataError: if not; says which row, and what its columns should be.
    """
    if points.ndim != 2 or points.shape[-1] != coding.width:
        raise InputDataError(
            f"{name} must be n x {coding.width} for space {space.name!r}, not "
            f"{tuple(points.shape)}"
        )
    try:
        odd = _odd(space, coding, points).nonzero()
    except ValueError as error:
        raise InputDataError(f"{name}: {error}") from None
    if len(odd):
        row = int(odd[0, 0])
        shown = [round(float(value), 4) for value in points[row][:8]]
        more = ", ..." if coding.width > len(shown) else ""
        raise InputDataError(
            f"{name}: row {row} ({', '.join(map(str, shown))}{more}) is no encoding of space "
            f"{space.name!r}, which are {_columns(space, coding)}"
        )


def check_model(space: Space[Any], coding: Coding, inputs: list[Tensor]) -> None:
    """Check that a model was not trained in other units than the space's encodings.

    Points outside a space that has been narrowed since are harmless; but if none is an encoding,
    the model's columns are others.

    Raises:
        InputDataError: if so.
    """
    for x in inputs:
        points = x.detach().reshape(-1, x.shape[-1])
        if points.shape[-1] != coding.width or not len(points):
            continue  # columns that the function adds or takes away itself
        try:
            fit = bool(are_encodings(space, coding, points).any())
        except ValueError:
            fit = False
        if not fit:
            check_points(space, coding, points, "the model's training inputs")


def _odd(space: Space[Any], coding: Coding, points: Tensor) -> Tensor:
    """Tell which coordinates of points are not those of an encoding: `n x D`."""
    x = coding.encodings(points.detach().double().cpu())
    rounded = moves_of(structure(space)).round(x)  # a point beyond a budget is one, too
    close: Tensor = (x - rounded).abs() <= CLOSE  # which NaN is not
    return ~close


def _columns(space: Space[Any], coding: Coding) -> str:
    """Say what the columns of a model should be."""
    whole = structure(space)
    if not isinstance(whole, ProductSpace):
        return f"space.encode(architectures).flatten(1), {coding.width} columns in [0, 1]"
    listed, start = [], 0
    spread = coding.width == whole.shape[0]
    for name, parameter in zip(whole.names, whole.parameters, strict=True):
        choice = isinstance(parameter, Categorical)
        width = parameter.width if spread else 1
        columns = f"{start}" if width == 1 else f"{start}-{start + width - 1}"
        what = ("one-hot" if spread else "index of the choice") if choice else "position in [0, 1]"
        listed.append(f"{columns} {name!r} ({what})")
        start += width
    more = ["..."] if len(listed) > LISTED else []
    return "columns " + ", ".join(listed[:LISTED] + more)
