"""What the decisions that make a wiring have to keep to together, and when two of them are one."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naslib_diffusion.spaces.layout_nodes import ABSENT

MAX_ORDERS = 5040
"""Orders of alike nodes that are compared to tell isomorphic wirings; with more, none are told."""

Pair = tuple[int, int]
"""Source and target of an edge."""


@dataclass(frozen=True)
class Sight:
    """What matters of the edges decided so far, target by target, for those to come.

    Attributes:
        loose: nodes that nothing follows yet, as bits.
        edges: how many there are.
        fed: whether the present target has a source.
    """

    loose: int = 0
    edges: int = 0
    fed: bool = False


@dataclass(frozen=True, eq=False)
class Wired:
    """The decisions of one wiring, by number.

    Attributes:
        name: where it is.
        count: how many nodes there are; None if there is one number only.
        counts: numbers of nodes to choose from.
        bodies: decisions of each inner node, from node 1 on.
        edges: decisions of each edge: first whether it exists, then what is on it. By target, then
            by source.
        most: edges, at most.
    """

    name: str
    count: int | None
    counts: tuple[int, ...]
    bodies: tuple[range, ...]
    edges: Mapping[Pair, range]
    most: int

    @property
    def inside(self) -> list[int]:
        """The decisions of nodes and edges, in order."""
        return list(itertools.chain(*self.bodies, *self.edges.values()))

    @functools.cached_property
    def decides(self) -> dict[int, Pair]:
        """By number, the decisions of whether there is an edge."""
        return {own[0]: pair for pair, own in self.edges.items()}

    @property
    def rule(self) -> str:
        """What edges have to keep to, in words."""
        return f"at most {self.most} in all; each node on a way from input to output"

    def nodes(self, codes: Sequence[Any]) -> int:
        """Return how many nodes there are; none where the wiring does not exist."""
        if self.count is None:
            return 0 if codes[self.edges[0, 1][0]] == ABSENT else self.counts[0]
        return 0 if codes[self.count] == ABSENT else self.counts[codes[self.count]]

    def pairs(self, codes: Sequence[Any]) -> list[Pair]:
        """Return which edges there are."""
        return [pair for pair, own in self.edges.items() if codes[own[0]] == 1]

    def follow(self, sight: Sight, pair: Pair, code: int) -> Sight | None:
        """Decide about one more edge; return None if that cannot end well."""
        source, target = pair
        loose, edges, fed = sight.loose, sight.edges, sight.fed and source > 0
        if code == ABSENT:
            return sight
        if target == 1:
            loose = 1
        if code:
            loose, edges, fed = loose & ~(1 << source), edges + 1, True
        if source == target - 1:
            if not fed:
                return None
            loose, fed = loose | 1 << target, False
        # each edge to come gives a successor to one node at most, and one node needs none
        if edges + max(loose.bit_count() - 1, 0) > self.most:
            return None
        return Sight(loose, edges, fed)

    @staticmethod
    def ends(sight: Sight) -> bool:
        """Whether all is well when all edges are decided: nothing follows the output only."""
        return sight.loose.bit_count() <= 1

    def problem(self, codes: Sequence[Any]) -> str | None:
        """Say what is wrong with an architecture's edges, if anything."""
        pairs, last = self.pairs(codes), self.nodes(codes) - 1
        if len(pairs) > self.most:
            return f"{len(pairs)} edges are more than {self.most}"
        sources, targets = ({pair[end] for pair in pairs} for end in (0, 1))
        for node in range(last + 1):
            if node < last and node not in sources:
                return f"nothing follows node {node}"
            if node > 0 and node not in targets:
                return f"nothing leads to node {node}"
        return None

    def form(self, keys: Sequence[Hashable]) -> Hashable:
        """Return what isomorphic wirings have in common; None of one that does not exist.

        Args:
            keys: what identifies the value of each decision.
        """
        last = self.nodes(keys) - 1
        if last < 0:
            return None
        kinds: dict[int, Hashable] = {0: "input", last: "output"}
        kinds |= {i + 1: _all(keys, own) for i, own in enumerate(self.bodies[: last - 1])}
        edges = {pair: _all(keys, self.edges[pair]) for pair in self.pairs(keys)}
        classes = _alike(kinds, edges)
        orders = math.prod(math.factorial(len(own)) for own in classes)
        listed = itertools.product(*map(itertools.permutations, classes))
        every = (tuple(itertools.chain(*order)) for order in listed)
        tried = every if orders <= MAX_ORDERS else [tuple(kinds)]
        return min((_ordered(kinds, edges, order) for order in tried), key=repr)


def _all(keys: Sequence[Hashable], own: range) -> tuple[Hashable, ...]:
    return tuple(keys[d] for d in own)


def _alike(kinds: Mapping[int, Hashable], edges: Mapping[Pair, Hashable]) -> list[list[int]]:
    """Return classes of nodes that their surroundings do not tell apart, in an order of these.

    Weisfeiler and Leman's refinement: nodes of one class are alike, and so are their neighbours.
    """
    colours: dict[int, Any] = dict(kinds)
    while True:
        around: dict[int, Any] = {node: (colour, [], []) for node, colour in colours.items()}
        for (source, target), own in edges.items():
            around[source][1].append(repr((colours[target], own)))
            around[target][2].append(repr((colours[source], own)))
        seen = {n: repr((c, sorted(after), sorted(before))) for n, (c, after, before) in
                around.items()}  # fmt: skip
        ranks = {own: rank for rank, own in enumerate(sorted(set(seen.values())))}
        if len(ranks) == len(set(map(repr, colours.values()))):
            break
        colours = {node: ranks[own] for node, own in seen.items()}
    classes: dict[str, list[int]] = {}
    for node, own in seen.items():
        classes.setdefault(own, []).append(node)
    return [classes[own] for own in sorted(classes)]


def _ordered(
    kinds: Mapping[int, Hashable], edges: Mapping[Pair, Hashable], order: Sequence[int]
) -> tuple[Hashable, ...]:
    """Write a graph with its nodes in some order."""
    place = {node: i for i, node in enumerate(order)}
    moved = sorted(((place[i], place[j], own) for (i, j), own in edges.items()), key=repr)
    return tuple(kinds[node] for node in order), tuple(moved)
