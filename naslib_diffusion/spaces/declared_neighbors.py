"""Architectures of a declared space that differ in one decision, and in what comes with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from naslib_diffusion.spaces.declared_law import Law
from naslib_diffusion.spaces.layout_nodes import holds

FILLS = 3
"""Neighbours by a decision that brings others into being, whose values are drawn."""
CHANCE = 0.1
"""How much chance has to say where several architectures are about as near."""
ALL_MOVES = 10
"""Discrete decisions of up to so many values have all others as neighbours."""

Codes = tuple[Any, ...]


def neighbors(law: Law, codes: Codes, generator: torch.Generator | None) -> list[Codes]:
    """Return the codes of neighbours; see `DeclaredSpace.neighbors`."""
    near: dict[Codes, None] = {}
    astray: list[tuple[int, Codes]] = []
    for d, code in enumerate(codes):
        if code != law.decisions[d].absent:
            for other in _moves(law, d, code, generator):
                for own in _changed(law, codes, d, other, generator):
                    if law.breaks(own):
                        astray.append((d, own))
                    else:
                        near[own] = None
    near.update(dict.fromkeys(_led_back(law, astray, generator)))
    near.pop(codes, None)
    return list(near)


def _moves(law: Law, number: int, code: Any, generator: torch.Generator | None) -> list[Any]:
    decision = law.decisions[number]
    parameter = decision.parameter
    if not decision.discrete:
        return parameter.moves(code, generator)
    count = parameter.count or 0
    if count <= ALL_MOVES or parameter.width > 1:
        return [other for other in range(count) if other != code]
    values = list(parameter.values or ())
    return [values.index(value) for value in parameter.moves(values[code], generator)]


def _changed(
    law: Law, codes: Codes, number: int, code: Any, generator: torch.Generator | None
) -> Iterator[Codes]:
    """Yield architectures in which one decision has another code."""
    for _ in range(FILLS):
        own, filled = [*codes[:number], code, *codes[number + 1 :]], False
        for d in range(number + 1, len(own)):
            decision = law.decisions[d]
            if not holds(decision.guards, own):
                own[d] = decision.absent
            elif own[d] == decision.absent:
                own[d], filled = _drawn(law, d, generator), True
        yield tuple(own)
        if not filled:
            return


def _drawn(law: Law, number: int, generator: torch.Generator | None) -> Any:
    decision = law.decisions[number]
    if decision.discrete:
        return int(torch.randint(decision.parameter.count or 1, (), generator=generator))
    return decision.parameter.draw(torch.rand(1, generator=generator).double())[0]


def _led_back(
    law: Law, astray: Sequence[tuple[int, Codes]], generator: torch.Generator | None
) -> list[Codes]:
    """Return the nearest codes that keep to the rules of wirings and to one decision each.

    Of several that are as near, chance decides, `FILLS` times.
    """
    if not astray:
        return []
    x = law.encode([codes for _, codes in astray])
    for row, (d, _) in zip(x, astray, strict=True):
        row[list(law.columns[d])] *= len(law.decisions)
    x = x.repeat(FILLS, 1)
    columns = list(law.coding.columns_of(law.discrete))
    x[:, columns] += CHANCE * torch.rand(len(x), len(columns), generator=generator).double()
    return law.decode(x)
