"""NAS-Bench-Graph (Qin et al., NeurIPS 2022): graph neural networks of four operations.

Each operation takes its input from the network's input or from an earlier operation, in one of
nine ways; operations that nothing follows feed the output. So wiring varies, as a tree.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from naslib_diffusion.spaces.base import Block, Factor, UnionBlock
from naslib_diffusion.spaces.nasbenchgraph_features import tree_features
from naslib_diffusion.spaces.parameters import Categorical, Value
from naslib_diffusion.spaces.variables import Variable, read_by

OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
SKIP = OPERATIONS.index("skip")
WIRINGS = (
    (0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 1), (0, 0, 1, 2), (0, 0, 1, 3),
    (0, 1, 1, 1), (0, 1, 1, 2), (0, 1, 2, 2), (0, 1, 2, 3),
)  # fmt: skip
"""Where each of the four operations takes its input from: 0 is the input, i operation i."""

NODES = 6
COLUMNS = 2 + len(OPERATIONS)
"""Columns of V: input, output and the nine operations."""

_STRING = re.compile(r"\|(\w+)~([0-3])\|(\w+)~([0-3])\|(\w+)~([0-3])\|(\w+)~([0-3])\|")


@dataclass(frozen=True)
class GraphNet:
    """An architecture: one of `WIRINGS` and four indices into `OPERATIONS`."""

    wiring: tuple[int, ...]
    operations: tuple[int, ...]

    def __str__(self) -> str:
        pairs = zip(self.operations, self.wiring, strict=True)
        return "".join(f"|{OPERATIONS[op]}~{source}" for op, source in pairs) + "|"


class NASBenchGraph:
    """The 59,040 architectures of NAS-Bench-Graph; 26,206 that differ.

    Encodings are `B x 6 x 17`: one row for each of input, four operations and output. The first 11
    columns are V, one-hots over input, output and the nine `OPERATIONS`; the last six are E, the
    upper-triangular adjacency. The one architecture without any operation but skips is no member.
    """

    name = "nasbenchgraph"
    shape = (NODES, COLUMNS + NODES)
    size = 26206
    legend = (
        *("input", "output", *OPERATIONS),
        *("feeds input", *(f"feeds operation {i}" for i in range(1, 5)), "feeds output"),
    )
    """What the columns of encodings stand for."""
    variables = (
        Variable("wiring", Categorical("".join(map(str, wiring)) for wiring in WIRINGS)),
        *(Variable(f"op{i}", Categorical(OPERATIONS)) for i in range(4)),
    )
    """The sources, such as "0012", and the operations."""

    def spell(self, arch: GraphNet) -> dict[str, Value]:
        """Return the sources and the names of the operations; see `Spelled`."""
        names = {f"op{i}": OPERATIONS[k] for i, k in enumerate(arch.operations)}
        return {"wiring": "".join(map(str, arch.wiring)), **names}

    def read_spelling(self, values: Mapping[str, Value]) -> GraphNet:
        """Inverse of `spell`."""
        wiring, *names = read_by(self.variables, values).values()
        return GraphNet(tuple(map(int, str(wiring))), tuple(map(OPERATIONS.index, names)))

    @functools.cached_property
    def blocks(self) -> Sequence[Block]:
        """One union of products: the first operation that is no skip is the 1st, ..., or 4th."""
        columns = torch.arange(NODES * self.shape[1]).view(self.shape)
        operations = [tuple(row) for row in columns[1:5, 2:COLUMNS].tolist()]
        others = sorted(set(columns.flatten().tolist()).difference(*operations))
        wirings = self.encode([GraphNet(wiring, (SKIP,) * 4) for wiring in WIRINGS])
        eye = torch.eye(len(OPERATIONS), dtype=torch.double)
        kinds = eye, eye[:SKIP], eye[SKIP:]  # factors 1 to 4, 5 to 8 and 9 to 12
        factors = [Factor(tuple(others), wirings.flatten(1)[:, others])]
        factors += [Factor(row, atoms) for atoms in kinds for row in operations]
        parts = [
            (0, *(9 + i if i < first else 5 + i if i == first else 1 + i for i in range(4)))
            for first in range(4)
        ]
        return (UnionBlock(0, tuple(factors), tuple(parts)),)

    def __iter__(self) -> Iterator[GraphNet]:
        """Iterate over all 59,040 architectures."""
        for wiring in WIRINGS:
            for operations in itertools.product(range(len(OPERATIONS)), repeat=4):
                if set(operations) != {SKIP}:
                    yield GraphNet(wiring, operations)

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[GraphNet]:
        """Draw `n` architectures uniformly over the 59,040 strings."""
        count = len(OPERATIONS) ** 4 - 1  # all skips come last
        wirings = torch.randint(len(WIRINGS), (n,), generator=generator).tolist()
        operations = torch.randint(count, (n, 1), generator=generator)
        digits = operations // torch.tensor([729, 81, 9, 1]) % len(OPERATIONS)
        return [
            GraphNet(WIRINGS[wiring], tuple(row))
            for wiring, row in zip(wirings, digits.tolist(), strict=True)
        ]

    def encode(self, archs: Sequence[GraphNet]) -> Tensor:
        """Encode architectures as V beside E, `B x 6 x 17`."""
        operations = torch.tensor([a.operations for a in archs], dtype=torch.long).view(-1, 4)
        rows = functional.pad(operations + 2, (1, 1))
        rows[:, -1] = 1
        index = torch.tensor([WIRINGS.index(a.wiring) for a in archs], dtype=torch.long)
        return torch.cat([functional.one_hot(rows, COLUMNS).double(), _ADJACENCIES[index]], -1)

    def decode(self, x: Tensor) -> list[GraphNet]:
        """Return the nearest architecture of each encoding, `B x 6 x 17`."""
        x = x.detach()
        adjacencies = _ADJACENCIES.to(x).flatten(1)
        edges = x[:, :, COLUMNS:].flatten(1)
        wirings = (edges @ adjacencies.T - adjacencies.square().sum(1) / 2).argmax(-1)
        rows = x[:, 1:5, 2:COLUMNS]
        real, any_op = rows[..., :SKIP].max(-1), rows.max(-1)
        operations = any_op.indices
        # where all are skips, one must not be: that which loses least
        cheapest = (any_op.values - real.values).argmin(-1, keepdim=True)
        changed = operations.scatter(1, cheapest, real.indices.gather(1, cheapest))
        operations = changed.where(operations.eq(SKIP).all(-1, keepdim=True), operations)
        return [
            GraphNet(WIRINGS[wiring], tuple(row))
            for wiring, row in zip(wirings.tolist(), operations.tolist(), strict=True)
        ]

    def is_valid(self, arch: GraphNet) -> bool:
        """Whether wiring and operations are known, and one operation at least is no skip."""
        return (
            arch.wiring in WIRINGS
            and len(arch.operations) == 4
            and all(0 <= op < len(OPERATIONS) for op in arch.operations)
            and set(arch.operations) != {SKIP}
        )

    def canonical(self, arch: GraphNet) -> str:
        """Return the tree with skips contracted and branches sorted; 26,206 differ.

        A skip goes, and what follows it moves up, if anything follows it, if it is its source's
        only successor, or if nothing but skips lies between it and the input. Else it is a second
        way from its source to the output, and stays.
        """
        return _canonical(arch.wiring, arch.operations)

    def parse(self, text: str) -> GraphNet:
        """Read the string form `|op~source|op~source|op~source|op~source|`."""
        match = _STRING.fullmatch(text.strip())
        if not match:
            raise ValueError(
                f"{text!r} is not an architecture of NAS-Bench-Graph; "
                "expected |op~source|op~source|op~source|op~source|"
            )
        names, wiring = match.groups()[::2], tuple(map(int, match.groups()[1::2]))
        unknown = [name for name in names if name not in OPERATIONS]
        if unknown:
            known = ", ".join(OPERATIONS)
            raise ValueError(f"unknown operation {unknown[0]!r} in {text!r}; known: {known}")
        if wiring not in WIRINGS:
            known = ", ".join("".join(map(str, w)) for w in WIRINGS)
            raise ValueError(f"unknown wiring in {text!r}; sources must be one of {known}")
        arch = GraphNet(wiring, tuple(OPERATIONS.index(name) for name in names))
        if not self.is_valid(arch):
            raise ValueError(f"{text!r} has no operation but skips")
        return arch

    def neighbors(
        self, arch: GraphNet, generator: torch.Generator | None = None
    ) -> list[GraphNet]:
        """Return what differs in one operation (at most 32) or in the wiring (8)."""
        ops = arch.operations
        near = [GraphNet(wiring, ops) for wiring in WIRINGS if wiring != arch.wiring]
        near += [
            GraphNet(arch.wiring, (*ops[:i], op, *ops[i + 1 :]))
            for i in range(4)
            for op in range(len(OPERATIONS))
            if op != ops[i]
        ]
        return list(filter(self.is_valid, near))

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return operations by depth, pairs in sequence, outputs and a summary of the tree."""
        return tree_features(x[:, 1:5, 2:COLUMNS], x[:, :, COLUMNS:])


