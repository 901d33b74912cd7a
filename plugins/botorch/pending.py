"""Pending points of an acquisition function, on a copy that may be altered."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from botorch.acquisition.multi_objective.base import MultiObjectiveAnalyticAcquisitionFunction
from botorch.exceptions.errors import UnsupportedError
from botorch.models.model import Model
from torch import Tensor, nn

F = TypeVar("F")


def copied(acq_function: F) -> F:
    """Return an acquisition function of its own that shares the models.

    Functions such as qLogNEHVI draw what is pending into their baseline, from where
    `set_X_pending(None)` does not take it out again; so what is pending for a while only is set on
    a copy, and the function itself stays as it was, base samples included.
    """
    if not isinstance(acq_function, nn.Module):
        return acq_function
    models = [module for module in acq_function.modules() if isinstance(module, Model)]
    return copy.deepcopy(acq_function, {id(model): model for model in models})


def pending(acq_function: object) -> Tensor | None:
    """Return what is pending, `k x d`, or None.

    Incremental noisy expected improvement keeps it at the end of its baseline only.
    """
    known: Tensor | None = getattr(acq_function, "X_pending", None)
    full, own = (getattr(acq_function, name, None) for name in ("_full_X_baseline", "_X_baseline"))
    if known is None and isinstance(full, Tensor) and isinstance(own, Tensor):
        added = full[..., own.shape[-2] :, :]
        return added if added.shape[-2] else None
    return known


def refusal(acq_function: object, points: Tensor) -> Exception | None:
    """Return why a function does not take batches of as many points as `q x d` has, or None.

    It is tried on a copy, since some functions settle for a size at the first call.
    """
    if len(points) > 1 and isinstance(acq_function, MultiObjectiveAnalyticAcquisitionFunction):
        return UnsupportedError("it is analytic")  # and takes several for objectives
    try:
        with torch.no_grad():
            copied(acq_function)(points.unsqueeze(0))  # type: ignore[operator]
    except (AssertionError, NotImplementedError, UnsupportedError) as error:
        return error
    return None
