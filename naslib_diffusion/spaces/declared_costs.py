"""Costs of declared spaces: sums over decisions, from numbers or functions of one value each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import Terms
from naslib_diffusion.spaces.declared_law import Law
from naslib_diffusion.spaces.layout import Decision

Costs: TypeAlias = Mapping[str, float | Mapping[Any, float] | Callable[[Any], float]]
"""What the values of each declared decision cost; the empty name is what all have in common."""


class CostTable:
    """What each code of each decision costs.

    Args:
        law: of the space.
        name: of the cost, for messages.
        costs: by declared names.

    Raises:
        ValueError: for a name that was not declared, a value without cost, or a decision that has
            no list of values.
    """

    def __init__(self, law: Law, name: str, costs: Costs) -> None:
        self._law = law
        common = costs.get("", 0.0)
        if not isinstance(common, int | float):
            raise ValueError(f"cost {name!r}: what all have in common must be a number")
        self._common = float(common)
        declared = dict.fromkeys(decision.declared for decision in law.decisions)
        unknown = [key for key in costs if key and key not in declared]
        if unknown:
            raise ValueError(f"cost {name!r}: there is no {unknown[0]!r}; {', '.join(declared)}")
        self._rows: dict[int, Tensor] = {}  # the cost of each code, that of ABSENT last
        for number, decision in enumerate(law.decisions):
            if decision.declared in costs:
                self._rows[number] = _row(decision, costs[decision.declared], name)

    def of(self, codes: Sequence[Any]) -> float:
        """Return the cost of an architecture."""
        return self._common + sum(float(row[codes[d]]) for d, row in self._rows.items())

    def terms(self) -> Terms:
        """Return the terms of the law's blocks; see `Additive`."""
        found: Terms = [component.terms(self._cost) for component in self._law.components]
        found += [[[torch.zeros(1, dtype=torch.double)]] for _ in self._law.numbers]
        for part in found[0]:
            part[0] = part[0] + self._common
        return found

    def _cost(self, number: int, codes: Tensor) -> Tensor:
        row = self._rows.get(number)
        return torch.zeros(len(codes), dtype=torch.double) if row is None else row[codes]


def _row(decision: Decision, costs: Any, name: str) -> Tensor:
    values = decision.parameter.values
    if not decision.discrete or values is None:
        raise ValueError(f"cost {name!r}: {decision.declared} has no list of values")
    try:
        found = [float(costs(v) if callable(costs) else costs[v]) for v in values]
    except KeyError as error:
        raise ValueError(f"cost {name!r}: {decision.declared} lacks {error}") from None
    return torch.tensor([*found, 0.0], dtype=torch.double)
