"""Where to compute: on a card what is large enough to gain by it, all else on the CPU."""

from __future__ import annotations

import torch

WORTHWHILE = 2**24
"""From how many multiplications of one step on it is left to a card.

A step on a card waits for its launches, a millisecond or two whatever its size; in that time one
CPU core does some ten million of these multiplications, all that belongs to them included."""

TYPICAL_POINTS = 100
"""Observations of a guide that is not known yet."""


def suitable_device(
    rows: int,
    coordinates: int,
    points: int = TYPICAL_POINTS,
    *,
    device: torch.device | str | None = None,
) -> torch.device:
    """Return the device on which a batch is best denoised, guided or scored.

    The rule counts the multiplications of one step, `rows * coordinates * points`: each
    architecture of a batch is compared with each observation of a Gaussian process, along each
    coordinate of the encoding. With `WORTHWHILE` of them or more it is the card, if there is one;
    with fewer the CPU, whether there is a card or not. So single proposals and small spaces stay
    on the CPU, without as much as waking up a card.

    Args:
        rows: architectures in a batch.
        coordinates: of an encoding.
        points: observations that a guide compares with; for a network, weights per coordinate.
        device: what the caller has decided, which counts.
    """
    if device is not None:
        return torch.device(device)
    worthwhile = rows * coordinates * points >= WORTHWHILE
    return torch.device("cuda" if worthwhile and torch.cuda.is_available() else "cpu")
