"""The law of a declared space as exact blocks, and codes of decisions as tensors and back.

Decisions that depend on each other, by whatever chain, make one component, and others are
independent. A component's first decisions, on which all else in it depends, are enumerated: each
assignment, up to values that allow the same, is a part of a union. What they leave to decide falls
into independent factors, such as the layers of a network.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import AtomBlock, Block, Factor, UniformBlock, UnionBlock
from naslib_diffusion.spaces.layout import Decision
from naslib_diffusion.spaces.layout_nodes import ABSENT, Guards
from naslib_diffusion.spaces.parameters import Categorical

MAX_PARTS = 4096
"""Parts of a component; with more of them the law has no closed form here."""
MAX_JOINT = 4096
"""Joint values of decisions that depend on each other below the first ones; likewise."""
NOWHERE = 0.5
"""Coordinate of a number that does not exist in an architecture."""


@dataclass(frozen=True, eq=False)
class Choice:
    """Some decisions of a component, and the codes that they can jointly have, `K x m`."""

    decisions: tuple[int, ...]
    codes: Tensor


@dataclass(frozen=True, eq=False)
class Component:
    """Decisions that depend on each other.

    Attributes:
        decisions: their numbers, in order.
        choices: what the parts are made of.
        parts: the choices of each part, by number; none if there are too many.
    """

    decisions: tuple[int, ...]
    choices: tuple[Choice, ...]
    parts: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Number of values."""
        return sum(math.prod(len(self.choices[i].codes) for i in part) for part in self.parts)


class Law:
    """The uniform law over the architectures of a layout.

    Args:
        decisions: in order; each depends on earlier ones only.

    Attributes:
        columns: where each decision is in an encoding.
        components: of the discrete decisions.
    """

    def __init__(self, decisions: Sequence[Decision]) -> None:
        self.decisions = decisions
        self.discrete = [i for i, decision in enumerate(decisions) if decision.discrete]
        self.numbers = [i for i, decision in enumerate(decisions) if not decision.discrete]
        guards = [decision.guards for decision in decisions]
        self.components = [
            _component(decisions, members) for members in _connected(self.discrete, guards)
        ]
        order = [d for component in self.components for d in component.decisions] + self.numbers
        widths = [decisions[d].parameter.width for d in order]
        ends = itertools.accumulate(widths, initial=0)
        starts = dict(zip(order, ends, strict=False))
        self.columns = [
            range(starts[i], starts[i] + decision.parameter.width)
            for i, decision in enumerate(decisions)
        ]
        self.width = sum(widths)
        self.rows = {i: _rows(decisions[i]) for i in self.discrete}
        """Encodings of each code of a discrete decision, the last one of `ABSENT`."""
        self._unions = {own: self._union(own) for own in self.components if own.parts}

    @property
    def size(self) -> int | None:
        """Number of architectures; an upper bound if the law has no closed form."""
        if self.numbers:
            return None
        total = 1
        for component in self.components:
            total *= component.size or math.prod(
                len(self.rows[d]) - 1 for d in component.decisions
            )
        return total

    @property
    def blocks(self) -> list[Block] | None:
        """The law in blocks; None if a component has too many parts."""
        if not all(component.parts for component in self.components):
            return None
        numbers = [UniformBlock(self.columns[i].start) for i in self.numbers]
        return [*map(self._block, self.components), *numbers]

    def _block(self, component: Component) -> Block:
        union = self._unions[component]
        alone = len(union.factors) == 1 and union.factors[0].weights is None
        return AtomBlock(union.start, union.factors[0].atoms) if alone else union

    def _union(self, component: Component) -> UnionBlock:
        start = self.columns[component.decisions[0]].start
        factors = tuple(
            Factor(
                tuple(c - start for d in choice.decisions for c in self.columns[d]),
                self.atoms(choice),
                self._weights(choice),
            )
            for choice in component.choices
        )
        return UnionBlock(start, factors, component.parts)

    def atoms(self, choice: Choice) -> Tensor:
        """Return the encodings of a choice, `K x w`."""
        columns = [self.rows[d][choice.codes[:, i]] for i, d in enumerate(choice.decisions)]
        return torch.cat(columns, 1)

    def _weights(self, choice: Choice) -> Tensor | None:
        """Return how likely the values of a choice are, `K`; None if all are as likely.

        A number that exists under a condition counts as one value, however fine its grid is, as a
        continuum does; otherwise hardly any architecture would be without it.
        """
        weights = torch.ones(len(choice.codes), dtype=torch.double)
        for i, d in enumerate(choice.decisions):
            decision = self.decisions[d]
            if decision.guards and not isinstance(decision.parameter, Categorical):
                weights[choice.codes[:, i] != ABSENT] /= decision.parameter.count or 1
        return None if bool((weights == 1).all()) else weights

    def encode(self, codes: Tensor, x: Tensor) -> None:
        """Write the codes of the discrete decisions, `B x n`, into encodings, `B x D`."""
        for place, d in enumerate(self.discrete):
            x[:, list(self.columns[d])] = self.rows[d][codes[:, place]]

    def decode(self, x: Tensor) -> Tensor:
        """Return the codes of the discrete decisions, `B x n`, nearest to `B x D`."""
        codes = torch.full((len(x), len(self.decisions)), ABSENT)
        for component in self.components:
            if component.parts:
                self._nearest(component, x, codes)
            else:
                self._one_by_one(component, x, codes)
        return codes[:, self.discrete]

    def _nearest(self, component: Component, x: Tensor, codes: Tensor) -> None:
        union = self._unions[component]
        own, atoms = union.choose(x[:, list(union.columns)])
        for i, part in enumerate(component.parts):
            rows = (own == i).nonzero()[:, 0]
            for k in part:
                choice = component.choices[k]
                codes[rows[:, None], list(choice.decisions)] = choice.codes[atoms[k][rows]]

    def _one_by_one(self, component: Component, x: Tensor, codes: Tensor) -> None:
        """Decide in order, each decision by itself where those before it let it exist."""
        for d in component.decisions:
            atoms = self.rows[d][:-1]
            squares = atoms.square().sum(1) - 2 * x[:, list(self.columns[d])] @ atoms.mT
            there = self._there(self.decisions[d].guards, codes)
            codes[:, d] = squares.argmin(1).where(there, ABSENT)

    @staticmethod
    def _there(guards: Guards, codes: Tensor) -> Tensor:
        """Whether guards hold, by the codes of all decisions, `B x n` to `B`."""
        there = torch.ones(len(codes), dtype=torch.bool)
        for number, allowed in guards.items():
            there &= torch.isin(codes[:, number], torch.tensor(sorted(allowed)))
        return there


