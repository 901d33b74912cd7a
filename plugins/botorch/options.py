"""The options of the optimizer, under BoTorch's names where it has one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.exceptions.errors import UnsupportedError
from naslib_diffusion.plugins.botorch.joint import is_joint
from naslib_diffusion.plugins.botorch.models import training_inputs
from torch import Tensor

from naslib_diffusion.optimize import Effort
from naslib_diffusion.spaces import Space

OPTIONS = {
    "raw_samples": "probes",
    "num_samples": "samples",
    "num_steps": "steps",
    "scale": "scale",
    "num_restarts": "starts",
    "num_neighbors": "screen",
    "num_pairs": "pairs",
    "maxiter_alternating": "rounds",
    "max_batch_size": "chunk",
}
"""Options that set a field of `Effort`."""
SWITCHES = ("generate", "polish")
CACHE = 2**19
"""Numbers in the pairwise differences of a batch with the training points, as far as they are
worth computing at once: beyond, the batch leaves the processor's cache and costs up to five times
as much per point."""
MEMORY = 2**28
"""The same on a card, which is faster the more it is given: 2 GiB in double precision."""
ROWS, CARD_ROWS = 256, 4096
"""Most points at once, on the CPU and on a card. There a call takes as long as its launches: a
joint batch of eight of 60 choices takes 400 calls with so many, 550 with a quarter of them."""
MIN_BATCH = 8


def effort(
    space: Space[Any], acq_function: AcquisitionFunction, options: Mapping[str, Any] | None
) -> Effort:
    """Return how hard to try.

    Raises:
        UnsupportedError: if an option is unknown.
    """
    options = dict(options or {})
    known = {*OPTIONS, *SWITCHES, "seed"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise UnsupportedError(
            f"unknown option {unknown[0]!r}; supported: {', '.join(sorted(known))}"
        )
    chosen = replace(Effort.of(space), chunk=batch_size(acq_function))
    fields = {OPTIONS[key]: value for key, value in options.items() if key in OPTIONS}
    polish = options.get("polish", True)
    if options.get("generate", chosen.samples > 0 or not polish):
        chosen = replace(chosen, samples=chosen.samples or Effort.samples)
    else:
        chosen = replace(chosen, samples=0)
    chosen = replace(chosen, **fields)
    return chosen if polish else replace(chosen, starts=0)


def batch_size(acq_function: AcquisitionFunction) -> int:
    """Return how many points the acquisition function should be given at once.

    Where models go through their data once for all of them (`joint`), what counts is what each
    point is judged with.
    """
    inputs = training_inputs(acq_function)
    numbers = max((x.numel() for x in inputs), default=2**12)
    card = any(x.is_cuda for x in inputs)
    if is_joint(acq_function):
        others = [getattr(acq_function, name, None) for name in ("X_baseline", "X_pending")]
        numbers = (1 + sum(x.shape[-2] for x in others if isinstance(x, Tensor))) ** 2
    most, rows = (MEMORY, CARD_ROWS) if card else (CACHE, ROWS)
    return int(min(max(most // max(numbers, 1), MIN_BATCH), rows))
