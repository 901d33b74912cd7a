"""Features of NAS-Bench-201 cells together with their gradients, in closed form.

The same polynomials as `nasbench201_features.cell_features`, several times as fast as automatic
differentiation, in any precision, and without synchronisation. Batches are the last axis here:
a coordinate of all cells is one stretch of memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from naslib_diffusion.spaces.nasbench201_features import (
    CONV1,
    NONE,
    PATHS,
    SKIP,
    SUMMARY_SCALE,
    path_sequences,
    sequence_depths,
)

Pullback = Callable[[Tensor, Tensor], Tensor]

KINDS = 8
"""What is told of a path: whether it is live; has at least 1, 2, 3 convolutions; has fewer than
1, 2, 3; is a pure skip."""


def linearize_cell_features(operations: Tensor) -> tuple[tuple[Tensor, Tensor], Pullback]:
    """Return the features of relaxed cells, and the way back.

    Args:
        operations: `B x 6 x 5`, see `cell_features`.

    Returns:
        Path features, `B x 40`, and summary features, `B x 7`; and the function that maps the
        gradients of any numbers by these (`B x 40` and `B x 7`) to those by `operations`.
    """
    p = operations.permute(1, 2, 0).contiguous()
    maps = _maps(p.device, p.dtype)
    monomials, monomials_back = _monomials(p[:, SKIP:])
    told = torch.addmm(maps.told_offset, maps.told, monomials)
    counts, not_so = told[:40], told[40:].view(KINDS, len(PATHS), -1)
    none_so, none_so_back = _product_of_four(not_so)
    convolutions, convolutions_back = _convolutions(p)
    parts = torch.cat([not_so[0], none_so, convolutions])
    summary = torch.addmm(maps.summary_offset, maps.summary, parts)

    def pullback(by_paths: Tensor, by_summary: Tensor) -> Tensor:
        by_parts = maps.summary.mT @ by_summary.mT
        by_dead, by_none_so, by_convolutions = torch.split(by_parts, [len(PATHS), KINDS, 3])
        by_not_so = none_so_back(by_none_so)
        by_not_so[0] += by_dead
        by_told = torch.cat([by_paths.mT / (1 + counts), by_not_so.flatten(0, 1)])
        by_live = monomials_back(maps.told.mT @ by_told)
        by_none = convolutions_back(by_convolutions, by_live)
        return torch.cat([by_none[:, None], by_live], 1).permute(2, 0, 1)

    return (torch.log1p(counts).mT, summary.mT), pullback


def _monomials(q: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return the probabilities of all live paths, by `PATHS`; `6 x 4 x B` to `100 x B`.

    And the way back: the gradient by `q` from that by the probabilities.
    """
    first, last = q[:2], q[4:]  # the edges of both paths of two
    pairs = first[:, :, None] * last[:, None]
    early = (q[0][:, None] * q[2]).flatten(0, 1)
    triples = early[:, None] * q[5]

    def back(by: Tensor) -> Tensor:
        by_d, by_pairs, by_triples = torch.split(by, [4, 32, 64])
        by_pairs, by_triples = by_pairs.view_as(pairs), by_triples.view_as(triples)
        by_first = (by_pairs * last[:, None]).sum(2)
        by_last = (by_pairs * first[:, :, None]).sum(1)
        by_early = (by_triples * q[5]).sum(1).view(4, 4, -1)
        by_c = (by_early * q[0][:, None]).sum(0)
        gradient = torch.cat([by_first, by_c[None], by_d[None], by_last])
        gradient[0] += (by_early * q[2]).sum(1)
        gradient[5] += (by_triples * early[:, None]).sum(0)
        return gradient

    return torch.cat([q[3], pairs.flatten(0, 2), triples.flatten(0, 1)]), back


