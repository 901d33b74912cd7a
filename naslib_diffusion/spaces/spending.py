"""The graph of all that a law can spend: states are what was spent on the way, within a window.

Where there are few distinct sums, states are sums, and the graph is exact. Where there are too
many, states are intervals of sums: as fine as a limit on the number of transitions allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naslib_diffusion.spaces.base import AtomBlock, Block, Terms, UnionBlock
from naslib_diffusion.spaces.paths import DEAD, Step

_Floats = NDArray[np.float64]
_Integers = NDArray[np.int64]

QUANTUM = 2.0**-40
"""Sums of real numbers that differ by less than this, relative to the largest, are one."""
COARSER = 1.3
"""Factor by which intervals grow until the graph is small enough."""
RAW = 6
"""Transitions that are looked at for one that is left in the end, at most."""
DENSE = 8
"""Integers that span up to so many times their number are numbered by a table."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One decision of a law, with what it costs: letters, by which mode each may be used.

    Modes tell apart the beginnings of the parts of a union. There are `Q` of them before the
    decision, `A` letters, and `m` costs.
    """

    letters: _Integers
    to: _Integers
    """The mode that follows, or `DEAD`, `Q x A`."""
    cost: _Floats
    """`Q x A x m`"""


@dataclass(frozen=True, eq=False)
class Decisions:
    """The decisions of a law in order: an alphabet and layers of it."""

    columns: tuple[int, ...]
    """Coordinates of the flattened encoding that they set."""
    letters: Tensor
    """What each letter adds to them, `M x len(columns)`."""
    layers: tuple[Layer, ...]

    @staticmethod
    def of(blocks: Sequence[Block], terms: Sequence[Terms]) -> Decisions:
        """Write blocks as decisions; `terms` has one entry for each of `m` costs.

        What is fixed has a term too, a letter of its own.
        """
        columns = tuple(c for block in blocks for c in block.columns)
        place = {column: i for i, column in enumerate(columns)}
        alphabet: list[Tensor] = []
        layers: list[Layer] = []
        for i, block in enumerate(blocks):
            layers += _layers(block, [term[i] for term in terms], alphabet, place)
        return Decisions(columns, torch.stack(alphabet), tuple(layers))

    def extremes(self) -> tuple[_Floats, _Floats]:
        """Return the least and the largest that can be spent, `m` each."""
        low, high = self.rest()
        return low[0][0], high[0][0]

    def rest(self) -> tuple[list[_Floats], list[_Floats]]:
        """Return the least and the largest that can follow, `Q x m` for each layer and the end."""
        size = self.layers[0].cost.shape[2]
        lows, highs = [np.zeros((1, size))], [np.zeros((1, size))]
        for layer in reversed(self.layers):
            dead = (layer.to == DEAD)[..., None]
            for bounds, worst, pick in ((lows, np.inf, np.min), (highs, -np.inf, np.max)):
                total = np.where(dead, worst, layer.cost + bounds[-1][layer.to])
                bounds.append(pick(total, axis=1))
        return lows[::-1], highs[::-1]


def _layers(
    block: Block,
    terms: Sequence[list[list[Tensor]]],
    alphabet: list[Tensor],
    place: dict[int, int],
) -> list[Layer]:
    """Write a block as layers, one for each factor; parts that begin alike are one mode so far."""
    parts = _parts(block)
    costs = [
        [torch.stack([t[p][f].double() for t in terms], 1).numpy() for f in range(len(part))]
        for p, part in enumerate(parts)
    ]
    width = len(place)
    first: dict[int, int] = {}  # the first letter of each factor
    words: list[list[tuple[int, _Floats]]] = []
    for part, cost in zip(parts, costs, strict=True):
        order = sorted(range(len(part)), key=lambda f: part[f][1])
        for f in order:
            number, columns, atoms = part[f]
            if number not in first:
                first[number] = len(alphabet)
                index = [place[column] for column in columns]
                for atom in atoms.double():
                    alphabet.append(atom.new_zeros(width).index_put((torch.tensor(index),), atom))
        words.append([(part[f][0], cost[f]) for f in order])
    return list(_trie(words, first, alphabet, len(terms)))


_Part = list[tuple[int, tuple[int, ...], Tensor]]


def _parts(block: Block) -> list[_Part]:
    """Return the parts of a block, whose factors are a number, columns and atoms."""
    if isinstance(block, AtomBlock):
        return [[(0, block.columns, block.atoms)]]
    if isinstance(block, UnionBlock):
        factors = [
            (i, tuple(block.start + c for c in f.columns), f.atoms)
            for i, f in enumerate(block.factors)
        ]
        return [[factors[i] for i in part] for part in block.parts]
    raise TypeError(f"a {type(block).__name__} has no decisions")


def _trie(
    words: list[list[tuple[int, _Floats]]],
    first: dict[int, int],
    alphabet: list[Tensor],
    size: int,
) -> list[Layer]:
    """Merge the beginnings of words of (factor, its costs) into modes; the end is one mode."""
    length = max(map(len, words))
    if any(len(word) < length for word in words):  # nothing is decided in the rest of these
        first[DEAD] = len(alphabet)
        alphabet.append(torch.zeros_like(alphabet[0]))
        pad = (DEAD, np.zeros((1, size)))
        words = [word + [pad] * (length - len(word)) for word in words]
    layers, groups = [], [list(range(len(words)))]
    for depth in range(length):
        edges: list[tuple[int, int, int, _Floats]] = []  # mode, next mode, first letter, costs
        spans: dict[tuple[int, int], int] = {}  # a factor once for each of its costs in a mode
        letters: list[int] = []
        children: list[list[int]] = []
        for mode, group in enumerate(groups):
            kinds: dict[tuple[int, bytes], list[int]] = {}
            for w in group:
                factor, costs = words[w][depth]
                kinds.setdefault((factor, costs.tobytes()), []).append(w)
            used: list[int] = []
            for (factor, _), members in kinds.items():
                costs = words[members[0]][depth][1]
                span = factor, used.count(factor)
                used.append(factor)
                if span not in spans:
                    spans[span] = len(letters)
                    letters += range(first[factor], first[factor] + len(costs))
                edges.append((mode, len(children), spans[span], costs))
                children.append(members)
        to = np.full((len(groups), len(letters)), DEAD)
        cost = np.zeros((len(groups), len(letters), size))
        for mode, child, start, costs in edges:
            to[mode, start : start + len(costs)] = 0 if depth == length - 1 else child
            cost[mode, start : start + len(costs)] = costs
        layers.append(Layer(np.array(letters), to, cost))
        groups = children
    return layers


@dataclass(frozen=True, eq=False)
class Window:
    """What may be spent, for each of `m` costs, both bounds included."""

    at_least: _Floats
    at_most: _Floats

    def less(self, spent: _Floats) -> Window:
        """Return what is left to spend."""
        return Window(self.at_least - spent, self.at_most - spent)


@dataclass(frozen=True, eq=False)
class Spending:
    """A graph of the decisions that keep to a window.

    Attributes:
        steps: the graph; no path is missing that keeps to the window.
        costs: what each transition costs, `S x A x m` for each step.
        exact: whether there are no others.
    """

    steps: tuple[Step, ...]
    costs: tuple[Tensor, ...]
    exact: bool

    @property
    def edges(self) -> int:
        """Transitions of the graph."""
        return sum(step.edges for step in self.steps)


@dataclass(frozen=True, eq=False)
class _States:
    """`S` states: their modes, `S`, keys, and the least and largest exact sums, `S x m` each."""

    mode: _Integers
    key: _Integers
    low: _Floats
    high: _Floats


class _TooLargeError(Exception):
    """A graph has more transitions than allowed."""


def spending(
    decisions: Decisions, window: Window, limit: int, *, nominal: bool = False
) -> Spending | None:
    """Return the graph, of at most `limit` transitions; None if nothing keeps to the window.

    Args:
        decisions: of a law.
        window: what may be spent.
        limit: transitions of the graph, at most; intervals of sums are as fine as it allows.
        nominal: leave out end states most of whose sums are not in the window, so that what is
            missing makes up for what is too much.
    """
    unit = quantum = _quantum(decisions)
    letters = sum(layer.to.size for layer in decisions.layers)
    limit = max(limit, letters)
    bins = max((limit / letters) ** (1 / len(quantum)), 2.0)
    while True:
        try:
            return _build(decisions, window, unit, limit, nominal)
        except _TooLargeError:
            unit = np.maximum(_band(decisions, window) / bins, quantum)
            bins /= COARSER


def _quantum(decisions: Decisions) -> _Floats:
    """Return what tells sums apart, for each cost: one for whole numbers, hardly any for reals."""
    costs = [layer.cost.reshape(-1, layer.cost.shape[2]) for layer in decisions.layers]
    terms = np.concatenate(costs)
    largest = np.maximum(np.abs(terms).max(0), np.finfo(float).tiny)
    return np.where((terms == terms.round()).all(0), 1.0, largest * QUANTUM)


def _band(decisions: Decisions, window: Window) -> _Floats:
    """Return how far apart sums can be in one place and still lead into the window, `m`."""
    low, high = decisions.rest()
    least, most = (
        np.stack([pick(t, 0) for t in tables]) for pick, tables in ((np.min, low), (np.max, high))
    )
    spent_low, spent_high = least[0] - least, most[0] - most
    first = np.maximum(spent_low, window.at_least - most)
    last = np.minimum(spent_high, window.at_most - least)
    widest: _Floats = (last - first).max(0)
    return np.where(widest > 0, widest, 1.0)


def _build(
    decisions: Decisions, window: Window, unit: _Floats, limit: int, nominal: bool
) -> Spending | None:
    """Build the graph of sums in intervals of `unit`."""
    low, high = decisions.rest()
    zero = np.zeros((1, len(unit)))
    states = _States(np.zeros(1, int), zero.astype(int), zero, zero)
    modes, tables, edges = [], [], 0
    carried: dict[tuple[int, ...], _Floats] = {}
    for layer, *rest in zip(decisions.layers, low[1:], high[1:], strict=True):
        ticks = _ticks(layer, unit, carried)
        modes.append(states.mode)
        states, to = _follow(states, layer, ticks, rest, window)
        tables.append(to)
        edges += to.size
        if not len(states.mode):
            return None
        if edges > RAW * limit:
            raise _TooLargeError
    inside = (states.low >= window.at_least) & (states.high <= window.at_most)
    middle = (states.low + states.high) / 2
    within = np.all((middle >= window.at_least) & (middle <= window.at_most), axis=1)
    keep = within if nominal and within.any() else np.ones(len(middle), dtype=bool)
    built = _reduced(decisions, modes, tables, keep, bool(inside[keep].all()))
    if built.edges > limit:
        raise _TooLargeError
    return built


def _ticks(layer: Layer, unit: _Floats, carried: dict[tuple[int, ...], _Floats]) -> _Integers:
    """Round costs to multiples of `unit`, `Q x A x m`.

    What rounding has added or taken away is made up for in the next layer of the same form, so
    that errors of layers that cost the same do not pile up.
    """
    wanted = layer.cost + carried.get(layer.cost.shape, 0.0)
    ticks: _Integers = np.round(wanted / unit).astype(np.int64)
    carried[layer.cost.shape] = wanted - ticks * unit
    return ticks


def _follow(
    states: _States, layer: Layer, ticks: _Integers, rest: Sequence[_Floats], window: Window
) -> tuple[_States, _Integers]:
    """Return the states after a layer that can still end in the window, and where letters lead."""
    mode, cost = layer.to[states.mode], layer.cost[states.mode]
    low, high = states.low[:, None] + cost, states.high[:, None] + cost
    kept = (low + rest[0][mode] <= window.at_most) & (high + rest[1][mode] >= window.at_least)
    rows, letters = np.nonzero(kept.all(2) & (mode != DEAD))
    key = states.key[rows] + ticks[states.mode[rows], letters]
    first, inverse = _distinct(mode[rows, letters], key)
    count = len(first)
    least, most = np.full((count, key.shape[1]), np.inf), np.full((count, key.shape[1]), -np.inf)
    np.minimum.at(least, inverse, low[rows, letters])
    np.maximum.at(most, inverse, high[rows, letters])
    to = np.full(mode.shape, DEAD)
    to[rows, letters] = inverse
    return _States(mode[rows, letters][first], key[first], least, most), to


def _distinct(mode: _Integers, key: _Integers) -> tuple[_Integers, _Integers]:
    """Number distinct pairs of mode and key; return one of each, and the number of all."""
    code = _numbers(mode)
    for column in key.T:
        own = _numbers(column)
        code = _numbers(code * (own.max(initial=0) + 1) + own)
    chosen = np.zeros(code.max(initial=-1) + 1, dtype=np.int64)
    chosen[code] = np.arange(len(code))
    return chosen, code


def _numbers(values: _Integers) -> _Integers:
    """Number distinct integers from 0, in their order."""
    if not len(values):
        return values
    offset = values - values.min()
    span = int(offset.max()) + 1
    if span > DENSE * len(values):
        inverse: _Integers = np.unique(values, return_inverse=True)[1]
        return inverse
    present = np.zeros(span, dtype=np.int64)
    present[offset] = 1
    numbers: _Integers = (present.cumsum() - 1)[offset]
    return numbers


def _reduced(
    decisions: Decisions,
    modes: list[_Integers],
    tables: list[_Integers],
    keep: NDArray[np.bool_],
    exact: bool,
) -> Spending:
    """Leave out what leads nowhere, and merge states of a mode from which the same follows."""
    number = np.append(np.where(keep, 0, DEAD), DEAD)
    steps, costs = [], []
    for layer, mode, table in zip(decisions.layers[::-1], modes[::-1], tables[::-1], strict=True):
        to = number[table]
        alive = (to != DEAD).any(1)
        rows = np.concatenate([mode[:, None], to], 1)[alive]
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        number = np.full(len(table) + 1, DEAD)
        number[:-1][alive] = inverse.reshape(-1)
        to, cost = to[alive][first], layer.cost[mode[alive][first]]
        used = (to != DEAD).any(0)
        steps.append(Step(torch.tensor(layer.letters[used]), torch.tensor(to[:, used])))
        costs.append(torch.tensor(cost[:, used]))
    return Spending(tuple(steps[::-1]), tuple(costs[::-1]), exact)
