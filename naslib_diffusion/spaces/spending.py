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

from naslib_diffusion.spaces.decisions import Decisions, Layer
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
