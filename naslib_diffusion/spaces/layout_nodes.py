"""The tree in which an architecture's decisions hang: how values nest, as data and as codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naslib_diffusion.spaces.parameters import Parameter, Value, typed

ABSENT = -1
"""Stands for the code of a decision that does not exist in an architecture."""
MISSING = object()
"""Stands for the value of a part that does not exist in an architecture."""

Guards = Mapping[int, frozenset[int]]
"""Decisions on which another depends, by number, and which codes of them allow it; all must."""


def holds(guards: Guards, codes: Sequence[Any]) -> bool:
    """Whether all guards hold, by the codes of the decisions."""
    return all(codes[number] in allowed for number, allowed in guards.items())


def code_of(parameter: Parameter, value: Any, where: str) -> int:
    """Return the index of a value.

    Raises:
        ValueError: if the parameter has no such value; it begins with `where`.
    """
    keys = [typed(own) for own in parameter.values or ()]
    if typed(value) not in keys:
        raise ValueError(f"{where} is never {value!r}; it is one of {parameter.values!r}")
    return keys.index(typed(value))


@dataclass(frozen=True, eq=False)
class Node(ABC):
    """A part of an architecture's values, which exists under `guards`."""

    guards: Guards

    def render(self, codes: Sequence[Any]) -> Any:
        """Return the values, nested as they were declared; `MISSING` if they do not exist."""
        return self._render(codes) if holds(self.guards, codes) else MISSING

    def read(self, data: Any, codes: list[Any], where: str) -> None:
        """Inverse of `render`: write the codes of nested values.

        Raises:
            ValueError: that says which value is wrong.
        """
        if not holds(self.guards, codes):
            if data is not MISSING:
                raise ValueError(f"{where} does not exist beside the values before it")
            return
        if data is MISSING and not isinstance(self, MaybeNode):
            raise ValueError(f"{where} is missing")
        self._read(data, codes, where)

    @abstractmethod
    def _render(self, codes: Sequence[Any]) -> Any: ...

    @abstractmethod
    def _read(self, data: Any, codes: list[Any], where: str) -> None: ...


@dataclass(frozen=True, eq=False)
class LeafNode(Node):
    """The value of a decision: the index of a choice, or a number itself."""

    number: int
    parameter: Parameter

    def _render(self, codes: Sequence[Any]) -> Value:
        value: Value = codes[self.number]
        if self.parameter.atoms is not None and self.parameter.values is not None:
            value = self.parameter.values[codes[self.number]]
        return value

    def _read(self, data: Any, codes: list[Any], where: str) -> None:
        try:
            value = self.parameter.read(data)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from None
        discrete = self.parameter.atoms is not None
        codes[self.number] = code_of(self.parameter, value, where) if discrete else value


@dataclass(frozen=True, eq=False)
class CellNode(Node):
    """A mapping of names to values."""

    parts: Mapping[str, Node]

    def _render(self, codes: Sequence[Any]) -> dict[str, Any]:
        found = {key: part.render(codes) for key, part in self.parts.items()}
        return {key: value for key, value in found.items() if value is not MISSING}

    def _read(self, data: Any, codes: list[Any], where: str) -> None:
        if not isinstance(data, dict):
            raise ValueError(f"{where} must be an object with {', '.join(self.parts)}")
        unknown = [key for key in data if key not in self.parts]
        if unknown:
            raise ValueError(f"{where} has no {unknown[0]!r}; it has {', '.join(self.parts)}")
        for key, part in self.parts.items():
            part.read(data.get(key, MISSING), codes, f"{where}.{key}" if where else key)


@dataclass(frozen=True, eq=False)
class RepeatNode(Node):
    """A list of copies; their number is a decision, unless there is one number only."""

    depth: int | None
    depths: tuple[int, ...]
    copies: tuple[Node, ...]

    def _render(self, codes: Sequence[Any]) -> list[Any]:
        count = self.depths[0 if self.depth is None else codes[self.depth]]
        return [listed(copy, codes) for copy in self.copies[:count]]

    def _read(self, data: Any, codes: list[Any], where: str) -> None:
        if not isinstance(data, list) or len(data) not in self.depths:
            depths = " or ".join(map(str, self.depths))
            raise ValueError(f"{where} must be a list of {depths} values, not {data!r}")
        if self.depth is not None:
            codes[self.depth] = self.depths.index(len(data))
        for i, copy in enumerate(self.copies):
            read_listed(copy, data[i] if i < len(data) else MISSING, codes, f"{where}.{i}")


@dataclass(frozen=True, eq=False)
class MaybeNode(Node):
    """A part that a decision (no, yes) makes exist."""

    choice: int
    body: Node

    def _render(self, codes: Sequence[Any]) -> Any:
        return self.body.render(codes)

    def _read(self, data: Any, codes: list[Any], where: str) -> None:
        codes[self.choice] = int(data is not MISSING)
        self.body.read(data, codes, where)


def listed(node: Node, codes: Sequence[Any]) -> Any:
    """Return a value as lists show it: None if it does not exist."""
    value = node.render(codes)
    return None if value is MISSING else value


def read_listed(node: Node, data: Any, codes: list[Any], where: str) -> None:
    """Inverse of `listed`; raises like `Node.read`."""
    if data is None and (isinstance(node, MaybeNode) or not holds(node.guards, codes)):
        data = MISSING
    node.read(data, codes, where)
