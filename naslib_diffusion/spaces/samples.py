"""Spaces of a user's own graphs, known by samples only."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from naslib_diffusion.spaces.base import AtomBlock, Block

MAX_EXACT = 4096
"""Most distinct samples for which the exact denoiser is used by default."""

_CHUNK = 4096
_STRING = re.compile(r"([0-9]+(?: [0-9]+)*) \|((?: [0-9]+>[0-9]+)*)")


@dataclass(frozen=True)
class Graph:
    """A directed acyclic graph: the operation of each node, and sorted edges (i, j) with i < j."""

    operations: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        edges = "".join(f" {i}>{j}" for i, j in self.edges)
        return f"{' '.join(map(str, self.operations))} |{edges}"


def from_samples(
    samples: Sequence[tuple[ArrayLike, ArrayLike]],
    *,
    exact: bool | None = None,
    name: str = "samples",
) -> SampleSpace:
    """Make a space of graphs from samples of it.

    Args:
        samples: pairs (V, E) of one shape: V (`N x F`) has one-hot rows, the operations of the
            nodes; E (`N x N`) is strictly upper triangular, with 1 for an edge.
        exact: whether the samples are all there is. Then the exact denoiser generates nothing
            else. Otherwise a network that is trained on the samples generates new graphs like
            them. The default is True for up to `MAX_EXACT` distinct samples.
        name: of the space, for messages and files.

    Raises:
        ValueError: if there are no samples, or one is malformed; says which and why.
    """
    if len(samples) == 0:
        raise ValueError("samples is empty; a space needs at least one")
    graphs: list[Graph] = []
    shape: tuple[int, int] | None = None
    for i, (operations, edges) in enumerate(samples):
        try:
            v, e = _matrix(operations, "V"), _matrix(edges, "E")
            shape = shape or (v.shape[0], v.shape[1])
            graphs.append(_graph(v, e, shape))
        except ValueError as error:
            raise ValueError(f"samples[{i}]: {error}") from None
    assert shape is not None
    return SampleSpace(graphs, shape[1], exact=exact, name=name)


class SampleSpace:
    """Graphs of N nodes with F operations that have what all samples have in common.

    A graph is valid if each node has an operation that some sample has there, if each edge is one
    that some sample has, and if no edge is missing that all samples have. If all nodes of all
    samples are connected, this is required of a graph, too: all nodes but the first have a
    predecessor, and all but the last a successor. Encodings are `B x N x (F + N)`: each row of V
    beside that of E.

    Args:
        graphs: the samples; repeats count once.
        count: number of operations, F.
        exact: see `from_samples`.
        name: for messages and files.

    Attributes:
        samples: the distinct samples, from which `sample` draws uniformly.
        connected: whether predecessors and successors are required.
        size: an upper bound of the number of valid graphs.
    """

    def __init__(
        self,
        graphs: Sequence[Graph],
        count: int,
        *,
        exact: bool | None = None,
        name: str = "samples",
    ) -> None:
        self.name, self.count = name, count
        self.samples = tuple(dict.fromkeys(graphs))
        self.nodes = len(self.samples[0].operations)
        self.shape = (self.nodes, count + self.nodes)
        self.connected = all(map(self._is_connected, self.samples))
        self.exact = len(self.samples) <= MAX_EXACT if exact is None else exact
        chunks = range(0, len(self.samples), _CHUNK)
        encoded = (self.encode(self.samples[i : i + _CHUNK]) for i in chunks)
        bounds = [(x.amax(0), x.amin(0)) for x in encoded]
        self._possible = torch.stack([high for high, _ in bounds]).amax(0)
        self._always = torch.stack([low for _, low in bounds]).amin(0)
        choices = self._possible[:, :count].sum(1).int().tolist()
        free = int((self._possible - self._always)[:, count:].sum())
        self.size = math.prod(choices) * 2**free

    @functools.cached_property
    def blocks(self) -> Sequence[Block] | None:
        """One block, of the samples, if they are the law; else None."""
        return (AtomBlock(0, self.encode(self.samples).flatten(1)),) if self.exact else None

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[Graph]:
        """Draw `n` of the distinct samples uniformly, with replacement."""
        index = torch.randint(len(self.samples), (n,), generator=generator).tolist()
        return [self.samples[i] for i in index]

    def encode(self, archs: Sequence[Graph]) -> Tensor:
        """Encode graphs as V beside E, `B x N x (F + N)`."""
        x = torch.zeros(len(archs), *self.shape, dtype=torch.double)
        for row, arch in zip(x.numpy(), archs, strict=True):
            row[range(self.nodes), arch.operations] = 1
            for i, j in arch.edges:
                row[i, self.count + j] = 1
        return x

    def decode(self, x: Tensor) -> list[Graph]:
        """Take the likeliest operation, and edges above one half, among those of the samples.

        Where the samples are connected, the result may not be, and is not valid then.
        """
        x = x.detach()
        operations, edges = x[..., : self.count], x[..., self.count :]
        possible, always = self._possible.to(x.device).bool(), self._always.to(x.device).bool()
        known = possible[:, : self.count]
        best = operations.masked_fill(~known, -math.inf).argmax(-1)
        present = ((edges > 0.5) & possible[:, self.count :]) | always[:, self.count :]
        rows = zip(best.tolist(), present.cpu().numpy(), strict=True)
        return [Graph(tuple(ops), _edges(matrix)) for ops, matrix in rows]

    def is_valid(self, arch: Graph) -> bool:
        """Whether `arch` has what all samples have in common; see the class."""
        pairs = set(itertools.combinations(range(self.nodes), 2))
        if (
            len(arch.operations) != self.nodes
            or not all(0 <= op < self.count for op in arch.operations)
            or not pairs.issuperset(arch.edges)
            or list(arch.edges) != sorted(set(arch.edges))
        ):
            return False
        x = self.encode([arch])[0]
        missing = (self._always > x)[:, self.count :].any()
        impossible = (x > self._possible).any()
        return not (missing or impossible) and (not self.connected or self._is_connected(arch))

    def canonical(self, arch: Graph) -> Graph:
        """Return the graph itself: nodes are not permuted."""
        return arch

    def parse(self, text: str) -> Graph:
        """Read the string form: operations of the nodes, |, and edges, as in `0 2 1 | 0>1 1>2`."""
        match = _STRING.fullmatch(text.strip())
        if not match:
            raise ValueError(f"{text!r} is not a graph; expected a form like 0 2 1 | 0>1 1>2")
        pairs = (edge.split(">") for edge in match[2].split())
        edges = [(int(i), int(j)) for i, j in pairs]
        arch = Graph(tuple(map(int, match[1].split())), tuple(sorted(edges)))
        if not self.is_valid(arch):
            raise ValueError(
                f"{text!r} is not a graph of space {self.name!r}: it has {self.nodes} nodes with "
                f"operations and edges that samples have{', all connected' * self.connected}"
            )
        return arch

    def neighbors(self, arch: Graph, generator: torch.Generator | None = None) -> list[Graph]:
        """Return the valid graphs that differ in the operation of one node, or in one edge."""
        ops = arch.operations
        near = [
            Graph((*ops[:node], op, *ops[node + 1 :]), arch.edges)
            for node, op in self._possible[:, : self.count].nonzero().tolist()
            if op != ops[node]
        ]
        free = (self._possible - self._always)[:, self.count :].nonzero().tolist()
        changed = (set(arch.edges) ^ {(i, j)} for i, j in free)
        near += [Graph(ops, tuple(sorted(edges))) for edges in changed]
        return list(filter(self.is_valid, near))

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return operations, edges, and edges from each operation to each: `V' E V`, `B x F^2`."""
        operations, edges = x[..., : self.count], x[..., self.count :]
        between = operations.mT @ edges @ operations
        return operations.flatten(1), edges.flatten(1), between.flatten(1)

    def _is_connected(self, arch: Graph) -> bool:
        sources, targets = ({edge[end] for edge in arch.edges} for end in (0, 1))
        return targets == set(range(1, self.nodes)) and sources == set(range(self.nodes - 1))


def _matrix(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return a matrix of zeros and ones."""
    try:
        matrix = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is not a matrix of numbers") from None
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"{name} has shape {matrix.shape}; expected a matrix")
    if not np.isin(matrix, (0, 1)).all():
        raise ValueError(f"{name} has entries other than 0 and 1")
    return matrix


def _graph(v: NDArray[np.float64], e: NDArray[np.float64], shape: tuple[int, int]) -> Graph:
    if v.shape != shape:
        raise ValueError(f"V has shape {v.shape}, that of the first sample is {shape}")
    if e.shape != (shape[0], shape[0]):
        raise ValueError(f"E has shape {e.shape}; expected {(shape[0], shape[0])}")
    bad = np.flatnonzero(v.sum(1) != 1)
    if len(bad):
        raise ValueError(f"row {bad[0]} of V has {int(v[bad[0]].sum())} ones; expected one")
    if np.tril(e).any():
        raise ValueError("E has an edge on or below the diagonal; edges lead from i to j > i")
    return Graph(tuple(v.argmax(1).tolist()), _edges(e))


def _edges(matrix: NDArray[np.float64]) -> tuple[tuple[int, int], ...]:
    return tuple((int(i), int(j)) for i, j in np.argwhere(matrix))
