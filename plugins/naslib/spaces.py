"""NASLib's search spaces and the engine's: how an architecture is written in each.

A *code* is a flat tuple of integers that holds one architecture in NASLib's numbering. A *spec* is
what NASLib's `set_spec` takes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Hashable, Sequence
from typing import Any, Protocol, TypeVar

from naslib_diffusion.spaces import Categorical, NASBench201, ProductSpace, Subset
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.nasbench201 import OPERATIONS, Cell
from naslib_diffusion.spaces.point import Point

A = TypeVar("A", bound=Hashable)
T = TypeVar("T")
Code = tuple[int, ...]

SUPPORTED = ("nasbench201", "transbench101_micro", "nasbench301")
"""By `get_type()`, which is also what a config's `search_space` says."""

_POOL = OPERATIONS.index("avg_pool_3x3")
_DARTS_OPERATIONS = 7  # without "zero", as NASLib numbers them in its compact form
_DARTS_NODES = 4


class UnsupportedSpace(ValueError):  # noqa: N818 - it reads as what is wrong
    """The search space has operations that no space of the engine describes."""


class Codec(Protocol[A]):
    """Translates architectures of one of the engine's spaces to NASLib and back."""

    @property
    def space(self) -> Space[A]:
        """The engine's space."""

    def code(self, arch: A) -> Code:
        """Write an architecture in NASLib's numbering."""

    def arch(self, code: Sequence[int]) -> A:
        """Inverse of `code`."""

    def spec(self, code: Code) -> Any:
        """Return what `set_spec` takes."""

    def read(self, graph: Any) -> Code:
        """Return the code of a NASLib graph."""


class _OperationIndices:
    """What the spaces with six operation indices share."""

    def spec(self, code: Code) -> list[int]:
        """Return the indices as a list."""
        return list(code)

    def read(self, graph: Any) -> Code:
        """Return the graph's indices; NASLib's `mutate` leaves numpy integers among them."""
        return tuple(int(index) for index in graph.get_op_indices())


class NASBench201Codec(_OperationIndices):
    """Six operation indices, edges by source."""

    def __init__(self) -> None:
        self.space = NASBench201()

    def code(self, arch: Cell) -> Code:
        """Write a cell as NASLib's operation indices."""
        return arch.to_naslib()

    def arch(self, code: Sequence[int]) -> Cell:
        """Read NASLib's operation indices."""
        return Cell.from_naslib(code)


class TransNASBench101Cells(NASBench201):
    """Reads TransNAS-Bench-101's cells: six operation indices, in the order of NAS-Bench-201."""

    name = "transbench101_micro"

    def parse(self, text: str) -> Cell:
        """Read six digits from 0 to 3, as in "(0, 1, 2, 3, 0, 1)" or "64-41414-0_12_301"."""
        digits = re.findall(r"\d", text.rsplit("-", maxsplit=1)[-1])
        if len(digits) != 6 or not all(digit in "0123" for digit in digits):
            raise ValueError(f"{text!r} is not a cell; expected six operation indices from 0 to 3")
        return Cell(tuple(map(int, digits)))


class TransNASBench101Codec(_OperationIndices):
    """The cells of NAS-Bench-201 that have no pooling.

    NASLib queries the benchmark by the benchmark's own numbering, edges by target, but numbers its
    graphs as those of NAS-Bench-201, edges by source.

    Args:
        as_graph: whether NASLib's `create_graph` is set.
    """

    def __init__(self, as_graph: bool = False) -> None:
        cells = TransNASBench101Cells()
        self.space = Subset(cells, [cell for cell in cells if _POOL not in cell.operations])
        self._as_graph = as_graph

    def code(self, arch: Cell) -> Code:
        """Write a cell as NASLib's operation indices."""
        return arch.to_naslib() if self._as_graph else arch.operations

    def arch(self, code: Sequence[int]) -> Cell:
        """Read NASLib's operation indices."""
        return Cell.from_naslib(code) if self._as_graph else Cell(tuple(map(int, code)))


class DARTSCodec:
    """A normal and a reduction cell, each four nodes with two inputs and an operation on each.

    The engine sees a product: for each node the unordered pair of inputs and two operations. A
    code lists (input, operation) for each of the sixteen edges.
    """

    def __init__(self) -> None:
        self._pairs = [
            list(itertools.combinations(range(node + 2), 2)) for node in range(_DARTS_NODES)
        ]
        operations = range(_DARTS_OPERATIONS)
        parameters = []
        for cell, (node, pairs) in itertools.product(("normal", "reduce"), enumerate(self._pairs)):
            name = f"{cell}_{node}"
            parameters += [
                Categorical(range(len(pairs)), name=f"{name}_inputs"),
                Categorical(operations, name=f"{name}_first"),
                Categorical(operations, name=f"{name}_second"),
            ]
        self.space = ProductSpace(parameters)

    def code(self, arch: Point) -> Code:
        """Write a point as (input, operation) of each edge, inputs in rising order."""
        code: list[int] = []
        for i, values in enumerate(_groups(arch.values, 3)):
            pair, first, second = (int(value) for value in values)  # type: ignore[arg-type]
            low, high = self._pairs[i % _DARTS_NODES][pair]
            code += [low, first, high, second]
        return tuple(code)

    def arch(self, code: Sequence[int]) -> Point:
        """Read (input, operation) of each edge; a node's two edges may come in any order."""
        values: list[int] = []
        for i, node in enumerate(_groups([int(n) for n in code], 4)):
            (low, first), (high, second) = sorted((node[:2], node[2:]))
            values += [self._pairs[i % _DARTS_NODES].index((low, high)), first, second]
        return Point(tuple(values))

    def spec(self, code: Code) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Return NASLib's compact form."""
        edges = _groups(code, 2)
        half = len(edges) // 2
        return tuple(edges[:half]), tuple(edges[half:])  # type: ignore[arg-type]

    def read(self, graph: Any) -> Code:
        """Return the code of a graph's compact form."""
        return tuple(int(n) for cell in graph.get_compact() for edge in cell for n in edge)


def shell_of(search_space: Any) -> Any:
    """Return a copy of a NASLib graph that shares its modules: for architectures without a model.

    To copy the modules takes NASLib 0.1 s and more. A query of a benchmark needs the operation
    indices only, provided that NASLib knows that there is no model, `instantiate_model = False`.
    """
    kind: Any = type(search_space)
    shell = kind.__new__(kind)
    shell.__dict__ = dict(search_space.__dict__)
    shell.instantiate_model = False
    return shell


def _groups(values: Sequence[T], size: int) -> list[tuple[T, ...]]:
    """Cut a sequence into tuples of `size`."""
    return [tuple(values[i : i + size]) for i in range(0, len(values), size)]


def codec_for(search_space: Any) -> Codec[Any]:
    """Return the codec for a search space of NASLib.

    Raises:
        UnsupportedSpace: if there is none; lists the spaces that have one.
    """
    kind = search_space.get_type()
    if kind == "nasbench201":
        return NASBench201Codec()
    if kind == "transbench101_micro":
        return TransNASBench101Codec(as_graph=bool(search_space.create_graph))
    if kind == "nasbench301":
        return DARTSCodec()
    raise UnsupportedSpace(
        f"search space {kind!r} is not supported; guided diffusion knows: {', '.join(SUPPORTED)}"
    )
