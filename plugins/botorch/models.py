"""What an acquisition function tells about its models: their training inputs, dtype and device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


def training_inputs(acq_function: object) -> list[Tensor]:
    """Return the training inputs of all models, `... x n x d` each, as their users gave them.

    They are found in lists of models too, and in the functions that a function wraps.
    """
    modules = acq_function.modules() if isinstance(acq_function, nn.Module) else ()
    found: list[Tensor] = []
    for module in (getattr(acq_function, "model", None), *modules):
        original = getattr(module, "_original_train_inputs", None)
        inputs = getattr(module, "train_inputs", None) if original is None else original
        found += [x for x in _tensors(inputs) if not any(x is other for other in found)]
    return found


def reference(acq_function: object, fallback: Tensor | None) -> Tensor:
    """Return a tensor of the dtype and device that an acquisition function works with.

    That of the training inputs; if there are none, of its buffers and parameters, of `fallback`,
    or double precision on the CPU.
    """
    own: list[Tensor] = []
    if isinstance(acq_function, nn.Module):
        own = [*acq_function.buffers(), *acq_function.parameters()]
    model = getattr(acq_function, "model", None)
    if isinstance(model, nn.Module):
        own += [*model.parameters(), *model.buffers()]
    candidates = [*training_inputs(acq_function), *own]
    if fallback is not None:
        candidates.append(fallback)
    floating = filter(torch.is_floating_point, candidates)
    return next(floating, torch.empty(0, dtype=torch.double))


def _tensors(inputs: Any) -> Iterator[Tensor]:
    """Go through tensors in nested tuples and lists."""
    if isinstance(inputs, Tensor):
        yield inputs
    elif isinstance(inputs, (tuple, list)):
        for part in inputs:
            yield from _tensors(part)
