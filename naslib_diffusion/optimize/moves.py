"""Single decisions as operations on encodings: what coordinate ascent chooses from, in batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import AtomBlock, Block, UniformBlock, UnionBlock

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

    @property
    def count(self) -> int:
        return self.atoms.shape[0] * self.atoms.shape[1]

    def distances(self, x: Tensor) -> Tensor:
        """Squared distances of the blocks of `S x D` to their atoms, `S x G x K`."""
        here = x[:, self.columns]
        cross = torch.einsum("sgw,gkw->sgk", here, self.atoms)
        squares = here.square().sum(-1, keepdim=True) + self.atoms.square().sum(-1)
        return (squares - 2 * cross).clamp(min=0)


class Moves:
    """Changes of one block of a flat encoding to another of its atoms.

    Number m of `count` moves sets the columns of one block to one atom, whatever they were. In
    blocks of very many atoms, such as the rows of a table, only moves of squared length up to
    `LOCAL` are proposed. Uniform coordinates are not moved: they are `continuous`.

    Args:
        blocks: the law of the space; see `Space.blocks`.
        device: of the encodings.
    """

    def __init__(self, blocks: Sequence[Block], device: torch.device | str | None = None) -> None:
        shapes: dict[tuple[int, int], list[AtomBlock]] = {}
        free = []
        for block in blocks:
            if isinstance(block, UniformBlock):
                free.append(block.start)
                continue
            listed = block.expand() if isinstance(block, UnionBlock) else block
            shapes.setdefault((len(listed.atoms), listed.width), []).append(listed)
        self.continuous = torch.tensor(free, dtype=torch.long, device=device)
        self._groups: list[_Group] = []
        self.count = 0
        for (_, width), members in sorted(shapes.items()):
            starts = torch.tensor([block.start for block in members])
            atoms = torch.stack([block.atoms.double() for block in members])
            columns = starts[:, None] + torch.arange(width)
            group = _Group(columns.to(device), atoms.to(device), self.count)
            self._groups.append(group)
            self.count += group.count

    def round(self, x: Tensor) -> Tensor:
        """Set each block of `S x D` to its nearest atom, and clamp uniform coordinates."""
        x = x.clone()
        x[:, self.continuous] = x[:, self.continuous].clamp(0, 1)
        for group in self._groups:
            nearest = group.distances(x).argmin(-1)
            x[:, group.columns] = group.atoms[torch.arange(len(group.atoms)), nearest]
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
                gain = gain - (slope * x[:, group.columns]).sum(-1, keepdim=True)
                silent = (slope == 0).all(-1).all(0)
                gain = gain.masked_fill(silent[None, :, None], math.inf)
            barred = squares <= SAME
            if group.atoms.shape[1] > MANY_ATOMS and group.columns.shape[1] > 1:
                barred |= squares > LOCAL + 1e-6
            parts.append(gain.masked_fill(barred, -math.inf).flatten(1))
        if not parts:
            return x.new_empty(len(x), 0)
        return torch.cat(parts, 1)

    def apply(self, x: Tensor, moves: Tensor) -> Tensor:
        """Make one move from each encoding: `R x D` and `R` numbers of moves to `R x D`."""
        x = x.clone()
        self._set(x, torch.arange(len(x), device=x.device), moves)
        return x

    def jumps(self, x: Tensor, gains: Tensor) -> tuple[Tensor, Tensor]:
        """Make several promising moves at once: the best of 2, 4, 8, ... blocks.

        Args:
            x: encodings, `S x D`.
            gains: finite where a gradient told, `S x count`.

        Returns:
            Encodings, `R x D`, and which row of `x` each comes from, `R`.
        """
        blocks = sum(len(group.atoms) for group in self._groups)
        sizes = [2**i for i in range(1, max(blocks - 1, 1).bit_length() + 1) if 2**i <= blocks]
        best, numbers = self._best_of_blocks(gains)
        best, order = best.sort(dim=1, descending=True)
        numbers = numbers.gather(1, order)
        useful = ((best > 0) & best.isfinite()).sum(1)
        rows, owners = [], []
        for size, before in zip(sizes, (1, *sizes), strict=False):
            chosen = (useful > before).nonzero()[:, 0]
            if not len(chosen):
                break
            moved = x[chosen].clone()
            for i in range(size):
                some = (useful[chosen] > i).nonzero()[:, 0]
                self._set(moved, some, numbers[chosen[some], i])
            rows.append(moved)
            owners.append(chosen)
        if not rows:
            return x[:0], torch.empty(0, dtype=torch.long, device=x.device)
        return torch.cat(rows), torch.cat(owners)

    def _best_of_blocks(self, gains: Tensor) -> tuple[Tensor, Tensor]:
        """Return the best gain of each block and the number of its move, `S x blocks` each."""
        values, numbers = [], []
        for group in self._groups:
            part = gains[:, group.first : group.first + group.count]
            best = part.view(len(gains), *group.atoms.shape[:2]).max(-1)
            offsets = torch.arange(len(group.atoms), device=gains.device) * group.atoms.shape[1]
            values.append(best.values)
            numbers.append(group.first + offsets + best.indices)
        return torch.cat(values, 1), torch.cat(numbers, 1)

    def _set(self, x: Tensor, rows: Tensor, moves: Tensor) -> None:
        """Make move `moves[i]` in row `rows[i]` of `x`, in place; no row occurs twice."""
        for group in self._groups:
            local = moves - group.first
            inside = (local >= 0) & (local < group.count)
            block = local[inside] // group.atoms.shape[1]
            atom = local[inside] % group.atoms.shape[1]
            x[rows[inside][:, None], group.columns[block]] = group.atoms[block, atom]


def enumerate_blocks(blocks: Sequence[Block], limit: int) -> Tensor | None:
    """Return all encodings of a space, `size x D`, or None if there are more than `limit`."""
    listed = []
    for block in blocks:
        if isinstance(block, UniformBlock) or _count(block) > limit:
            return None
        listed.append(block.expand() if isinstance(block, UnionBlock) else block)
    if math.prod(len(block.atoms) for block in listed) > limit:
        return None
    indices = [torch.arange(len(block.atoms)) for block in listed]
    grids = torch.meshgrid(*indices, indexing="ij")
    x = torch.empty(grids[0].numel(), sum(b.width for b in listed), dtype=torch.double)
    for block, grid in zip(listed, grids, strict=True):
        x[:, block.start : block.start + block.width] = block.atoms.double()[grid.flatten()]
    return x


def _count(block: AtomBlock | UnionBlock) -> int:
    if isinstance(block, AtomBlock):
        return len(block.atoms)
    return sum(math.prod(len(block.factors[i].atoms) for i in part) for part in block.parts)
