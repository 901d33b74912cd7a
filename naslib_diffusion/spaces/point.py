"""A point of a product space: one value for each parameter."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field

from naslib_diffusion.spaces.parameters import Value, typed


@dataclass(frozen=True, eq=False)
class Point:
    """One value per parameter; its string form is a JSON array.

    Points whose values differ in type only, such as 1, 1.0 and True, are different.
    """

    values: tuple[Value, ...]
    names: tuple[str, ...] = field(default=(), repr=False)
    """Of the parameters, for reading; points of equal values are equal whatever their names."""

    def __getitem__(self, name: str) -> Value:
        """Return the value of the parameter `name`; raises KeyError that lists the names."""
        if name not in self.names:
            raise KeyError(f"{name!r} is not a parameter; there are: {', '.join(self.names)}")
        return self.values[self.names.index(name)]

    def as_dict(self) -> dict[str, Value]:
        """Return the values by the names of their parameters."""
        return dict(zip(self.names, self.values, strict=True))

    def __str__(self) -> str:
        return json.dumps(self.values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Point):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @functools.cached_property
    def _key(self) -> tuple[tuple[type, Value], ...]:
        return tuple(map(typed, self.values))
