"""Features of NAS-Bench-201 cells together with their gradients, in closed form.

The same polynomials as `nasbench201_features.cell_features`, several times as fast as automatic
differentiation, in any precision, and without synchronisation. Batches are the last axis here:
a coordinate of all cells is one stretch of memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

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
    monomials, monomials_back = _monomials(p[:, SKIP:])
    linear = _path_maps(p.device, p.dtype)
    told = linear @ monomials
    counts, paths = told[:40], told[40:].view(KINDS, len(PATHS), -1)
    none_so, none_so_back = _product_of_four(1 - paths)
    convolutions, convolutions_back = _convolutions(p)
    scale = _summary_scale(p.device, p.dtype)
    summary = torch.cat([
        paths[:1].sum(1), 3 - none_so[1:4].sum(0, keepdim=True),
        none_so[4:7].sum(0, keepdim=True) - 3 * none_so[:1], convolutions, 1 - none_so[7:],
    ]) / scale  # fmt: skip

    def pullback(by_paths: Tensor, by_summary: Tensor) -> Tensor:
        by = by_summary.mT / scale
        live, longest, shortest, pure = by[0], by[1], by[2], by[6]
        by_none = torch.stack([-3 * shortest, *[-longest] * 3, *[shortest] * 3, -pure])
        by_kinds = -none_so_back(by_none)
        by_kinds[0] += live
        by_told = torch.cat([by_paths.mT / (1 + counts), by_kinds.flatten(0, 1)])
        gradient = convolutions_back(by[3:6])
        gradient[:, SKIP:] += monomials_back(linear.mT @ by_told)
        return gradient.permute(2, 0, 1)

    return (torch.log1p(counts).mT, summary.mT), pullback


def _monomials(q: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return the probabilities of all live paths, by `PATHS`; `6 x 4 x B` to `100 x B`.

    And the way back: the gradient by `q` from that by the probabilities.
    """
    a, b, c, d, e, f = q
    early = _outer(a, c)
    parts = [d, _outer(a, e), _outer(b, f), _outer(early, f)]

    def back(by: Tensor) -> Tensor:
        by_d, by_ae, by_bf, by_acf = torch.split(by, [4, 16, 16, 64])
        a1, e1 = _outer_back(by_ae, a, e)
        b1, f1 = _outer_back(by_bf, b, f)
        by_early, f2 = _outer_back(by_acf, early, f)
        a2, c1 = _outer_back(by_early, a, c)
        return torch.stack([a1 + a2, b1, c1, by_d, e1, f1 + f2])

    return torch.cat(parts), back


def _outer(a: Tensor, b: Tensor) -> Tensor:
    return (a[:, None] * b).flatten(0, 1)


def _outer_back(by: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    by = by.view(len(a), len(b), -1)
    return (by * b).sum(1), (by * a[:, None]).sum(0)


def _product_of_four(f: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Multiply along the second axis, `K x 4 x B` to `K x B`; and the way back."""
    a, b, c, d = f.unbind(1)
    left, right = a * b, c * d

    def back(by: Tensor) -> Tensor:
        by_left, by_right = by * right, by * left
        return torch.stack([by_left * b, by_left * a, by_right * d, by_right * c], 1)

    return left * right, back


def _convolutions(p: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Count real operations in the tree that flows into the output, `6 x 5 x B` to `3 x B`.

    The sum of `tree_levels` over its levels. The way back returns `6 x 5 x B`.
    """
    real, through = p[:, CONV1:], p[:, SKIP:].sum(1)
    a0, a1, a2, *_ = (1 - p[:, NONE]).unbind(0)
    t2, t4, t5 = through[2], through[4], through[5]
    first_dead, long_dead = 1 - a1, 1 - a2 * a0
    live1, live2 = a0, 1 - first_dead * long_dead
    c1 = real[0]
    c2 = real[1] + real[2] * live1 + t2 * c1
    c3 = real[3] + real[4] * live1 + t4 * c1 + real[5] * live2 + t5 * c2

    def back(by: Tensor) -> Tensor:
        by_c2 = t5 * by
        by_c1 = t4 * by + t2 * by_c2
        by_live2 = (by * real[5]).sum(0)
        by_a2a0 = by_live2 * first_dead
        by_a0 = (by * real[4] + by_c2 * real[2]).sum(0) + by_a2a0 * a2
        gradient = torch.zeros_like(p)
        gradient[:, CONV1:] = torch.stack(
            [by_c1, by_c2, by_c2 * live1, by, by * live1, by * live2]
        )
        by_through = torch.stack([(by_c2 * c1).sum(0), (by * c1).sum(0), (by * c2).sum(0)])
        gradient[2, SKIP:] += by_through[0]
        gradient[4, SKIP:] += by_through[1]
        gradient[5, SKIP:] += by_through[2]
        gradient[:3, NONE] = -torch.stack([by_a0, by_live2 * long_dead, by_a2a0 * a0])
        return gradient

    return c3, back


@functools.cache
def _path_maps(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return what the probabilities of live paths add up to, `72 x 100`.

    First the 40 sequences of operations, then all `KINDS` for each path.
    """
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
    told = torch.einsum("ks,psm->kpm", kinds, own)
    return torch.cat([own.sum(0), told.flatten(0, 1)]).to(device, dtype)


@functools.cache
def _summary_scale(device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.tensor(SUMMARY_SCALE, dtype=dtype)[:, None].to(device)
