"""Networks of wirings: each node sums up what leads to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

Make = Callable[[Any], nn.Module]
"""Makes the network of one value."""


def wire(cell: Mapping[str, Any], node: Make | None = None, edge: Make | None = None) -> nn.Module:
    """Return the network of a wiring, which maps its input to its output.

    The tensors that lead to a node are summed up, so they need one shape. The output is such a
    sum.

    Args:
        cell: the value of a `Wiring` in an architecture, with `operations` and `edges`.
        node: makes the network of an operation. By default nodes only sum up.
        edge: makes the network of what is on an edge. By default edges hand on what they get.
    """
    return _Wired(cell, node, edge)


class _Wired(nn.Module):
    def __init__(self, cell: Mapping[str, Any], node: Make | None, edge: Make | None) -> None:
        super().__init__()
        self._pairs = [(source, target) for source, target, *_ in cell["edges"]]
        on_edges = [edge(own[0]) if edge else nn.Identity() for _, _, *own in cell["edges"]]
        self.edges = nn.ModuleList(on_edges)
        last = max(target for _, target in self._pairs)
        values = cell.get("operations", [None] * (last - 1))
        inner = [node(value) if node else nn.Identity() for value in values]
        self.nodes = nn.ModuleList([nn.Identity(), *inner, nn.Identity()])

    def forward(self, x: Tensor) -> Tensor:
        found = [x]
        for target, node in enumerate(self.nodes):
            if target:
                own = zip(self._pairs, self.edges, strict=True)
                parts = [edge(found[i]) for (i, j), edge in own if j == target]
                found.append(node(torch.stack(parts).sum(0)))
        return found[-1]
