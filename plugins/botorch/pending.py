"""Pending points of an acquisition function, set for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.exceptions.errors import UnsupportedError
from torch import Tensor

Wait = Callable[[Tensor], None]


@contextmanager
def pending_points(acq_function: AcquisitionFunction) -> Iterator[Wait]:
    """Give a function that sets candidates, `k x d`, as pending beside those that were there.

    What was there is put back at the end, also if something raises.

    Raises:
        UnsupportedError: if the acquisition function knows no pending points (analytic ones).
    """
    if not hasattr(acq_function, "X_pending"):
        raise UnsupportedError(
            f"{type(acq_function).__name__} takes one point at a time (it knows no X_pending): "
            "use q=1, or a Monte Carlo acquisition function"
        )
    before: Tensor | None = acq_function.X_pending

    def wait(candidates: Tensor) -> None:
        points = candidates if before is None else torch.cat([before, candidates], dim=-2)
        acq_function.set_X_pending(points)

    try:
        yield wait
    finally:
        acq_function.set_X_pending(before)
