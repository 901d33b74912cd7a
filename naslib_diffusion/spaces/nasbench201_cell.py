"""A cell of NAS-Bench-201, in the benchmark's own form and in NASLib's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from naslib_diffusion.spaces.nasbench201_features import CONV1, CONV3, EDGES, NONE, POOL, SKIP

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

_NASLIB_OPERATIONS = (SKIP, NONE, CONV3, CONV1, POOL)
_NASLIB_EDGES = tuple(EDGES.index(e) for e in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)))


@dataclass(frozen=True)
class Cell:
    """A cell: six indices into `OPERATIONS`, in the order of `EDGES`."""

    operations: tuple[int, ...]

    def __str__(self) -> str:
        a, b, c, d, e, f = (OPERATIONS[i] for i in self.operations)
        return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"

    def to_naslib(self) -> tuple[int, ...]:
        """Return NASLib's six operation indices (edges by source, its own operation order)."""
        return tuple(_NASLIB_OPERATIONS.index(self.operations[e]) for e in _NASLIB_EDGES)

    @staticmethod
    def from_naslib(indices: Sequence[int]) -> Cell:
        """Inverse of `to_naslib`."""
        operations = [0] * 6
        for edge, index in zip(_NASLIB_EDGES, indices, strict=True):
            operations[edge] = _NASLIB_OPERATIONS[int(index)]
        return Cell(tuple(operations))
