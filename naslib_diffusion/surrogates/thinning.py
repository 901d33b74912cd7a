"""Which observations to keep where there are more than a surrogate can afford."""

from __future__ import annotations

import torch
from torch import Tensor


def thin(y: Tensor, limit: int) -> Tensor:
    """Return which of the targets to use, in order: all, or `limit` of them.

    A third are the best, a third the latest, and the rest is spread evenly over the others.
    """
    n = len(y)
    if n <= limit:
        return torch.arange(n)
    chosen = torch.zeros(n, dtype=torch.bool)
    chosen[n - limit // 3 :] = True
    order = y.cpu().argsort(descending=True, stable=True)
    chosen[order[~chosen[order]][: limit // 3]] = True
    rest = (~chosen).nonzero()[:, 0]
    wanted = limit - int(chosen.sum())
    chosen[rest[torch.linspace(0, len(rest) - 1, wanted).round().long()]] = True
    return chosen.nonzero()[:, 0]
