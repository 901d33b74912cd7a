"""Moves along the paths of a law: what one decision saves, others may spend."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from naslib_diffusion.optimize.neighbor_moves import NeighborMoves
from naslib_diffusion.spaces.base import Space, UniformBlock
from naslib_diffusion.spaces.budget import Budget

NEARNESS = (2.0, 0.5, 0.125)
"""What a changed decision has to gain to be worth it, in units of the largest gain."""

WIDER = 2
"""Moves for each of these and for each that is asked for: many of them are much alike."""


class BudgetMoves(NeighborMoves[Any]):
    """Changes of as many decisions as a gradient says pay, all at once, within the budget.

    A move goes from `x` to what maximises `g . a - k |a - x|^2 / 2` over the encodings `a` in the
    window, exactly, for several `k`: the best single decisions, exchanges, and larger steps.
    Without a gradient, moves are those to the neighbours that the space lists.

    Args:
        space: of the encodings.
        budget: that they keep to.
        random: for spaces that draw some of their neighbours at random.
    """

    def __init__(
        self, space: Space[Any], budget: Budget, random: torch.Generator | None = None
    ) -> None:
        super().__init__(space, random)
        self.budget, self.letters = budget, budget.letters
        self.columns = list(budget.columns)
        free = [b.start for b in space.blocks or () if isinstance(b, UniformBlock)]
        self.continuous = torch.tensor(free, dtype=torch.long)
        self.count = len(self.letters)

    def propose(self, x: Tensor, gradient: Tensor | None, limit: int) -> tuple[Tensor, Tensor]:
        """Make the moves that look best for each row; see `Moves`."""
        if gradient is None:
            return super().propose(x, None, limit)
        letters, here = self.letters, x.detach().double().cpu()
        slope = letters @ gradient.double().cpu().T
        unit = (slope.amax(0) - slope.amin(0)).clamp(min=torch.finfo(torch.double).tiny)
        near = (letters @ here.T - letters.square().sum(1, keepdim=True) / 2) * unit
        scores = [slope + strength * near for strength in NEARNESS]
        values, inside = self.budget.best(torch.cat(scores, 1), WIDER * limit)
        owners = torch.arange(len(x)).repeat(len(NEARNESS))[:, None].expand(-1, values.shape[1])
        values, owners = values[inside], owners[inside]
        moved = (values - here[owners][:, self.columns]).abs().amax(1) > 0
        rows = here[owners[moved]]
        rows[:, self.columns] = values[moved]
        keyed = torch.unique(torch.cat([owners[moved, None].double(), rows], 1), dim=0)
        return keyed[:, 1:].to(x), keyed[:, 0].long().to(x.device)
