"""Which encodings are of valid architectures, asked once each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from naslib_diffusion.optimize.scores import row_keys
from naslib_diffusion.spaces.base import Space


class Validity:
    """Tells which flat encodings, `S x D`, a space decodes to valid architectures: `S` booleans.

    A space may decide by a user's slow function, and ascents come back to where they were.
    """

    def __init__(self, space: Space[Any]) -> None:
        self.space = space
        self._known: dict[int, bool] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """Decode what was not asked before."""
        keys = row_keys(x)
        new = {key: i for i, key in enumerate(keys) if key not in self._known}
        if new:
            rows = x[list(new.values())]
            archs = self.space.decode(rows.view(-1, *self.space.shape).cpu())
            self._known.update(zip(new, map(self.space.is_valid, archs), strict=True))
        known = [self._known[key] for key in keys]
        return torch.tensor(known, dtype=torch.bool, device=x.device)
