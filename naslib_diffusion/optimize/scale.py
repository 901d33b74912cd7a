"""Strength of guidance: the unit of a guide, and how sharp the tilted law should be."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide, value_and_gradient

MAX_SCALE = 100.0
"""Largest automatic scale."""
SHARPNESS = 4.0
"""How much sharper than `default_scale` says a generator starts; repeats lower the scale."""


def upper_deviation(values: Tensor) -> float:
    """Standard deviation of `B` values about their median, over the better half.

    Guides such as predicted accuracies have long tails of failures, which must not set the unit.
    Falls back to the standard deviation of all if the better half is constant.
    """
    above = values[values > values.median()] - values.median()
    deviation = above.square().mean().sqrt() if len(above) else values.std(correction=0)
    return float(deviation) if bool(deviation.isfinite()) else 0.0


def is_blind(guide: Guide, x: Tensor) -> bool:
    """Whether a guide has no (useful) gradient halfway between architectures, `B x *shape`."""
    half = min(len(x) // 2, 8)
    _, gradient = value_and_gradient(guide, (x[:half] + x[half : 2 * half]) / 2)
    return gradient is None or not bool(gradient.any())


def default_scale(n: int, size: int | None) -> float:
    """Guidance scale, in units of one over the guide's deviation, for the best n of a space.

    Were the guide standard normal over the space with z exceeded by `n`, then under the tilt
    exp(k f) with k the hazard rate of the normal at z, all levels above z would be about equally
    likely. Real guides are bounded, so generation starts from `SHARPNESS` times that.
    """
    if size is None:
        return MAX_SCALE
    share = math.exp(max(min(math.log(n) - math.log(size), 0.0), -600.0))
    z = -float(torch.special.ndtri(torch.tensor(share, dtype=torch.double)))
    hazard = math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) / share
    return min(hazard, MAX_SCALE)
