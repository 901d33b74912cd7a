"""Structural features of NAS-Bench-Graph architectures, as polynomials of relaxed ones.

Read a relaxed row of V as a distribution over operations and a column of E as one over sources:
the features are expectations, as if all were independent, and exact at every architecture. Skips
are transparent: what counts is an operation's depth among the others, and which one precedes it.
"""

from __future__ import annotations

import torch
from torch import Tensor

DEPTH = 4


def tree_features(operations: Tensor, edges: Tensor) -> tuple[Tensor, ...]:
    """Return four groups of features of (relaxed) trees of four operations.

    Args:
        operations: `B x 4 x 9`, the last column the skip.
        edges: `B x 6 x 6`, upper-triangular adjacency of input, operations and output.

    Returns:
        Each operation's number, `B x 8`; its number at each depth, `B x 32`; pairs of an operation
        (or the input) and the next one, `B x 72`; and outputs by the last operation and by depth,
        `B x 12`.
    """
    real, skip = operations[..., :-1], operations[..., -1]
    counts = real.sum(1)
    # of each node: depth as a distribution over 0 .. 4, and the nearest operation over input and 8
    start = torch.ones_like(skip[:, :1])
    depths = [torch.nn.functional.pad(start, (0, DEPTH))]
    nearest = [torch.nn.functional.pad(start, (0, real.shape[-1]))]
    by_depth, pairs = [], []
    for node in range(1, DEPTH + 1):
        sources = edges[:, :node, node, None]
        depth = (sources * torch.stack(depths, 1)).sum(1)
        before = (sources * torch.stack(nearest, 1)).sum(1)
        here, passes = real[:, node - 1], skip[:, node - 1, None]
        by_depth.append(torch.einsum("bd,bo->bdo", depth[:, :-1], here))
        pairs.append(torch.einsum("ba,bo->bao", before, here))
        deeper = torch.nn.functional.pad(depth[:, :-1], (1, 0)) * here.sum(-1, keepdim=True)
        depths.append(deeper + passes * depth)
        nearest.append(torch.nn.functional.pad(here, (1, 0)) + passes * before)
    leaves = edges[:, 1:-1, -1, None]
    last = (leaves * torch.stack(nearest[1:], 1))[..., 1:].sum(1)
    length = (leaves * torch.stack(depths[1:], 1))[..., 1:].sum(1)
    return (
        counts,
        torch.stack(by_depth).sum(0).flatten(1),
        torch.stack(pairs).sum(0).flatten(1),
        torch.cat([last, length], 1),
    )
