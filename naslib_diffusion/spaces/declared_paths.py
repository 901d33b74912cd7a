"""Components as paths of a graph: wirings, and conditions of too many combinations for a union.

Decisions are made in order. What those before tell of those to come is a state: which conditions
have failed, and what the edges of a wiring are like so far. States from which the same follows are
one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naslib_diffusion.spaces.declared_coding import Coding, Component, CostOf
from naslib_diffusion.spaces.layout_nodes import ABSENT
from naslib_diffusion.spaces.paths import DEAD, PathBlock, Step
from naslib_diffusion.spaces.wired import Sight, Wired

MAX_TRANSITIONS = 2**16
"""Transitions that are looked at; with more of them there is no graph."""

_Integers = NDArray[np.int64]
_State = tuple[frozenset[int], Sight]
"""Which conditions have failed, by number, of those that matter yet; and a wiring's edges."""


class Paths(Component):
    """Decisions whose law is the paths of a graph, with a step for each decision.

    Args:
        coding: of the decisions.
        members: the decisions.
        steps: for each of them the codes that it can have, `A`, and where these lead, `S x A`.
    """

    def __init__(
        self,
        coding: Coding,
        members: tuple[int, ...],
        steps: Sequence[tuple[_Integers, _Integers]],
    ) -> None:
        self.decisions = members
        self._codes = [torch.from_numpy(codes) for codes, _ in steps]
        columns = coding.columns_of(members)
        place = {column: i for i, column in enumerate(columns)}
        letters, weights, graph, first = [], [], [], 0
        for d, codes, (_, to) in zip(members, self._codes, steps, strict=True):
            own = torch.zeros(len(codes), len(columns), dtype=torch.double)
            own[:, [place[c] for c in coding.columns[d]]] = coding.encode([d], codes[:, None])
            letters.append(own)
            weights.append(coding.weigh([d], codes[:, None]))
            graph.append(Step(torch.arange(first, first + len(codes)), torch.from_numpy(to)))
            first += len(codes)
        likely = torch.cat(weights)
        self.block = self._paths = PathBlock(
            columns[0],
            tuple(column - columns[0] for column in columns),
            torch.cat(letters),
            tuple(graph),
            None if bool((likely == 1).all()) else likely,
        )
        self.size = self._paths.count
        self.columns, self.form = columns, id(self)

    def decode(self, x: Tensor) -> Tensor:
        """Find the nearest path."""
        steps = zip(self._codes, self._paths.choose(x).unbind(1), strict=True)
        return torch.stack([codes[letter] for codes, letter in steps], 1)

    def terms(self, cost: CostOf) -> list[list[Tensor]]:
        """Return what each letter of each step costs."""
        steps = zip(self.decisions, self._codes, strict=True)
        return [[cost(d, codes) for d, codes in steps]]


def paths_of(coding: Coding, members: tuple[int, ...], wirings: Sequence[Wired]) -> Paths | None:
    """Follow all that decisions can tell of those to come; return None if that is too much."""
    walk = _Walk(coding, members, wirings)
    layers: list[tuple[_Integers, _Integers]] = []
    states: dict[_State, int] = {(frozenset(), Sight()): 0}
    seen = 0
    for d in members:
        codes = [*range(len(coding.rows[d]) - 1), ABSENT]
        seen += len(states) * len(codes)
        if seen > MAX_TRANSITIONS:
            return None
        after: dict[_State, int] = {}
        to = np.full((len(states), len(codes)), DEAD)
        for state, row in states.items():
            for letter, code in enumerate(codes):
                reached = walk.next(state, d, code)
                if reached is not None:
                    to[row, letter] = after.setdefault(reached, len(after))
        layers.append((np.array(codes), to))
        states = after
    return Paths(coding, members, _reduced(layers))


class _Walk:
    """What decisions tell of those to come."""

    def __init__(self, coding: Coding, members: tuple[int, ...], wirings: Sequence[Wired]) -> None:
        numbers: dict[object, int] = {}
        self._needs: dict[int, int] = {}  # the condition of each decision that has one
        self._by: dict[int, list[tuple[int, frozenset[int]]]] = {d: [] for d in members}
        self._until: dict[int, int] = {}  # up to which decision each condition matters
        for d in members:
            guards = coding.decisions[d].guards
            if not guards:
                continue
            number = numbers.setdefault(frozenset(guards.items()), len(numbers))
            if number not in self._until:
                for other, allowed in guards.items():
                    self._by[other].append((number, allowed))
            self._needs[d], self._until[number] = number, d
        self._wired = {d: (own, pair) for own in wirings for d, pair in own.decides.items()}
        self._last = {max(own.decides) for own in wirings}

    def next(self, state: _State, d: int, code: int) -> _State | None:
        """Return what a code of a decision leads to; None if it is not possible."""
        failed, sight = state
        if (code == ABSENT) != (self._needs.get(d) in failed):
            return None
        if d in self._wired:
            own, pair = self._wired[d]
            followed = own.follow(sight, pair, code)
            if followed is None or (d in self._last and not own.ends(followed)):
                return None
            sight = Sight() if d in self._last else followed
        new = [number for number, allowed in self._by[d] if code not in allowed]
        left = frozenset(n for n in failed.union(new) if self._until[n] > d)
        return left, sight


def _reduced(layers: Sequence[tuple[_Integers, _Integers]]) -> list[tuple[_Integers, _Integers]]:
    """Leave out what leads nowhere, and merge states from which the same follows."""
    number = np.append(np.zeros(1 + int(layers[-1][1].max()), dtype=np.int64), DEAD)
    steps = []
    for codes, table in reversed(layers):
        to = number[table]
        alive = (to != DEAD).any(1)
        rows, inverse = np.unique(to[alive], axis=0, return_inverse=True)
        number = np.full(len(table) + 1, DEAD)
        number[:-1][alive] = inverse.reshape(-1)
        used = (rows != DEAD).any(0)
        steps.append((codes[used], rows[:, used]))
    return steps[::-1]
