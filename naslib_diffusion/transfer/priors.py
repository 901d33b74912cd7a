"""Priors by name: the meta-surrogate that ships, another one, or tables of other tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from naslib_diffusion.spaces.base import Space
from naslib_diffusion.surrogates import make_surrogate
from naslib_diffusion.surrogates.prior import EarlierSearch, Prior
from naslib_diffusion.tables import Direction, TableError, load_csv
from naslib_diffusion.transfer.meta import MetaSurrogate, whole_space


def load_priors(
    names: Sequence[str], space: Space[Any], direction: Direction = "maximize"
) -> tuple[Prior, ...]:
    """Return the priors of a search.

    Args:
        names: "default" for the meta-surrogate that ships for the space, a `.safetensors` file of
            another, or CSV tables of other tasks, as FILE or FILE:COLUMN.
        space: of the search.
        direction: of tables.

    Raises:
        ValueError: if one cannot be read, or is of another space; in one line.
    """
    return tuple(_load(name, space, direction) for name in names)


def _load(name: str, space: Space[Any], direction: Direction) -> Prior:
    if name == "default" or name.endswith(".safetensors"):
        return MetaSurrogate.load(name, space)
    whole = whole_space(space)
    path, _, column = name.partition(":") if not Path(name).exists() else (name, "", "")
    try:
        table = load_csv(path, whole, column or None, direction)
    except TableError as error:
        raise ValueError(f"--prior: {error}") from None
    sign = 1 if direction == "maximize" else -1
    values = [sign * value for value in table.values.tolist()]
    return EarlierSearch(make_surrogate("gp", whole), whole, table.archs, values)
