"""Ascent along the continuous coordinates of encodings, many starts at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.optimize import minimize
from torch import Tensor

from naslib_diffusion.optimize.quasi_newton import minimize_rows
from naslib_diffusion.optimize.region import Region
from naslib_diffusion.optimize.scores import Scores

Array = NDArray[np.float64]
Objective = Callable[[Array], tuple[float, Array]]

WIDTH = 64
"""Variables of one constrained problem: SLSQP's work grows with the cube of their number."""


def ascend(
    x: Tensor,
    scores: Scores[Any],
    columns: Tensor,
    region: Region | None = None,
    *,
    max_iterations: int = 50,
) -> tuple[Tensor, Tensor]:
    """Maximise over the uniform coordinates of each row, the others fixed.

    In a box, by L-BFGS for all rows at a time (`minimize_rows`); within half-spaces, by SLSQP (as
    `botorch.optim.optimize_acqf` does), which maximises the sum of a few rows at a time.

    Args:
        x: encodings, `S x D`.
        scores: what to maximise, differentiable in those coordinates.
        columns: the uniform coordinates, `C`.
        region: where they may go. The default is [0, 1].
        max_iterations: of SLSQP; in a box, so many evaluations of all rows.

    Returns:
        Encodings, `S x D`, none of which scores less than before, and their scores.
    """
    region = Region.box(x[:, columns]) if region is None else region
    if not bool((region.normals != 0).any()):
        return _ascend_box(x, scores, columns, region, max_iterations)
    parts = [
        _ascend_sum(x[rows], scores, columns, region[rows], max_iterations)
        for rows in _parts(region, len(x))
    ]
    return torch.cat([part for part, _ in parts]), torch.cat([values for _, values in parts])


def nearest(x: Tensor, columns: Tensor, region: Region) -> Tensor:
    """Move the uniform coordinates of each row of `S x D` to the nearest place in a region."""
    x = x.clone()
    for rows in _parts(region, len(x)):
        target = x[rows][:, columns].cpu().double().numpy().ravel()

        def objective(flat: Array, target: Array = target) -> tuple[float, Array]:
            return float(np.square(flat - target).sum()) / 2, flat - target

        found = _minimize(objective, target, region[rows], 100)
        x[rows.start : rows.stop, columns] = torch.from_numpy(found).to(x).view(-1, len(columns))
    return x


def _ascend_box(
    x: Tensor, scores: Scores[Any], columns: Tensor, region: Region, max_iterations: int
) -> tuple[Tensor, Tensor]:
    """Maximise each row within its box."""

    def objective(points: Array, rows: NDArray[np.intp]) -> tuple[Array, Array]:
        trial = x[torch.from_numpy(rows).to(x.device)]
        trial[:, columns] = torch.from_numpy(points).to(x)
        values, slopes = _values_and_slopes(trial, scores, columns)
        return -values.cpu().numpy(), -slopes

    start, low, high = (
        part.cpu().double().numpy() for part in (x[:, columns], region.low, region.high)
    )
    found, values = minimize_rows(objective, start, low, high, max_evaluations=max_iterations)
    better = x.clone()
    better[:, columns] = torch.from_numpy(found).to(x)
    return better, -torch.from_numpy(values).to(x.device)


def _values_and_slopes(x: Tensor, scores: Scores[Any], columns: Tensor) -> tuple[Tensor, Array]:
    """Return scores, `S`, and finite gradients by the uniform coordinates, `S x C`."""
    values, gradient = scores.gradient(x)
    slope = torch.zeros_like(x) if gradient is None else gradient
    return values, torch.nan_to_num(slope[:, columns]).double().cpu().numpy()


def _ascend_sum(
    x: Tensor, scores: Scores[Any], columns: Tensor, region: Region, max_iterations: int
) -> tuple[Tensor, Tensor]:
    """Maximise the sum over rows within their regions, and remember the best of each."""
    best, best_values = x.clone(), torch.full((len(x),), -torch.inf, dtype=torch.double)
    best_values = best_values.to(x.device)
    first = True

    def objective(flat: Array) -> tuple[float, Array]:
        nonlocal best, best_values, first
        trial = x.clone()
        trial[:, columns] = torch.from_numpy(flat.reshape(len(x), -1)).to(x)
        values, slopes = _values_and_slopes(trial, scores, columns)
        better = values > best_values
        if not first:
            better &= region.contains(trial[:, columns])
        first = False
        best = torch.where(better[:, None], trial, best)
        best_values = torch.where(better, values, best_values)
        return -float(values.sum()), -slopes.ravel()

    _minimize(objective, x[:, columns].cpu().numpy().ravel(), region, max_iterations)
    return best, best_values


def _minimize(objective: Objective, start: Array, region: Region, max_iterations: int) -> Array:
    """Minimise within a region, by SLSQP, from a start in the box, `S C`."""
    bounds = list(zip(region.low.flatten().tolist(), region.high.flatten().tolist(), strict=True))
    result: Array = minimize(
        objective,
        start,
        jac=True,
        bounds=bounds,
        method="SLSQP",
        constraints=_constraints(region),
        options={"maxiter": max_iterations, "ftol": 1e-10},
    ).x
    return result


def _constraints(region: Region) -> list[dict[str, Any]]:
    """Return the half-spaces of all rows in SciPy's form."""
    normals = region.normals.cpu().numpy()
    real = (normals != 0).any(-1)
    found = []
    for kind, equal in (("eq", True), ("ineq", False)):
        chosen = real & (region.equal.cpu().numpy() == equal)
        if not chosen.any():
            continue
        matrix = block_diag(*(row[some] for row, some in zip(normals, chosen, strict=True)))
        right = region.offsets.cpu().numpy()[chosen]
        found.append(
            {
                "type": kind,
                "fun": lambda flat, a=matrix, b=right: a @ flat - b,
                "jac": lambda flat, a=matrix: a,
            }
        )
    return found


def _parts(region: Region, rows: int) -> list[slice]:
    """Return which rows to treat at a time: all, or a few where there are half-spaces."""
    bound = bool((region.normals != 0).any())
    size = max(WIDTH // max(region.low.shape[1], 1), 1) if bound else max(rows, 1)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
