"""Constraints on candidates as BoTorch's users write them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from botorch.exceptions.errors import InputDataError, UnsupportedError
from torch import Tensor

Rule = Callable[[Tensor], Tensor]
"""Maps candidates, `n x d`, to `n` booleans, or to numbers, met where they are not negative."""
Linear = tuple[Tensor | Sequence[int], Tensor | Sequence[float], float]
"""(indices, coefficients, rhs): `sum_i X[indices[i]] * coefficients[i] >= rhs`. Two of opposite
signs are an equality."""
Nonlinear = tuple[Rule, bool]
"""(function, True): maps one candidate, `d`, to a number, met where it is not negative."""
Constraint = Rule | Sequence[Linear | Nonlinear | Rule]
"""One rule, or constraints as `optimize_acqf` takes them, all of which are to be met."""

FORMS = (
    "allowed are a function of n x d, and lists of tuples (indices, coefficients, rhs) or "
    "(function of d, True)"
)


def slack_of(constraint: Constraint | None, width: int, dtype: torch.dtype) -> Rule | None:
    """Return how far candidates, `n x d`, are from breaking constraints: `n x M`, or None.

    It is negative where one is broken. An equality is never more than zero.

    Args:
        constraint: see `optimize_acqf_diffusion`.
        width: number of columns, d.
        dtype: of what a user's function is given.

    Raises:
        InputDataError: if a constraint has no form that is known, or does not fit the columns.
        UnsupportedError: if it is one between several candidates.
    """
    rules: list[Rule] = []
    matrix: list[Tensor] = []
    for i, item in enumerate(_listed(constraint)):
        if callable(item):
            rules.append(_whole(item, dtype))
        elif _is_tuple(item, 2) and callable(item[0]):
            rules.append(_single(item, i, dtype))
        elif _is_tuple(item, 3):
            matrix.append(_row(item, i, width))
        else:
            raise InputDataError(f"constraint {i} is {type(item).__name__}; {FORMS}")
    if matrix:
        rules.insert(0, _planes(torch.stack(matrix)))
    if not rules:
        return None
    return lambda x: _defined(torch.cat([rule(x) for rule in rules], 1), x)


def _defined(slack: Tensor, x: Tensor) -> Tensor:
    """Return the slack, `n x M`; raises InputDataError if it is NaN at one of the candidates."""
    undefined = slack.isnan()
    if bool(undefined.any()):
        at = x[undefined.any(1)][0].tolist()
        raise InputDataError(
            f"constraint is NaN at {at}; allowed are booleans and numbers, negative where broken"
        )
    return slack


def _listed(constraint: Any) -> list[Any]:
    """Return constraints as a list; one tuple is one of them."""
    if constraint is None:
        return []
    if callable(constraint) or (_is_tuple(constraint, 2) and callable(constraint[0])):
        return [constraint]
    if _is_tuple(constraint, 3) and not callable(constraint[0]) and not _is_tuple(constraint[0]):
        return [constraint]
    if not isinstance(constraint, (list, tuple)):
        raise InputDataError(f"constraint is {type(constraint).__name__}; {FORMS}")
    return list(constraint)


def _is_tuple(item: Any, *lengths: int) -> bool:
    return isinstance(item, tuple) and len(item) in (lengths or (2, 3))


def _whole(function: Rule, dtype: torch.dtype) -> Rule:
    """Check what a function of `n x d` returns, `n x 1`; booleans become 0 and -1."""

    def rule(x: Tensor) -> Tensor:
        value = function(x.to(dtype, copy=True))  # which it may change
        if not isinstance(value, Tensor) or value.shape != x.shape[:1]:
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"constraint must map {tuple(x.shape)} to ({len(x)},), not to {shape}"
            )
        return _number(value).unsqueeze(1)

    return rule


def _single(item: Nonlinear, number: int, dtype: torch.dtype) -> Rule:
    """Apply a function of one candidate to each."""
    function, within = item
    if not within:
        raise UnsupportedError(
            f"constraint {number} is between the candidates of a batch; only constraints on each "
            "of them, (function of d, True), are supported"
        )

    def rule(x: Tensor) -> Tensor:
        values = [torch.as_tensor(function(row)) for row in x.to(dtype, copy=True)]
        if any(value.numel() != 1 for value in values):
            raise ValueError(f"constraint {number} must map ({x.shape[1]},) to one number")
        return torch.stack([_number(value.reshape(1)) for value in values])

    return rule


def _number(value: Tensor) -> Tensor:
    return value.double() - 1 if value.dtype == torch.bool else value.double()


def _row(item: Linear, number: int, width: int) -> Tensor:
    """Return the coefficients of all columns and the right side, `d + 1`."""
    try:
        indices = torch.as_tensor(item[0], dtype=torch.long).cpu()
        coefficients = torch.as_tensor(item[1], dtype=torch.double).cpu()
        right = float(item[2])
    except (TypeError, ValueError, RuntimeError):
        raise InputDataError(
            f"constraint {number} must be (indices, coefficients, rhs), not {item!r}"
        ) from None
    if indices.ndim == 2:
        raise UnsupportedError(
            f"constraint {number} is between the candidates of a batch (its indices are "
            "two-dimensional); only constraints on each of them are supported"
        )
    if indices.ndim != 1 or indices.shape != coefficients.shape:
        raise InputDataError(
            f"constraint {number} has indices of shape {tuple(indices.shape)} and coefficients of "
            f"shape {tuple(coefficients.shape)}; both must be vectors of the same length"
        )
    if bool(((indices < 0) | (indices >= width)).any()):
        raise InputDataError(
            f"constraint {number} has indices {indices.tolist()}; columns are 0 ... {width - 1}"
        )
    if not (bool(coefficients.isfinite().all()) and math.isfinite(right)):
        raise InputDataError(
            f"constraint {number} has coefficients {coefficients.tolist()} and right side "
            f"{right}; they must be finite"
        )
    row = torch.zeros(width + 1, dtype=torch.double)
    row[width] = right
    return row.index_add(0, indices, coefficients)


def _planes(matrix: Tensor) -> Rule:
    """Return the slack of `M` linear inequalities, one of each pair that makes an equality."""
    opposite = torch.cdist(matrix, -matrix) <= 1e-9 * matrix.norm(dim=1)
    equal = opposite.any(1)
    first = ~opposite.tril(-1).any(1)
    matrix, equal = matrix[first], equal[first]

    def rule(x: Tensor) -> Tensor:
        here = matrix.to(x.device)
        left = x.double() @ here[:, :-1].T - here[:, -1]
        return torch.where(equal.to(x.device), -left.abs(), left)

    return rule
