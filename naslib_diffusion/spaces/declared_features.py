"""What a surrogate sees of a declared space: levels, counts, presence, and sums over repeats.

All features are linear in encodings. Choices that are all numbers have one level each, by rank,
since what is between two numbers mostly does what is between; others have one-hots.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from naslib_diffusion.spaces.declared_law import Law
from naslib_diffusion.spaces.levels import levels, middle
from naslib_diffusion.spaces.parameters import Categorical, Parameter

PRESENT = 1.5
"""Weight of a decision's presence beside its level."""


def feature_columns(law: Law) -> list[Tensor]:
    """Return the columns of each group of features, `D x K_i`.

    The first has the decisions outside of repeats. Where there are repeats, the second has those
    of each copy, and the third their sums over copies, how they rise from first to last, and how
    many are neither low nor high (see `middle`); both with those outside as well.
    """
    outside, inside = [], []
    sums: dict[str, list[Tensor]] = {}
    may_lack = {decision.declared for decision in law.decisions if decision.guards}
    for columns, decision in zip(law.columns, law.decisions, strict=True):
        own = _placed(
            _levels(decision.parameter, decision.declared in may_lack), columns, law.width
        )
        if decision.place is None:
            outside.append(own)
            continue
        own = own / decision.places**0.5
        inside.append(own)
        trend = 3**0.5 * levels(decision.places)[decision.place] * own
        amid = _placed(_middles(decision.parameter), columns, law.width) / decision.places**0.5
        sums.setdefault(decision.declared, []).append(torch.cat([own, trend, amid], 1))
    if not inside:
        return [torch.cat(outside, 1)]
    totals = [torch.stack(own).sum(0) for own in sums.values()]
    groups = [outside, outside + inside, outside + totals]
    return [torch.cat(group, 1) for group in groups if group]


def _placed(values: Tensor, columns: Sequence[int], width: int) -> Tensor:
    """Return the rows of one decision amid those of the whole law, `width x k`."""
    rows = torch.zeros(width, values.shape[1], dtype=torch.double)
    rows[list(columns)] = values
    return rows


def _levels(parameter: Parameter, may_lack: bool) -> Tensor:
    """Return what the coordinates of a decision stand for, `width x k`."""
    if not isinstance(parameter, Categorical):
        return torch.full((parameter.width, 1), 2.0, dtype=torch.double)
    if not _is_ordered(parameter):
        return torch.eye(parameter.width, dtype=torch.double)
    columns = [_ordered(parameter)]
    if may_lack:
        columns.append(torch.full_like(columns[0], PRESENT))
    return torch.stack(columns, 1)


def _middles(parameter: Parameter) -> Tensor:
    """Return which of ordered choices are in the middle, `width x 1`; `width x 0` for others."""
    if isinstance(parameter, Categorical) and _is_ordered(parameter) and parameter.width > 2:
        return middle(_ordered(parameter))[:, None]
    return torch.zeros(parameter.width, 0, dtype=torch.double)


def _is_ordered(parameter: Categorical) -> bool:
    values = parameter.values or ()
    return len(values) > 1 and all(type(value) in (int, float) for value in values)


def _ordered(parameter: Categorical) -> Tensor:
    """Return the levels of choices that are numbers, from -1 to 1 by rank."""
    numbers = [float(value) for value in parameter.values or () if isinstance(value, int | float)]
    return levels(parameter.width)[torch.tensor(numbers).double().argsort().argsort()]
