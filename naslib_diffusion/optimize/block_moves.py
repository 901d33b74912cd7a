"""Moves of a space whose law factorises: one block at a time to another of its atoms."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import (
    AtomBlock,
    Block,
    UniformBlock,
    UnionBlock,
    count_values,
)
from naslib_diffusion.spaces.paths import PathBlock

SAME = 1e-12
"""Squared distance up to which a block counts as being at an atom."""
LOCAL = 2.0
"""Squared distance of a move in a block of many atoms: one one-hot for another, or none."""
MANY_ATOMS = 256
"""Blocks of more atoms, several coordinates each, are moved locally."""


@dataclass(frozen=True, eq=False)
class _Group:
    """Blocks of equal form: `G` blocks of `K` atoms of `w` coordinates; moves `first ...`."""

    columns: Tensor
    """`G x w`"""
    atoms: Tensor
    """`G x K x w`"""
    first: int
    unions: Sequence[UnionBlock] = ()
    """The blocks, if all of them are unions."""

    @property
    def count(self) -> int:
        return self.atoms.shape[0] * self.atoms.shape[1]

    def distances(self, x: Tensor) -> Tensor:
        """Squared distances of the blocks of `S x D` to their atoms, `S x G x K`."""
        here = x[:, self.columns]
        cross = torch.einsum("sgw,gkw->sgk", here, self.atoms)
        squares = here.square().sum(-1, keepdim=True)
        return cross.mul_(-2).add_(squares).add_(self.squares).clamp_(min=0)

    @functools.cached_property
    def squares(self) -> Tensor:
        """Of the lengths of the atoms, `G x K`."""
        return self.atoms.square().sum(-1)

    def nearest(self, x: Tensor) -> Tensor:
        """Return the atoms nearest to the blocks of `S x D`, `S x G x w`."""
        here = x[:, self.columns]
        if not self.unions:
            return self.atoms[torch.arange(len(self.atoms)), self.distances(x).argmin(-1)]
        own = zip(self.unions, here.unbind(1), strict=True)
        return torch.stack([union.nearest(part) for union, part in own], 1)


class BlockMoves:
    """Changes of one block of a flat encoding to another of its atoms.

    Number m of `count` moves sets the columns of one block to one atom, whatever they were. In
    blocks of very many atoms, such as the rows of a table, only moves of squared length up to
    `LOCAL` are proposed. Uniform coordinates are not moved: they are `continuous`.

    Args:
        blocks: the law of the space; see `Space.blocks`.
        device: of the encodings.
    """

    def __init__(self, blocks: Sequence[Block], device: torch.device | str | None = None) -> None:
        shapes: dict[tuple[int, int], list[tuple[Block, AtomBlock]]] = {}
        free = []
        for block in blocks:
            if isinstance(block, UniformBlock):
                free.append(block.start)
                continue
            if isinstance(block, PathBlock):
                raise TypeError("the paths of a graph have no moves of their own")
            listed = block.expand() if isinstance(block, UnionBlock) else block
            shapes.setdefault((len(listed.atoms), listed.width), []).append((block, listed))
        self.continuous = torch.tensor(free, dtype=torch.long, device=device)
        self._groups: list[_Group] = []
        self.count = 0
        for (_, width), members in sorted(shapes.items()):
            starts = torch.tensor([block.start for block, _ in members])
            atoms = torch.stack([listed.atoms.double() for _, listed in members])
            columns = starts[:, None] + torch.arange(width)
            unions = [block for block, _ in members if isinstance(block, UnionBlock)]
            own = unions if len(unions) == len(members) else ()
            group = _Group(columns.to(device), atoms.to(device), self.count, own)
            self._groups.append(group)
            self.count += group.count

    def round(self, x: Tensor) -> Tensor:
        """Set each block of `S x D` to its nearest atom, and clamp uniform coordinates."""
        x = x.clone()
        x[:, self.continuous] = x[:, self.continuous].clamp(0, 1)
        for group in self._groups:
            x[:, group.columns] = group.nearest(x)
        return x

    def gains(self, x: Tensor, gradient: Tensor | None) -> Tensor:
        """Estimate to first order what each move gains, `S x count`.

        Moves that lead nowhere, or too far, have -inf. Where the gradient is zero on a whole block
        it says nothing about it: its moves have +inf, as all have if `gradient` is None.
        """
        parts = []
        for group in self._groups:
            squares = group.distances(x)
            if gradient is None:
                gain = torch.full_like(squares, math.inf)
            else:
                slope = gradient[:, group.columns]
                gain = torch.einsum("sgw,gkw->sgk", slope, group.atoms)
                gain -= (slope * x[:, group.columns]).sum(-1, keepdim=True)
                silent = (slope == 0).all(-1).all(0)
                gain.masked_fill_(silent[None, :, None], math.inf)
            barred = squares <= SAME
            if group.atoms.shape[1] > MANY_ATOMS and group.columns.shape[1] > 1:
                barred |= squares > LOCAL + 1e-6
            parts.append(gain.masked_fill_(barred, -math.inf).flatten(1))
        if not parts:
            return x.new_empty(len(x), 0)
        return torch.cat(parts, 1)

    def propose(self, x: Tensor, gradient: Tensor | None, limit: int) -> tuple[Tensor, Tensor]:
        """Make the moves that look best, and a few combinations of them; see `Moves`."""
        gains = self.gains(x, gradient)
        if gradient is None:
            owners, numbers = (gains > -math.inf).nonzero(as_tuple=True)
            return self.apply(x[owners], numbers), owners
        unknown = int((gains == math.inf).sum(1).amax()) if gains.numel() else 0
        best, numbers = gains.topk(min(limit + unknown, self.count), dim=1)
        owners, places = (best > -math.inf).nonzero(as_tuple=True)
        rows = self.apply(x[owners], numbers[owners, places])
        jumped, sources = self.jumps(x, gains)
        return torch.cat([rows, jumped]), torch.cat([owners, sources])

    def apply(self, x: Tensor, moves: Tensor) -> Tensor:
        """Make one move from each encoding: `R x D` and `R` numbers of moves to `R x D`."""
        x = x.clone()
        for group in self._groups:
            local = moves - group.first
            inside = ((local >= 0) & (local < group.count)).nonzero()[:, 0]
            block, atom = (
                local[inside] // group.atoms.shape[1],
                local[inside] % group.atoms.shape[1],
            )
            x[inside[:, None], group.columns[block]] = group.atoms[block, atom]
        return x

    def jumps(self, x: Tensor, gains: Tensor) -> tuple[Tensor, Tensor]:
        """Make several promising moves at once: the best of 2, 4, 8, ... blocks.

        Args:
            x: encodings, `S x D`.
            gains: finite where a gradient told, `S x count`.

        Returns:
            Encodings, `R x D`, and which row of `x` each comes from, `R`.
        """
        bests = [self._of_group(gains, group).max(-1) for group in self._groups]
        best = torch.cat([b.values for b in bests], 1)
        useful = (best > 0) & best.isfinite()
        ranks = best.masked_fill(~useful, -math.inf).argsort(1, descending=True).argsort(1)
        counts, rows, owners, size = useful.sum(1), [x[:0]], [torch.arange(0).to(x.device)], 2
        while len(chosen := (counts > size // 2).nonzero()[:, 0]) and size <= best.shape[1]:
            jump = useful[chosen] & (ranks[chosen] < size)
            moved, start = x[chosen], 0
            for group, (_, atoms) in zip(self._groups, bests, strict=True):
                members = torch.arange(len(group.atoms), device=x.device)
                target = group.atoms[members, atoms[chosen]]
                jumps = jump[:, start : start + len(members), None]
                moved[:, group.columns] = torch.where(jumps, target, moved[:, group.columns])
                start += len(members)
            rows.append(moved)
            owners.append(chosen)
            size *= 2
        return torch.cat(rows), torch.cat(owners)

    @staticmethod
    def _of_group(gains: Tensor, group: _Group) -> Tensor:
        """Return the gains of the moves of some blocks, `S x G x K`."""
        part = gains[:, group.first : group.first + group.count]
        return part.view(len(gains), *group.atoms.shape[:2])


def count_moves(blocks: Sequence[Block]) -> int:
    """Return how many values the blocks have, or letters, without listing them."""
    return sum(
        len(block.letters) if isinstance(block, PathBlock) else count_values(block)
        for block in blocks
        if not isinstance(block, UniformBlock)
    )


def is_silent(blocks: Sequence[Block], gradient: Tensor) -> bool:
    """Whether a gradient, `S x D`, is zero on the whole of some block that is a choice."""
    return any(
        not bool(gradient[:, list(block.columns)].any())
        for block in blocks
        if not isinstance(block, UniformBlock) and count_values(block) > 1
    )
