"""What a space is declared with, in Python or YAML: nested choices, numbers, repeats, conditions.

A declaration is a mapping of names to parts. A part is a list of choices, a number (`Integer`,
`Real`), a mapping (a cell, with parts of its own), or one of the classes below around any part.
YAML writes the same; see `from_data`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from naslib_diffusion.spaces.numbers import Integer, Real
from naslib_diffusion.spaces.parameters import Categorical, Parameter, Value

MAX_BYTES = 2**20
"""Size of a YAML file from which on it is not read."""


@dataclass(frozen=True)
class Repeat:
    """Several copies of a part, one after the other, each with values of its own.

    Args:
        body: what is repeated.
        depth: how many copies there are, or the numbers of copies to choose from. With fewer
            copies, the last ones are absent.
    """

    body: Part
    depth: int | Sequence[int]


@dataclass(frozen=True)
class Maybe:
    """A part that may be absent."""

    body: Part


@dataclass(frozen=True, init=False)
class When:
    """A part that exists only where parameters declared before it have certain values.

    Example:
        {"optimiser": ["sgd", "adam"], "momentum": When(Real(0, 0.99), optimiser="sgd")}

    Args:
        body: what depends.
        conditions: a value, or a list of values, for each parameter on which it depends. The
            parameter is in the same mapping, or in one around it.
    """

    body: Part
    conditions: Mapping[str, Any]

    def __init__(self, body: Part, **conditions: Any) -> None:
        object.__setattr__(self, "body", body)
        object.__setattr__(self, "conditions", conditions)


@dataclass(frozen=True)
class Wiring:
    """A directed acyclic graph: which nodes there are, and which feeds which.

    Node 0 is the input and the last one the output; edges lead from lower to higher numbers, and
    every node is on a way from input to output.

    Example:
        Wiring(nodes=[3, 4, 5], edges=6, operations=["conv3x3", "conv1x1", "pool"])

    Args:
        nodes: the number of nodes, input and output included, or the numbers to choose from.
        edges: the largest number of edges. By default there may be as many as fit.
        operations: the part that each node between input and output has, if any.
        on_edges: the part that each edge has, if any.
    """

    nodes: int | Sequence[int]
    edges: int | None = None
    operations: Part | None = None
    on_edges: Part | None = None


Part: TypeAlias = (
    "Sequence[Value] | Parameter | Mapping[str, Part] | Repeat | Maybe | When | Wiring"
)

_OPTIONS: Mapping[str, frozenset[str]] = {
    "choice": frozenset(),
    "integer": frozenset({"step", "log"}),
    "real": frozenset({"step", "log"}),
    "cell": frozenset(),
    "repeat": frozenset({"depth"}),
    "optional": frozenset(),
    "wiring": frozenset({"edges", "operations", "on_edges"}),
}
"""Kinds of parts in YAML, and which keys each may have beside its own."""


def from_data(data: Any, where: str = "the space") -> Part:
    """Read a part as YAML has it, with mappings in place of classes.

    {choice: [a, b]}, {integer: [low, high], step: s, log: true}, {real: [low, high], log: true},
    {cell: {...}}, {repeat: PART, depth: [2, 3]}, {optional: PART}, {wiring: [3, 4], edges: 5,
    operations: PART, on_edges: PART}; each with when: {NAME: VALUE}. A mapping with none of these
    keys is a cell, and a list is a choice.

    Raises:
        ValueError: that says where something else stands.
    """
    if isinstance(data, list):
        return data
    if not isinstance(data, Mapping):
        raise ValueError(f"{where} is {data!r}; expected a list of choices or a mapping")
    kinds = [kind for kind in _OPTIONS if kind in data]
    if not kinds:
        return _parts(data, where)
    if len(kinds) > 1:
        raise ValueError(f"{where} is both {kinds[0]} and {kinds[1]}")
    options = {key: value for key, value in data.items() if key not in (kinds[0], "when")}
    part = _part(kinds[0], data[kinds[0]], options, where)
    conditions = data.get("when", {})
    if not isinstance(conditions, Mapping):
        raise ValueError(f"{where}: when must map names to values, not be {conditions!r}")
    return When(part, **{str(name): v for name, v in conditions.items()}) if conditions else part


def _parts(data: Mapping[Any, Any], where: str) -> Mapping[str, Part]:
    return {str(name): from_data(part, f"{where}.{name}") for name, part in data.items()}


def _part(kind: str, body: Any, options: Mapping[str, Any], where: str) -> Part:
    unknown = sorted(set(map(str, options)) - _OPTIONS[kind])
    if unknown:
        raise ValueError(f"{where} has the key {unknown[0]!r}, which {kind} does not know")
    if kind in ("integer", "real"):
        if not isinstance(body, list) or len(body) != 2:
            raise ValueError(f"{where}: {kind} must be [low, high], not {body!r}")
        try:
            return (Integer if kind == "integer" else Real)(*map(_number, body), **options)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from None
    if kind == "choice":
        if not isinstance(body, list):
            raise ValueError(f"{where}: choice must be a list, not {body!r}")
        return body
    if kind == "wiring":
        parts: dict[str, Any] = {
            key: from_data(value, f"{where}.{key}") if key != "edges" else value
            for key, value in options.items()
        }
        return Wiring(body, **parts)
    inside = from_data(body, where)
    if kind == "repeat":
        if "depth" not in options:
            raise ValueError(f"{where} repeats, so it needs a depth")
        return Repeat(inside, options["depth"])
    return Maybe(inside) if kind == "optional" else inside


def _number(value: Any) -> Any:
    """Read 1e-4 too, which YAML 1.1 takes for a string."""
    return float(value) if isinstance(value, str) else value


def read_yaml(path: str | Path) -> Part:
    """Read a declaration from a YAML file; raises ValueError, in one line, if it is none."""
    file = Path(path)
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES // 2**20} MiB")
        text = file.read_text(encoding="utf-8")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("it has aliases (*name), which are not read")
        data = yaml.safe_load(text)
        if not isinstance(data, Mapping):
            raise ValueError("it is not a mapping of names to parts")
        return _parts(data, "the space")  # whatever the names, such as "cell"
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except RecursionError:
        raise ValueError(f"cannot read {path}: it is nested too deeply") from None
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read {path}: {' '.join(str(error).split())}") from None


def as_parameter(part: Any, name: str) -> Parameter | None:
    """Return a part that has no parts of its own as a parameter; None for other parts.

    Raises:
        ValueError: if a list of choices is empty or has repeats.
    """
    if isinstance(part, Categorical | Integer | Real):
        return part
    if isinstance(part, Sequence) and not isinstance(part, str):
        try:
            return Categorical(tuple(part), name=name)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from None
    return None
