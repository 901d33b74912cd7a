"""How an encoding of shape `N x C` holds a graph, and how nodes of a DAG relate to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import Space

Edges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class GraphLayout:
    """Where V and E lie in an encoding.

    Where the wiring is fixed, all columns are V (`N x F`) and `edges` lists the edges (i, j) of
    the DAG. Where it varies, `edges` is None, and the last N columns are E: row i of the encoding
    is row i of V beside row i of the strictly upper-triangular E (`N x N`).
    """

    nodes: int
    operations: int
    edges: Edges | None = None

    def __post_init__(self) -> None:
        if self.nodes < 1 or self.operations < 1:
            raise ValueError(
                "a graph needs nodes and operations, "
                f"not {self.nodes} nodes and {self.operations} operations"
            )
        for edge in self.edges or ():
            if not 0 <= edge[0] < edge[1] < self.nodes:
                raise ValueError(f"edge {edge} does not lead forward within {self.nodes} nodes")

    @staticmethod
    def of(space: Space[Any]) -> GraphLayout:
        """Return the layout of a space.

        A space of fixed wiring has an attribute `adjacency`, its edges (i, j).

        Raises:
            ValueError: if the encodings of the space are not graphs.
        """
        edges = getattr(plain(space), "adjacency", None)
        if len(space.shape) != 2:
            raise ValueError(
                f"space {space.name!r} has encodings of shape {space.shape}; "
                "a score network needs graphs, N x C"
            )
        nodes, columns = space.shape
        if edges is not None:
            return GraphLayout(nodes, columns, tuple((int(i), int(j)) for i, j in edges))
        if columns <= nodes:
            raise ValueError(
                f"space {space.name!r} has neither an attribute `adjacency`, its fixed edges, "
                f"nor {nodes} columns of wiring beside its operations"
            )
        return GraphLayout(nodes, columns - nodes)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of an encoding."""
        return self.nodes, self.operations + (self.nodes if self.edges is None else 0)

    def adjacency(self) -> Tensor:
        """Return the fixed wiring, `N x N`; zero where the wiring varies."""
        matrix = torch.zeros(self.nodes, self.nodes, device="cpu")
        for i, j in self.edges or ():
            matrix[i, j] = 1
        return matrix


def plain(space: Space[Any]) -> Space[Any]:
    """Return the space that a subset is of, whose encodings it has."""
    while hasattr(space, "space"):
        space = space.space
    return space


def closure(adjacency: Tensor) -> Tensor:
    """Relaxed transitive closure of `... x N x N` in [0, 1]: whether j can be reached from i."""
    reach = adjacency
    for _ in range((adjacency.shape[-1] - 1).bit_length()):
        reach = torch.maximum(reach, (reach @ reach).clamp(max=1))
    return reach


def relations(adjacency: Tensor, *, directed: bool = True) -> Tensor:
    """How node i sees node j, `... x R x N x N`, from a (relaxed) adjacency `... x N x N`.

    The channels are: the node itself, edge i -> j, j further downstream, edge j -> i, j further
    upstream; all zero if neither can be reached from the other. Undirected, there are only the
    first three, with edges in both directions.
    """
    itself = torch.eye(adjacency.shape[-1], dtype=adjacency.dtype, device=adjacency.device)
    if not directed:
        adjacency = adjacency + adjacency.mT
    further = (closure(adjacency) - adjacency) * (1 - itself)
    channels = [itself.expand_as(adjacency), adjacency, further]
    if directed:
        channels += [adjacency.mT, further.mT]
    return torch.stack(channels, dim=-3)
