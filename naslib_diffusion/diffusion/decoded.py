"""Guides that look at architectures instead of encodings."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import SupportsFloat

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.spaces.base import A, Space

REMEMBERED = 2**16
"""Architectures whose score is kept: batches on the way to one result decode to many repeats."""


def guide_on(space: Space[A], function: Callable[[A], SupportsFloat]) -> Guide:
    """Return a guide that scores relaxed architectures by what they decode to.

    This guide has no gradient, so that generation follows it by resampling alone. A guide that
    is a differentiable function of encodings steers better.

    Args:
        space: what the architectures are of.
        function: maps a valid architecture to its score, which is maximised. It is called once for
            each architecture.
    """
    remembered = functools.lru_cache(REMEMBERED)(function)

    def guide(x: Tensor) -> Tensor:
        """Score relaxed architectures, `B x *shape` to `B`; a banned one as the worst of them."""
        archs = space.decode(x.detach().cpu())
        valid = [space.is_valid(arch) for arch in archs]
        scores = [float(remembered(arch)) for arch, ok in zip(archs, valid, strict=True) if ok]
        values = torch.full((len(archs),), min(scores, default=0.0), dtype=torch.double)
        values[torch.tensor(valid, dtype=torch.bool)] = torch.tensor(scores, dtype=torch.double)
        return values.to(x)

    return guide