def _adjacency(wiring: Sequence[int]) -> Tensor:
    """Adjacency of input, operations and output, `6 x 6`."""
    matrix = torch.zeros(NODES, NODES, dtype=torch.double)
    for node, source in enumerate(wiring, start=1):
        matrix[source, node] = 1
    matrix[:-1, -1] = matrix[:-1].sum(1) == 0
    return matrix


_ADJACENCIES = torch.stack([_adjacency(wiring) for wiring in WIRINGS])


@functools.cache
def _canonical(wiring: tuple[int, ...], operations: tuple[int, ...]) -> str:
    sources = dict(enumerate(wiring, start=1))
    kinds = dict(enumerate(operations, start=1))

    def from_input(node: int) -> bool:
        """Whether only skips lie between the input and `node`, itself included."""
        return node == 0 or (kinds[node] == SKIP and from_input(sources[node]))

    for node in range(1, 5):
        followers = [i for i, source in sources.items() if source == node]
        alone = list(sources.values()).count(sources[node]) == 1
        if kinds[node] == SKIP and (followers or alone or from_input(node)):
            source = sources.pop(node)
            sources.update(dict.fromkeys(followers, source))

    def describe(node: int) -> str:
        inner = sorted(describe(i) for i, source in sources.items() if source == node)
        name = OPERATIONS[kinds[node]] if node else ""
        return f"{name}({','.join(inner)})" if inner else name

    return describe(0)
