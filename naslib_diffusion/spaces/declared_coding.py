"""Decisions as coordinates of encodings, and what a law says of those that belong together."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import Block
from naslib_diffusion.spaces.layout import Decision
from naslib_diffusion.spaces.layout_nodes import ABSENT, Guards
from naslib_diffusion.spaces.parameters import Categorical

CostOf = Callable[[int, Tensor], Tensor]
"""What some codes of a decision, by its number, cost: `K` to `K`."""


class Coding:
    """Where decisions are in an encoding, and how.

    Args:
        decisions: in order; each depends on earlier ones only.
        sets: numbers of discrete decisions that belong together, in the order of encodings.

    Attributes:
        columns: where each decision is.
        rows: encodings of each code of a discrete decision, the last one of `ABSENT`.
    """

    def __init__(self, decisions: Sequence[Decision], sets: Sequence[Sequence[int]]) -> None:
        self.decisions = decisions
        self.discrete = [i for i, decision in enumerate(decisions) if decision.discrete]
        self.numbers = [i for i, decision in enumerate(decisions) if not decision.discrete]
        order = [*itertools.chain(*sets), *self.numbers]
        widths = [decisions[d].parameter.width for d in order]
        starts = dict(zip(order, itertools.accumulate(widths, initial=0), strict=False))
        self.columns = [
            range(starts[i], starts[i] + decision.parameter.width)
            for i, decision in enumerate(decisions)
        ]
        self.width = sum(widths)
        self.rows = {i: _rows(decisions[i]) for i in self.discrete}

    def columns_of(self, members: Sequence[int]) -> tuple[int, ...]:
        """Return where some decisions are."""
        return tuple(column for d in members for column in self.columns[d])

    def encode(self, members: Sequence[int], codes: Tensor) -> Tensor:
        """Encode the codes of some discrete decisions, `K x m`, `K x w`."""
        none = torch.zeros(len(codes), 0, dtype=torch.double)
        own = [self.rows[d][codes[:, i]] for i, d in enumerate(members)]
        return torch.cat([none, *own], 1)

    def weigh(self, members: Sequence[int], codes: Tensor) -> Tensor:
        """Return how likely codes are, `K x m` to `K`.

        A number that exists under a condition counts as one value, however fine its grid is, as a
        continuum does; otherwise hardly any architecture would be without it.
        """
        weights = torch.ones(len(codes), dtype=torch.double)
        for i, d in enumerate(members):
            decision = self.decisions[d]
            if decision.guards and not isinstance(decision.parameter, Categorical):
                weights[codes[:, i] != ABSENT] /= decision.parameter.count or 1
        return weights


def _rows(decision: Decision) -> Tensor:
    atoms = decision.parameter.atoms
    assert atoms is not None
    return torch.cat([atoms, torch.zeros_like(atoms[:1])])


class Component(ABC):
    """Discrete decisions that depend on each other.

    Attributes:
        decisions: their numbers, in order.
        size: number of values, or an upper bound of it.
        block: their law; None if it has no closed form here.
        columns: where they are in an encoding.
        form: components of equal form differ in their place only.
    """

    decisions: tuple[int, ...]
    size: int
    block: Block | None
    columns: tuple[int, ...]
    form: Hashable

    @abstractmethod
    def decode(self, x: Tensor) -> Tensor:
        """Return the codes of its decisions, `B x m`, nearest to its coordinates, `B x w`."""

    @abstractmethod
    def terms(self, cost: CostOf) -> list[list[Tensor]]:
        """Return what each part, each factor, each atom of the block costs; see `Terms`."""


class Loose(Component):
    """Decisions of which nothing is known but which may exist beside which."""

    def __init__(self, coding: Coding, members: tuple[int, ...]) -> None:
        self._coding, self.decisions, self.block = coding, members, None
        self.columns, self.form = coding.columns_of(members), id(self)
        self.size = math.prod(len(coding.rows[d]) - 1 for d in members)

    def decode(self, x: Tensor) -> Tensor:
        """Decide in order, each decision by itself where those before it let it exist."""
        codes: dict[int, Tensor] = {}
        for d in self.decisions:
            atoms = self._coding.rows[d][:-1]
            here = x[:, [self.columns.index(column) for column in self._coding.columns[d]]]
            squares = atoms.square().sum(1) - 2 * here @ atoms.mT
            there = _there(self._coding.decisions[d].guards, codes, len(x))
            codes[d] = squares.argmin(1).where(there, ABSENT)
        return torch.stack([codes[d] for d in self.decisions], 1)

    def terms(self, cost: CostOf) -> list[list[Tensor]]:
        """Raise NotImplementedError: a space with loose decisions has no blocks to give costs."""
        raise NotImplementedError


def _there(guards: Guards, codes: Mapping[int, Tensor], count: int) -> Tensor:
    """Whether guards hold, by the codes of decisions, `B` each, to `B`."""
    there = torch.ones(count, dtype=torch.bool)
    for number, allowed in guards.items():
        there &= torch.isin(codes[number], torch.tensor(sorted(allowed)))
    return there


def connected(members: Sequence[int], links: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Return the sets of `members` that links join, each and all in order."""
    root = {d: d for d in members}

    def find(d: int) -> int:
        while root[d] != d:
            root[d] = d = root[root[d]]
        return d

    for link in links:
        own = [d for d in link if d in root]
        for other in own[1:]:
            a, b = sorted((find(own[0]), find(other)))
            root[b] = a
    sets: dict[int, list[int]] = {}
    for d in members:
        sets.setdefault(find(d), []).append(d)
    return [tuple(own) for own in sets.values()]
