"""What constraints leave to the continuous coordinates: half-spaces and a box for each row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide

Member = Callable[[Tensor], Tensor]
"""Tells which of `S` flat encodings, `S x D`, are in a set: `S` booleans."""

NEARLY = 1e-9
"""Half-spaces may be left by so much, in units of [0, 1]."""
ASIDE = 1e-4
"""Step to either side that tells an equality, which breaks on both, from an inequality."""
ON = 1e-6
"""Slack up to which a constraint counts as met with equality."""
INWARD = 1e-3
"""How far from its boundary a set is probed; on a curved boundary, less is more exact."""
HELD = 2e-6
"""A coordinate that leaves the set within such a step stays where it is."""
BISECTIONS = 26
"""Halvings in the search of a boundary: to 1e-8 of the way."""


@dataclass(frozen=True, eq=False)
class Region:
    """`normals . z >= offsets` and `low <= z <= high` for the `C` continuous coordinates of rows.

    Attributes:
        normals: `S x M x C`, of length one, or zero where there is no constraint.
        offsets: `S x M`.
        equal: `S x M`, where the half-space is a plane.
        low: `S x C`.
        high: `S x C`.
    """

    normals: Tensor
    offsets: Tensor
    equal: Tensor
    low: Tensor
    high: Tensor

    @staticmethod
    def box(z: Tensor) -> Region:
        """Return the cube [0, 1]^C around each row of `S x C`."""
        none = z.new_empty(len(z), 0)
        normals = z.new_empty(len(z), 0, z.shape[1])
        return Region(normals, none, none.bool(), torch.zeros_like(z), torch.ones_like(z))

    def __getitem__(self, rows: Tensor | slice) -> Region:
        """Return the part of some rows."""
        parts = (self.normals, self.offsets, self.equal, self.low, self.high)
        return Region(*(part[rows] for part in parts))

    def within(self, normals: Tensor, offsets: Tensor, equal: Tensor) -> Region:
        """Add half-spaces, `S x M' x C` and twice `S x M'`, scaled to normals of length one."""
        lengths = normals.norm(dim=-1)
        some = lengths > 0
        scale = torch.where(some, lengths, 1.0)
        offsets = torch.where(some, offsets / scale, -1.0)
        return Region(
            torch.cat([self.normals, normals / scale.unsqueeze(-1)], 1),
            torch.cat([self.offsets, offsets], 1),
            torch.cat([self.equal, equal & some], 1),
            self.low,
            self.high,
        )

    def contains(self, z: Tensor) -> Tensor:
        """Tell which of `S x C` are inside, up to rounding: `S`."""
        excess = torch.einsum("smc,sc->sm", self.normals, z) - self.offsets
        excess = torch.where(self.equal, -excess.abs(), excess)
        boxed = torch.minimum(z - self.low, self.high - z)
        return (excess >= -NEARLY).all(1) & (boxed >= -NEARLY).all(1)


def tangents(slack: Guide, x: Tensor, columns: Tensor) -> Region:
    """Linearise constraints at each row: exact for linear ones; those without gradient are lost.

    A constraint that is met at a row, and broken on both sides of it, is an equality.

    Args:
        slack: maps flat encodings, `R x D`, to how far they are from breaking each of `M`
            constraints, `R x M`.
        x: flat encodings, `S x D`.
        columns: the continuous coordinates, `C`.
    """
    z = x[:, columns]
    values, slopes = _jacobian(slack, x, columns)
    generator = torch.Generator().manual_seed(0)
    step = torch.randn(z.shape, generator=generator, dtype=torch.double).to(z) * ASIDE
    ahead, beyond = _jacobian(slack, _moved(x, columns, z + step), columns)
    with torch.no_grad():
        behind = slack(_moved(x, columns, z - step)).to(values)
    equal = (values.abs() <= ON) & (ahead < -ON) & (behind < -ON)
    slopes = torch.where(equal.unsqueeze(-1), beyond, slopes)
    offsets = torch.einsum("smc,sc->sm", slopes, z) - values
    return Region.box(z).within(slopes, offsets, equal)


def cut(region: Region, x: Tensor, outside: Tensor, columns: Tensor, member: Member) -> Region:
    """Add a half-space that bounds a set near each row, found by asking what is in it.

    From a point a little inside, the distances `t_i` along the axes to the boundary give the plane
    through all of these points, `sum_i (z_i - z'_i) / t_i = 1`: exact where the boundary is flat.

    Args:
        region: what is known of the set.
        x: rows on its boundary, `S x D`.
        outside: what is beyond it, `S x D`.
        columns: the continuous coordinates, `C`.
        member: the set.
    """
    z = x[:, columns]
    away = outside[:, columns] - z
    length = away.norm(dim=1, keepdim=True).clamp(min=1e-300)
    inner = _moved(x, columns, (z - INWARD * away / length).clamp(0, 1))
    x = torch.where(member(inner).unsqueeze(1), inner, x)
    z = x[:, columns]
    ahead, behind = (_distances(x, columns, end, member) for end in (1.0, 0.0))
    high = torch.where(ahead <= HELD, z, region.high)
    low = torch.where(behind <= HELD, z, region.low)
    slopes = torch.where(behind < ahead, 1 / behind, -1 / ahead)
    slopes = slopes.masked_fill(torch.minimum(ahead, behind) <= HELD, 0.0)
    offsets = (slopes * z).sum(1, keepdim=True) - 1
    held = Region(region.normals, region.offsets, region.equal, low, high)
    return held.within(slopes.unsqueeze(1), offsets, torch.zeros_like(offsets).bool())


def boundary(inside: Tensor, outside: Tensor, member: Member) -> Tensor:
    """Return the last member on the way from each member to what is not one, `S x D`."""
    near, far = torch.zeros(len(inside), 1).to(inside), torch.ones(len(inside), 1).to(inside)
    for _ in range(BISECTIONS):
        middle = (near + far) / 2
        met = member(torch.lerp(inside, outside, middle)).unsqueeze(1)
        near, far = torch.where(met, middle, near), torch.where(met, far, middle)
    return torch.lerp(inside, outside, near)


def _distances(x: Tensor, columns: Tensor, end: float, member: Member) -> Tensor:
    """Return how far each coordinate alone may go towards `end`: `S x C`, infinite if all the way.

    A coordinate that is there already may go all the way.
    """
    z = x[:, columns]
    reach = (end - z).abs()
    rows, axes = (reach > 0).nonzero(as_tuple=True)
    ends = x[rows]
    ends[torch.arange(len(rows)), columns[axes]] = end
    leaves = ~member(ends)
    rows, axes, ends = rows[leaves], axes[leaves], ends[leaves]
    last = boundary(x[rows], ends, member)
    found = torch.full_like(z, torch.inf)
    found[rows, axes] = (last - x[rows])[torch.arange(len(rows)), columns[axes]].abs()
    return found


def _moved(x: Tensor, columns: Tensor, z: Tensor) -> Tensor:
    x = x.clone()
    x[:, columns] = z
    return x


def _jacobian(slack: Guide, x: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slack, `S x M`, and its slopes, `S x M x C`, zero where it has no gradient."""
    try:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            values = slack(x).double()
    except RuntimeError:  # the function leaves PyTorch, as by `numpy()`
        x = x.detach()
        values = slack(x).double()
    slopes = x.new_zeros(*values.shape, len(columns)).detach()
    if values.requires_grad:
        for m in range(values.shape[1]):
            total = values[:, m].sum()
            (slope,) = torch.autograd.grad(total, x, retain_graph=True, allow_unused=True)
            if slope is not None:
                slopes[:, m] = torch.nan_to_num(slope[:, columns])
    return values.detach(), slopes