def _product_of_four(f: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Multiply along the second axis, `K x 4 x B` to `K x B`; and the way back."""
    f = f.view(len(f), 2, 2, -1)
    pairs = f[:, :, 0] * f[:, :, 1]

    def back(by: Tensor) -> Tensor:
        by_pairs = by[:, None] * pairs.flip(1)
        return (by_pairs[:, :, None] * f.flip(2)).flatten(1, 2)

    return pairs[:, 0] * pairs[:, 1], back


def _convolutions(p: Tensor) -> tuple[Tensor, Callable[[Tensor, Tensor], Tensor]]:
    """Count real operations in the tree that flows into the output, `6 x 5 x B` to `3 x B`.

    The sum of `tree_levels` over its levels: an operation counts once for each way from it to the
    output, if anything arrives where it begins. The way back adds the gradient by the live
    operations to a tensor, `6 x 4 x B`, and returns that by "none", `6 x B`.
    """
    real, through, none = p[:, CONV1:], p[:, SKIP:].sum(1), p[:3, NONE]
    t2, t4, t5, dead1 = through[2], through[4], through[5], none[1]
    live1, passes2 = (1 - none[::2]).unbind(0)
    dead_long = 1 - passes2 * live1
    live2 = 1 - dead1 * dead_long
    ways = torch.stack(
        [torch.addcmul(t4, t5, t2), t5, t5 * live1, torch.ones_like(t5), live1, live2]
    )

    def back(by: Tensor, by_live: Tensor) -> Tensor:
        by_ways = (real * by).sum(1)
        by0, by1, by2, _, by4, by5 = by_ways.unbind(0)
        by_t5 = torch.addcmul(torch.addcmul(by1, by0, t2), by2, live1)
        zero = torch.zeros_like(by0)
        by_live += torch.stack([zero, zero, by0 * t5, zero, by0, by_t5])[:, None]
        by_live[:, CONV1 - SKIP :] += by * ways[:, None]
        by_long = by5 * dead1
        by_live1 = torch.addcmul(torch.addcmul(by4, by2, t5), by_long, passes2)
        by_passes = [by_live1, by5 * dead_long, by_long * live1, zero, zero, zero]
        return -torch.stack(by_passes)

    return (real * ways[:, None]).sum(0), back


@dataclass(frozen=True)
class _Maps:
    """The linear maps between polynomials of cells.

    Attributes:
        told: from the probabilities of live paths to what they add up to, `72 x 100`: the 40
            sequences of operations, and all `KINDS` for each path.
        told_offset: `72 x 1`; what is told of a path is the probability that it is not so.
        summary: to the summary features, `7 x 15`, from the probabilities that each path is not
            live, that no path is of a kind (all `KINDS`), and the three numbers of operations.
        summary_offset: `7 x 1`.
    """

    told: Tensor
    told_offset: Tensor
    summary: Tensor
    summary_offset: Tensor


@functools.cache
def _maps(device: torch.device, dtype: torch.dtype) -> _Maps:
    own = torch.zeros(len(PATHS), 40, 100)
    start = 0
    for number, path in enumerate(PATHS):
        grids = torch.meshgrid(*[torch.arange(4)] * len(path), indexing="ij")
        chosen = torch.stack([grid.flatten() for grid in grids], 1)
        cells = torch.zeros(len(chosen), 6, 5)
        for place, edge in enumerate(path):
            cells[torch.arange(len(chosen)), edge, SKIP + chosen[:, place]] = 1
        own[number, :, start : start + len(chosen)] = path_sequences(cells)[:, number].T
        start += len(chosen)
    depths = sequence_depths()
    levels = torch.arange(1, 4)[:, None]
    kinds = torch.cat([torch.ones(1, 40), depths >= levels, depths < levels, torch.eye(40)[:1]])
    so = torch.einsum("ks,psm->kpm", kinds, own).flatten(0, 1)
    offset = torch.cat([torch.zeros(40, 1), torch.ones(len(so), 1)])
    summary, summary_offset = torch.zeros(7, 15), torch.tensor([4.0, 3, 0, 0, 0, 0, 1])
    summary[0, :4] = -1  # live paths
    summary[1, 5:8] = -1  # longest: so many convolutions at least
    summary[2, 8:11], summary[2, 4] = 1, -3  # shortest: unless no path is live
    summary[3:6, 12:] = torch.eye(3)
    summary[6, 11] = -1  # a pure skip
    scale = torch.tensor(SUMMARY_SCALE, dtype=torch.double)[:, None]
    maps = torch.cat([own.sum(0), -so]), offset, summary / scale, summary_offset[:, None] / scale
    return _Maps(*(m.to(device, dtype) for m in maps))
