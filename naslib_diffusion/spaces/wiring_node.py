"""Wirings as data: the values of nodes, and pairs of nodes for edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naslib_diffusion.spaces.layout_nodes import MISSING, Node, listed, read_listed
from naslib_diffusion.spaces.wired import Pair, Wired


@dataclass(frozen=True, eq=False)
class WiringNode(Node):
    """An object of `operations`, a list, and `edges`, a list of [source, target, value if any]."""

    wired: Wired
    operations: tuple[Node, ...]
    """Of the inner nodes; none if nodes have no values."""
    on_edges: Mapping[Pair, Node]
    """Likewise."""

    def _render(self, codes: Sequence[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.operations:
            inner = self.operations[: self.wired.nodes(codes) - 2]
            found["operations"] = [listed(node, codes) for node in inner]
        pairs = self.wired.pairs(codes)
        if self.on_edges:
            found["edges"] = [[*pair, listed(self.on_edges[pair], codes)] for pair in pairs]
        else:
            found["edges"] = [list(pair) for pair in pairs]
        return found

    def _read(self, data: Any, codes: list[Any], where: str) -> None:
        keys = {"operations", "edges"} if self.operations else {"edges"}
        if not isinstance(data, dict) or set(data) != keys:
            raise ValueError(f"{where} must be an object with {' and '.join(sorted(keys))}")
        edges = self._edges(data["edges"], where)
        values = data.get("operations", [None] * (max((j for _, j in edges), default=1) - 1))
        counts = self.wired.counts
        if not isinstance(values, list) or len(values) + 2 not in counts:
            listed = " or ".join(str(count - 2) for count in counts)
            raise ValueError(f"{where}.operations must be a list of {listed} values")
        if self.wired.count is not None:
            codes[self.wired.count] = counts.index(len(values) + 2)
        for i, node in enumerate(self.operations):
            read_listed(node, values[i] if i < len(values) else MISSING, codes, f"{where}.{i + 1}")
        for pair, own in self.wired.edges.items():
            if pair[1] < len(values) + 2:
                codes[own[0]] = int(pair in edges)
            if pair in self.on_edges:
                value = edges.get(pair, MISSING)
                read_listed(self.on_edges[pair], value, codes, f"{where}.{pair[0]}>{pair[1]}")
        problem = self.wired.problem(codes)
        if problem:
            raise ValueError(f"{where}: {problem}")

    def _edges(self, data: Any, where: str) -> dict[Pair, Any]:
        """Read edges as a mapping of pairs to what is on them."""
        size = 3 if self.on_edges else 2
        if not isinstance(data, list) or not all(
            isinstance(e, list) and len(e) == size for e in data
        ):
            form = "[source, target, value]" if self.on_edges else "[source, target]"
            raise ValueError(f"{where}.edges must be a list of {form}, not {data!r}")
        edges: dict[Pair, Any] = {}
        for source, target, *value in data:
            if any(type(end) is not int for end in (source, target)):
                raise ValueError(f"{where}: {source!r} and {target!r} are not numbers of nodes")
            if (source, target) not in self.wired.edges or (source, target) in edges:
                which = "twice" if (source, target) in edges else "impossible"
                raise ValueError(f"{where}: the edge {source}>{target} is {which}")
            edges[source, target] = value[0] if value else None
        return edges
