"""Continuous coordinates under constraints: repair, and ascent that keeps to what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.optimize.ascend import ascend, nearest
from naslib_diffusion.optimize.region import Member, Region, boundary, cut, tangents
from naslib_diffusion.optimize.scores import Scores

REPAIRS = 8
"""Linearisations after which a row whose constraint is still broken is given up."""
CUTS = 4
"""Half-spaces by which a set without a gradient is bounded in one ascent."""
SHARES = (1.0, 0.5, 0.25, 0.125, 0.0625)
"""Parts of a step along a tangent that are tried, one after the other."""
SHORT = 1e-4
"""An ascent that leaves what is allowed by so little at its end is led back, and is over."""
ROUNDING = 1e-8
"""Constraints may be violated by so much."""


@dataclass(frozen=True, eq=False)
class Continua:
    """The continuous coordinates of a space.

    Attributes:
        columns: which they are, `C`.
        valid: which flat encodings, `S x D`, are of valid architectures.
        slack: maps flat encodings, `R x D`, to how far they are from breaking each of `M`
            constraints, `R x M`; None if there are none.
        iterations: of one ascent, at most.
    """

    columns: Tensor
    valid: Member
    slack: Guide | None
    iterations: int

    def repair(self, x: Tensor) -> Tensor:
        """Move rows that break constraints to the nearest place where none is broken, if any."""
        if self.slack is None or not len(self.columns):
            return x
        x = x.clone()
        for _ in range(REPAIRS):
            bad = (~meets(self.slack, x)).nonzero()[:, 0]
            if not len(bad):
                break
            region = tangents(self.slack, x[bad], self.columns)
            if not bool(region.normals.any()):
                break
            x[bad] = nearest(x[bad], self.columns, region)
        return x

    def ascend(self, x: Tensor, scores: Scores[Any]) -> tuple[Tensor, Tensor]:
        """Ascend from rows that are allowed to others that are, none of which scores less.

        Constraints with a gradient bound the ascent by their tangents. Where it leaves what is
        allowed even so, what it left is bounded by probing (`cut`), and it goes on within that.
        """
        slack, columns = self.slack, self.columns
        region = Region.box(x[:, columns]) if slack is None else tangents(slack, x, columns)
        base, better = x.clone(), self._ascend(x, scores, region)
        better = self._along_curves(base, better, region, scores)
        rows = torch.arange(len(x), device=x.device)
        for _ in range(CUTS):
            left = ~self.allowed(better[rows])
            rows, region = rows[left], region[left]
            edge = boundary(base[rows], better[rows], self.allowed)
            far = (edge - better[rows]).abs().amax(1) > SHORT
            outside, base[rows], better[rows] = better[rows[far]], edge, edge
            rows, region = rows[far], region[far]
            if not len(rows):
                break
            region = cut(region, base[rows], outside, columns, self.allowed)
            better[rows] = self._ascend(base[rows], scores, region)
        if len(rows):
            better[rows] = boundary(base[rows], better[rows], self.allowed)
        values, before = scores(better), scores(x)
        worse = values < before
        return torch.where(worse[:, None], x, better), torch.where(worse, before, values)

    def _ascend(self, x: Tensor, scores: Scores[Any], region: Region) -> Tensor:
        better, _ = ascend(x, scores, self.columns, region, max_iterations=self.iterations)
        return better

    def _along_curves(
        self, x: Tensor, better: Tensor, region: Region, scores: Scores[Any]
    ) -> Tensor:
        """Lead what left a curved constraint along its tangent back to it, where that pays."""
        curved = region.normals.flatten(1).any(1) & ~self.allowed(better)
        rows = curved.nonzero()[:, 0]
        values = scores(x[rows])
        for share in SHARES if len(rows) else ():
            mended = self.repair(torch.lerp(x[rows], better[rows], share))
            kept = self.allowed(mended).nonzero()[:, 0]
            rises = kept[scores(mended[kept]) > values[kept]]
            better[rows[rises]] = mended[rises]
            rest = torch.ones(len(rows), dtype=torch.bool, device=x.device)
            rest[rises] = False
            rows, values = rows[rest], values[rest]
        return better

    def allowed(self, x: Tensor) -> Tensor:
        """Tell which rows are of valid architectures that break no constraint: `S`."""
        return self.valid(x) if self.slack is None else self.valid(x) & meets(self.slack, x)


def meets(slack: Guide, x: Tensor) -> Tensor:
    """Tell which of `R x D` meet all constraints, up to rounding."""
    if not len(x):
        return torch.ones(0, dtype=torch.bool, device=x.device)
    with torch.no_grad():
        return (slack(x) >= -ROUNDING).all(1)


def only(x: Tensor, slack: Guide | None) -> Tensor:
    """Keep what meets all constraints, if there are any."""
    return x if slack is None else x[meets(slack, x)]
