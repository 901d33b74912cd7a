"""What a surrogate sees of wirings: kinds of nodes, what feeds what, and ways through the graph.

All features are polynomials of relaxed decisions, and equal for isomorphic wirings. Powers of the
adjacency count walks: of `k` edges from the input to each node, and from each node to the output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from naslib_diffusion.spaces.declared_coding import Coding
from naslib_diffusion.spaces.wired import Wired

Levels = Callable[[Sequence[int]], Tensor]
"""Returns the columns of features of some decisions, `D x K`."""


class WiringFeatures:
    """Maps encodings, `B x D`, to features of one wiring.

    Args:
        wired: the decisions.
        coding: of the decisions.
        levels: what surrogates see of single decisions.
    """

    def __init__(self, wired: Wired, coding: Coding, levels: Levels) -> None:
        self._size = max(wired.counts)
        self._pairs = torch.tensor(list(wired.edges)).T
        columns = [coding.columns[own[0]][1] for own in wired.edges.values()]
        self._edges = torch.eye(coding.width, dtype=torch.double)[:, columns]
        self._nodes = _stacked([levels(own) for own in wired.bodies], coding.width)
        self._values = _stacked([levels(own[1:]) for own in wired.edges.values()], coding.width)
        self._output = torch.zeros(coding.width, self._size, dtype=torch.double)
        if wired.count is not None:
            ends = [count - 1 for count in wired.counts]
            self._output[list(coding.columns[wired.count]), ends] = 1
        self._varies = wired.count is not None

    def to(self, like: Tensor) -> WiringFeatures:
        """Return the same for encodings like these."""
        new = object.__new__(WiringFeatures)
        for name, value in vars(self).items():
            floating = isinstance(value, Tensor) and value.is_floating_point()
            new.__dict__[name] = value.to(like) if floating else value
        return new

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what there is and what feeds what, `B x K`, and ways through it, `B x K'`."""
        source, target = self._pairs
        present = x @ self._edges
        edges = x.new_zeros(len(x), self._size, self._size)
        edges[:, source, target] = present
        nodes = torch.einsum("bd,idk->bik", x, self._nodes)
        values = torch.einsum("bd,idk->bik", x, self._values)
        output = x @ self._output
        if not self._varies:
            output = output + torch.eye(self._size).to(x)[-1]
        start = torch.eye(self._size).to(x)[:1].expand(len(x), -1)
        ahead, behind = _walks(edges, output), _walks(edges.mT, start)
        inner = slice(1, nodes.shape[1] + 1)
        between = nodes.mT @ edges[:, inner, inner] @ nodes
        counts = [present.sum(1, keepdim=True), nodes.sum(1), values.sum(1), between.flatten(1)]
        through = behind.sum(1)[:, source] * ahead.sum(1)[:, target]
        ways = [
            ahead[:, 1:, 0],
            (ahead[:, 1:-1, inner] @ nodes).flatten(1),
            (behind[:, 1:-1, inner] @ nodes).flatten(1),
            ((behind.sum(1) * ahead.sum(1))[:, None, inner] @ nodes)[:, 0],
            (through[:, None] @ values)[:, 0],
        ]
        return torch.cat(counts, 1) / self._size**0.5, torch.cat(ways, 1).asinh()


def _stacked(columns: Sequence[Tensor], width: int) -> Tensor:
    """Return the columns of several decisions of one form, `n x D x K`."""
    return torch.stack(list(columns)) if columns else torch.zeros(0, width, 0, dtype=torch.double)


def _walks(edges: Tensor, ends: Tensor) -> Tensor:
    """Count walks to the ends, `B x N`, by their number of edges, 0 to N - 1: `B x N x N`."""
    counts = [ends]
    for _ in range(edges.shape[1] - 1):
        counts.append((edges @ counts[-1][..., None])[..., 0])
    return torch.stack(counts, 1)
