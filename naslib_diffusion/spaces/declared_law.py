"""The law of a declared space as exact blocks, and codes of decisions as tensors and back.

Decisions that depend on each other, by whatever chain, make one component, and others are
independent. Components are unions of products, or paths of a graph.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from naslib_diffusion.spaces.base import Block, UniformBlock
from naslib_diffusion.spaces.declared_coding import Coding, Component, Loose, connected
from naslib_diffusion.spaces.declared_paths import paths_of
from naslib_diffusion.spaces.declared_unions import union_of
from naslib_diffusion.spaces.layout import Decision
from naslib_diffusion.spaces.layout_nodes import ABSENT, holds
from naslib_diffusion.spaces.paths import PathBlock
from naslib_diffusion.spaces.wired import Wired

NOWHERE = 0.5
"""Coordinate of a number that does not exist in an architecture."""
LISTED = 4096
"""Values of a component with a wiring up to which isomorphic ones are counted once."""


class Law:
    """The uniform law over the architectures of a layout.

    Args:
        decisions: in order; each depends on earlier ones only.
        wirings: which of them make wirings.

    Attributes:
        columns: where each decision is in an encoding.
        components: of the discrete decisions.

    Raises:
        ValueError: if a wiring has too many nodes and edges.
    """

    def __init__(self, decisions: Sequence[Decision], wirings: Sequence[Wired] = ()) -> None:
        discrete = [i for i, decision in enumerate(decisions) if decision.discrete]
        links = [[d, *decisions[d].guards] for d in discrete]
        links += [own.inside for own in wirings]
        sets = connected(discrete, links)
        self.coding = coding = Coding(decisions, sets)
        self.decisions, self.discrete, self.numbers = decisions, discrete, coding.numbers
        self.columns, self.rows, self.width = coding.columns, coding.rows, coding.width
        self.components = [_component(coding, members, wirings) for members in sets]
        self.wirings = wirings
        forms: dict[Hashable, list[Component]] = {}
        for component in self.components:
            forms.setdefault(component.form, []).append(component)
        self._alike = list(forms.values())

    @functools.cached_property
    def size(self) -> int | None:
        """Number of canonical forms; an upper bound if the law has no closed form, or more than
        `LISTED` values in a component with a wiring, of which some are isomorphic."""
        if self.numbers:
            return None
        return math.prod(map(self._forms, self.components))

    def _forms(self, component: Component) -> int:
        if not isinstance(component.block, PathBlock) or component.size > LISTED:
            return component.size
        codes = torch.full((component.size, len(self.decisions)), ABSENT)
        codes[:, list(component.decisions)] = component.decode(component.block.values())
        return len({self.form(own) for own in codes.tolist()})

    def form(self, codes: Sequence[Any]) -> Hashable:
        """Return what the same architectures have in common: codes, numbers up to rounding, and
        isomorphic wirings."""
        keys = list(codes)
        for d in self.numbers:
            if keys[d] is not None:
                keys[d] = self.decisions[d].parameter.key(keys[d])
        if not self.wirings:
            return tuple(keys)
        outside = tuple(keys[d] for d in self._outside)
        return outside, *(wired.form(keys) for wired in self.wirings)

    @functools.cached_property
    def _outside(self) -> list[int]:
        """Decisions that are not of nodes and edges of wirings."""
        inside = {d for wired in self.wirings for d in wired.inside}
        return [d for d in range(len(self.decisions)) if d not in inside]

    @property
    def blocks(self) -> list[Block] | None:
        """The law in blocks; None if a component has none."""
        blocks = [component.block for component in self.components if component.block]
        if len(blocks) < len(self.components):
            return None
        return [*blocks, *(UniformBlock(self.columns[i].start) for i in self.numbers)]

    def encode(self, codes: Sequence[Sequence[Any]]) -> Tensor:
        """Encode the codes of all decisions, `B` of them, as `B x D`."""
        x = torch.full((len(codes), self.width), NOWHERE, dtype=torch.double)
        rows = [[own[d] for d in self.discrete] for own in codes] if self.numbers else codes
        own = np.array(rows, dtype=np.int64).reshape(len(codes), len(self.discrete))
        columns = self.coding.columns_of(self.discrete)
        x[:, list(columns)] = self.coding.encode(self.discrete, torch.from_numpy(own))
        for d in self.numbers:
            there = [i for i, own in enumerate(codes) if own[d] is not None]
            values = [codes[i][d] for i in there]
            x[there, self.columns[d].start] = self.decisions[d].parameter.encode(values)[:, 0]
        return x

    def decode(self, x: Tensor) -> list[tuple[Any, ...]]:
        """Return the codes of all decisions nearest to `B x D`, in double precision."""
        codes = torch.full((len(x), len(self.decisions)), ABSENT)
        for alike in self._alike:  # those of one form at once
            own = alike[0].decode(torch.cat([x[:, list(c.columns)] for c in alike]))
            for component, part in zip(
                alike, own.view(len(alike), len(x), own.shape[1]), strict=True
            ):
                codes[:, list(component.decisions)] = part
        found = codes.numpy().tolist()
        if not self.numbers:
            return list(map(tuple, found))
        columns = ([*self.columns[d]] for d in self.numbers)
        parameters = (self.decisions[d].parameter for d in self.numbers)
        values = [p.decode(x[:, own]) for p, own in zip(parameters, columns, strict=True)]
        return [self._with_numbers(*row) for row in zip(found, *values, strict=True)]

    def _with_numbers(self, codes: list[Any], *numbers: Any) -> tuple[Any, ...]:
        """Add all numbers, needed or not, to discrete codes."""
        for d, value in zip(self.numbers, numbers, strict=True):
            codes[d] = value if holds(self.decisions[d].guards, codes) else None
        return tuple(codes)

    def has(self, codes: Sequence[Any]) -> bool:
        """Whether these are codes of an architecture."""
        if len(codes) != len(self.decisions):
            return False
        try:
            return all(map(self._fits, self.decisions, codes, itertools.repeat(codes))) and (
                not self.breaks(codes)
            )
        except ValueError:
            return False

    @staticmethod
    def _fits(decision: Decision, code: Any, codes: Sequence[Any]) -> bool:
        """Whether a code is one of a decision beside others."""
        if not holds(decision.guards, codes):
            return bool(code == decision.absent)
        if decision.discrete:
            return type(code) is int and 0 <= code < (decision.parameter.count or 0)
        decision.parameter.key(code)
        return True

    def breaks(self, codes: Sequence[Any]) -> bool:
        """Whether a wiring does not keep to its rules."""
        return any(wired.problem(codes) for wired in self.wirings)


def _component(coding: Coding, members: tuple[int, ...], wirings: Sequence[Wired]) -> Component:
    own = [wired for wired in wirings if not set(members).isdisjoint(wired.inside)]
    if not own:
        return union_of(coding, members) or paths_of(coding, members, ()) or Loose(coding, members)
    paths = paths_of(coding, members, own)
    if paths is None:
        raise ValueError(f"{own[0].name} has too many nodes and edges, or depends on too much")
    return paths
