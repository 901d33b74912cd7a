"""What the values of parameters cost, as users give it."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence

from naslib_diffusion.spaces.parameters import Parameter, Value

ValueCosts = Sequence[float] | Callable[[Value], float] | None
"""What each value of a parameter costs, in their order; a function of the value; or nothing."""
ParameterCosts = Mapping[str, ValueCosts] | Sequence[ValueCosts]
"""By name of the parameter, those that are left out cost nothing; or one for each in order."""


CostTable = dict[Hashable, float]
"""What a value costs, by its key; empty where there are too many to list, which cost nothing."""


def cost_tables(
    costs: Mapping[str, ParameterCosts], names: Sequence[str], parameters: Sequence[Parameter]
) -> dict[str, list[CostTable]]:
    """Return for each cost what the values of each parameter cost.

    Raises:
        ValueError: if a cost does not fit the parameters.
    """
    tables: dict[str, list[CostTable]] = {}
    for cost, given in costs.items():
        if isinstance(given, Mapping):
            unknown = [name for name in given if name not in names]
            if unknown:
                raise ValueError(
                    f"cost {cost!r} is given for {unknown[0]!r}, which is not a parameter; "
                    f"there are: {', '.join(names)}"
                )
            listed = [given.get(name) for name in names]
        else:
            listed = list(given)
        if len(listed) != len(names):
            raise ValueError(
                f"cost {cost!r} is given for {len(listed)} parameters; there are {len(names)}"
            )
        rows = zip(names, parameters, listed, strict=True)
        tables[cost] = [_table(cost, name, parameter, own) for name, parameter, own in rows]
    return tables


def _table(cost: str, name: str, parameter: Parameter, given: ValueCosts) -> CostTable:
    values = parameter.values
    if given is None:
        return dict.fromkeys(range(len(values or ())), 0.0)
    if values is None:
        raise ValueError(
            f"cost {cost!r}: parameter {name!r} has too many values to give each a cost"
        )
    numbers = [float(c) for c in (map(given, values) if callable(given) else given)]
    if len(numbers) != len(values):
        raise ValueError(
            f"cost {cost!r}: parameter {name!r} has {len(values)} values, not {len(numbers)}"
        )
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"cost {cost!r}: parameter {name!r} has a cost that is not finite")
    return dict(enumerate(numbers))
