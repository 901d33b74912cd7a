"""Components as unions of products: the parts are what their first decisions let exist.

A component's first decisions, on which all else in it depends, are enumerated: each assignment, up
to values that allow the same, is a part of a union. What they leave to decide falls into
independent factors, such as the layers of a network.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import AtomBlock, Factor, UnionBlock
from naslib_diffusion.spaces.declared_coding import Coding, Component, CostOf, connected
from naslib_diffusion.spaces.layout import Decision
from naslib_diffusion.spaces.layout_nodes import ABSENT, Guards

MAX_PARTS = 4096
"""Parts of a union."""
MAX_JOINT = 4096
"""Joint values of decisions that depend on each other below the first ones."""


@dataclass(frozen=True, eq=False)
class Choice:
    """Some decisions of a component, and the codes that they can jointly have, `K x m`."""

    decisions: tuple[int, ...]
    codes: Tensor


class Union(Component):
    """Decisions whose law is a union of products.

    Args:
        coding: of the decisions.
        members: the decisions.
        choices: what the parts are made of.
        parts: the choices of each part, by number.
    """

    def __init__(
        self,
        coding: Coding,
        members: tuple[int, ...],
        choices: Sequence[Choice],
        parts: tuple[tuple[int, ...], ...],
    ) -> None:
        self.decisions, self._choices, self._parts = members, choices, parts
        self.size = sum(math.prod(len(choices[i].codes) for i in part) for part in parts)
        start = coding.columns[members[0]].start
        factors = tuple(_factor(coding, choice, start) for choice in choices)
        self._union = UnionBlock(start, factors, parts)
        alone = len(factors) == 1 and factors[0].weights is None
        self.block = AtomBlock(start, factors[0].atoms) if alone else self._union
        self.columns = self._union.columns
        self._places = [[members.index(d) for d in choice.decisions] for choice in choices]
        values = [
            (f.columns, _bytes(f.atoms), _bytes(c.codes))
            for f, c in zip(factors, choices, strict=True)
        ]
        self.form = parts, tuple(values), tuple(map(tuple, self._places))
        self._has = torch.zeros(len(parts), len(choices), dtype=torch.bool)
        for i, part in enumerate(parts):
            self._has[i, list(part)] = True

    def decode(self, x: Tensor) -> Tensor:
        """Find the nearest value of the union."""
        own, atoms = self._union.choose(x)
        codes = torch.empty(len(x), len(self.decisions), dtype=torch.long)
        for choice, places, chosen, has in zip(
            self._choices, self._places, atoms, self._has.T, strict=True
        ):
            rows = has[own].nonzero()
            codes[rows, places] = choice.codes[chosen[rows[:, 0]]]
        return codes

    def terms(self, cost: CostOf) -> list[list[Tensor]]:
        """Return what each atom of each factor of each part costs."""
        own = [
            torch.stack([cost(d, c.codes[:, i]) for i, d in enumerate(c.decisions)]).sum(0)
            for c in self._choices
        ]
        return [[own[i] for i in part] for part in self._parts]


def _bytes(values: Tensor) -> tuple[object, ...]:
    return tuple(values.shape), values.numpy().tobytes()


def _factor(coding: Coding, choice: Choice, start: int) -> Factor:
    columns = tuple(column - start for column in coding.columns_of(choice.decisions))
    weights = coding.weigh(choice.decisions, choice.codes)
    alike = bool((weights == 1).all())
    atoms = coding.encode(choice.decisions, choice.codes)
    return Factor(columns, atoms, None if alike else weights)


def union_of(coding: Coding, members: tuple[int, ...]) -> Union | None:
    """Enumerate the parts of a component; return None if there are too many."""
    decisions = coding.decisions
    first = [d for d in members if not decisions[d].guards]
    classes = {d: _classes(decisions, d, members) for d in first}
    if math.prod(len(own) for own in classes.values()) > MAX_PARTS:
        return None
    rest = [d for d in members if d not in first]
    groups = connected(rest, [[d, *decisions[d].guards] for d in rest])
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
                    return None
                number((group, allowed), group, torch.tensor(joint))
            part.append(known[group, allowed])
        parts.append(tuple(part))
    return Union(coding, members, choices, tuple(parts))


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