def _rows(decision: Decision) -> Tensor:
    atoms = decision.parameter.atoms
    assert atoms is not None
    return torch.cat([atoms, torch.zeros_like(atoms[:1])])


def _connected(members: Sequence[int], guards: Sequence[Guards]) -> list[tuple[int, ...]]:
    """Return the sets of `members` that depend on each other, each and all in order."""
    root = {d: d for d in members}

    def find(d: int) -> int:
        while root[d] != d:
            root[d] = d = root[root[d]]
        return d

    for d in members:
        for other in guards[d]:
            if other in root:
                a, b = sorted((find(d), find(other)))
                root[b] = a
    sets: dict[int, list[int]] = {}
    for d in members:
        sets.setdefault(find(d), []).append(d)
    return [tuple(own) for own in sets.values()]


def _component(decisions: Sequence[Decision], members: tuple[int, ...]) -> Component:
    """Enumerate the parts of a component."""
    first = [d for d in members if not decisions[d].guards]
    classes = {d: _classes(decisions, d, members) for d in first}
    if math.prod(len(own) for own in classes.values()) > MAX_PARTS:
        return Component(members, (), ())
    rest = [d for d in members if d not in first]
    guards = [{k: v for k, v in d.guards.items() if k in rest} for d in decisions]
    groups = _connected(rest, guards)
    known: dict[object, int] = {}
    choices: list[Choice] = []

    def number(key: object, own: tuple[int, ...], codes: Tensor) -> int:
        if key not in known:
            known[key] = len(choices)
            choices.append(Choice(own, codes))
        return known[key]

    parts = []
    for assigned in itertools.product(*(classes[d] for d in first)):
        part = [number((d, own), (d,), torch.tensor(own)[:, None])
                for d, own in zip(first, assigned, strict=True)]  # fmt: skip
        codes = dict.fromkeys(members, ABSENT)
        codes |= {d: own[0] for d, own in zip(first, assigned, strict=True)}
        for group in groups:
            allowed = tuple(_allowed(decisions[d].guards, codes, first) for d in group)
            if (group, allowed) not in known:
                joint = list(itertools.islice(_joint(decisions, group, codes), MAX_JOINT + 1))
                if len(joint) > MAX_JOINT:
                    return Component(members, (), ())
                number((group, allowed), group, torch.tensor(joint))
            part.append(known[group, allowed])
        parts.append(tuple(part))
    return Component(members, tuple(choices), tuple(parts))


def _classes(
    decisions: Sequence[Decision], number: int, members: Sequence[int]
) -> list[tuple[int, ...]]:
    """Group the codes of a decision by which of `members` they let exist."""
    guarded = [decisions[d].guards[number] for d in members if number in decisions[d].guards]
    count = decisions[number].parameter.count or 0
    groups: dict[tuple[bool, ...], list[int]] = {}
    for code in range(count):
        groups.setdefault(tuple(code in own for own in guarded), []).append(code)
    return [tuple(own) for own in groups.values()]


def _allowed(guards: Guards, codes: dict[int, int], first: Sequence[int]) -> bool:
    return all(codes[d] in own for d, own in guards.items() if d in first)


def _joint(
    decisions: Sequence[Decision], group: tuple[int, ...], codes: dict[int, int]
) -> Iterator[tuple[int, ...]]:
    """Yield all codes of a group, given those of the decisions on which it depends."""
    if not group:
        yield ()
        return
    d, rest = group[0], group[1:]
    there = all(codes[k] in own for k, own in decisions[d].guards.items())
    for code in range(decisions[d].parameter.count or 0) if there else (ABSENT,):
        for tail in _joint(decisions, rest, {**codes, d: code}):
            yield (code, *tail)
