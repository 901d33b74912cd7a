"""What a surrogate sees of a declared space: levels, counts, presence, and sums over repeats.

All features are linear in encodings. Choices that are all numbers have one level each, by rank,
since what is between two numbers mostly does what is between; others have one-hots.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from naslib_diffusion.spaces.declared_law import Law
from naslib_diffusion.spaces.parameters import Categorical, Parameter

PRESENT = 1.5
"""Weight of a decision's presence beside its level."""


def feature_columns(law: Law) -> list[Tensor]:
    """Return the columns of each group of features, `D x K_i`.

    The first has the decisions outside of repeats. Where there are repeats, the second has those
    of each copy, and the third their sums over copies, and how they rise from first to last; both
    with those outside as well.
    """
    outside, inside = [], []
    sums: dict[str, list[Tensor]] = {}
    may_lack = {decision.declared for decision in law.decisions if decision.guards}
    for columns, decision in zip(law.columns, law.decisions, strict=True):
        levels = _levels(decision.parameter, decision.declared in may_lack)
        own = torch.zeros(law.width, levels.shape[1], dtype=torch.double)
        own[list(columns)] = levels
        if decision.place is None:
            outside.append(own)
            continue
        own = own / decision.places**0.5
        inside.append(own)
        trend = 3**0.5 * _ranks(decision.places)[decision.place] * own
        sums.setdefault(decision.declared, []).append(torch.cat([own, trend], 1))
    if not inside:
        return [torch.cat(outside, 1)]
    totals = [torch.stack(own).sum(0) for own in sums.values()]
    groups = [outside, outside + inside, outside + totals]
    return [torch.cat(group, 1) for group in groups if group]


def _levels(parameter: Parameter, may_lack: bool) -> Tensor:
    """Return what the coordinates of a decision stand for, `width x k`."""
    if not isinstance(parameter, Categorical):
        return torch.full((parameter.width, 1), 2.0, dtype=torch.double)
    if not _is_ordered(parameter):
        return torch.eye(parameter.width, dtype=torch.double)
    order = torch.tensor(_numbers(parameter), dtype=torch.double).argsort().argsort()
    levels = [_ranks(parameter.width)[order]]
    if may_lack:
        levels.append(torch.full_like(levels[0], PRESENT))
    return torch.stack(levels, 1)


def _is_ordered(parameter: Parameter) -> bool:
    values = parameter.values or ()
    return len(values) > 1 and all(type(value) in (int, float) for value in values)


def _numbers(parameter: Parameter) -> Sequence[float]:
    return [float(value) for value in parameter.values or () if isinstance(value, int | float)]


def _ranks(count: int) -> Tensor:
    return torch.linspace(-1, 1, count, dtype=torch.double) if count > 1 else torch.zeros(1)
