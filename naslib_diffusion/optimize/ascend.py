"""Ascent along the continuous coordinates of encodings, many starts at a time (SciPy)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.optimize import minimize
from torch import Tensor

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

    The rows are independent, so their sum is maximised at once: by L-BFGS-B, or, within
    half-spaces, by SLSQP (as `botorch.optim.optimize_acqf` does), a few rows at a time.

    Args:
        x: encodings, `S x D`.
        scores: what to maximise, differentiable in those coordinates.
        columns: the uniform coordinates, `C`.
        region: where they may go. The default is [0, 1].
        max_iterations: of the optimiser.

    Returns:
        Encodings, `S x D`, none of which scores less than before, and their scores.
    """
    region = Region.box(x[:, columns]) if region is None else region
    parts = [
        _ascend(x[rows], scores, columns, region[rows], max_iterations)
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


def _ascend(
    x: Tensor, scores: Scores[Any], columns: Tensor, region: Region, max_iterations: int
) -> tuple[Tensor, Tensor]:
    """Maximise the sum over rows, and remember the best of each."""
    best, best_values = x.clone(), torch.full((len(x),), -torch.inf, dtype=torch.double)
    best_values = best_values.to(x.device)
    first = True

    def objective(flat: Array) -> tuple[float, Array]:
        nonlocal best, best_values, first
        trial = x.clone()
        trial[:, columns] = torch.from_numpy(flat.reshape(len(x), -1)).to(x)
        values, gradient = scores.gradient(trial)
        better = values > best_values
        if not first:
            better &= region.contains(trial[:, columns])
        first = False
        best = torch.where(better[:, None], trial, best)
        best_values = torch.where(better, values, best_values)
        slope = torch.zeros_like(trial) if gradient is None else gradient
        finite = torch.nan_to_num(slope[:, columns]).double()
        return -float(values.sum()), -finite.cpu().numpy().ravel()

    _minimize(objective, x[:, columns].cpu().numpy().ravel(), region, max_iterations)
    return best, best_values


def _minimize(objective: Objective, start: Array, region: Region, max_iterations: int) -> Array:
    """Minimise within a region from a start in the box, `S C`."""
    bounds = list(zip(region.low.flatten().tolist(), region.high.flatten().tolist(), strict=True))
    constraints = _constraints(region)
    if constraints:
        options = {"maxiter": max_iterations, "ftol": 1e-10}
        method = {"method": "SLSQP", "constraints": constraints, "options": options}
    else:
        options = {"maxiter": max_iterations, "ftol": 1e-12, "gtol": 1e-7}
        method = {"method": "L-BFGS-B", "options": options}
    result: Array = minimize(objective, start, jac=True, bounds=bounds, **method).x
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
