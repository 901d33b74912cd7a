"""Structural features of NAS-Bench-201 cells, as polynomials of relaxed operations.

Each feature is a polynomial in the rows of the relaxed cell, or a smooth function of one, so it
has its exact value at every cell and a gradient everywhere between. Read a relaxed row as a
distribution over operations: the features are expectations, as if paths were independent.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Source and target of each edge, in the order of the string form."""

PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))
"""The four input-output paths, as indices of edges."""

NONE, SKIP, CONV1, CONV3, POOL = range(5)

SUMMARY_SCALE = (0.754, 0.7143, 0.5579, 1.1, 1.1, 1.1, 0.4387)
"""About the standard deviations of the summary features over the 6,466 classes."""


def cell_features(operations: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two groups of features of (relaxed) cells.

    Args:
        operations: `B x 6 x 5`, one row per edge, over none, skip, conv 1x1, conv 3x3, pool.

    Returns:
        Path features, `B x 40`: log(1 + number of input-output paths) for each sequence of
        operations with skips dropped; and summary features, `B x 7`: live paths, longest and
        shortest convolutional depth, conv 1x1, conv 3x3 and pool by number, a pure skip.
    """
    paths = path_sequences(operations)
    return torch.log1p(paths.sum(1)), _summary(operations, paths)


def path_sequences(operations: Tensor) -> Tensor:
    """Return, per path, the probability of each sequence of operations; `B x 4 x 40`.

    Sequences are over conv 1x1, conv 3x3 and pool, by length (1 + 3 + 9 + 27 of them): a skip adds
    nothing to a sequence, and a `none` on the path leaves it without any.
    """
    # one index at a time: a list of them would be copied to the device in each call
    return torch.stack([_sequence([operations[:, i] for i in path]) for path in PATHS], 1)


def _sequence(edges: Sequence[Tensor]) -> Tensor:
    """Multiply the edges of one path in the algebra of sequences; each `B x 5`, to `B x 40`."""
    by_length = [edges[0].new_ones(len(edges[0]), 1)]
    for edge in edges:
        skip, real = edge[:, SKIP, None], edge[:, CONV1:]
        longer = [torch.einsum("bs,bo->bso", s, real).flatten(1) for s in by_length]
        same = [s * skip for s in by_length]
        by_length = [same[0], *(a + b for a, b in zip(same[1:], longer, strict=False)), longer[-1]]
    filled = torch.cat(by_length, 1)
    return torch.nn.functional.pad(filled, (0, 40 - filled.shape[1]))


def sequence_depths() -> Tensor:
    """Return the number of convolutions in each of the 40 sequences."""
    depths = [torch.zeros(1, device="cpu")]
    step = torch.tensor([1.0, 1.0, 0.0], device="cpu")
    for _ in range(3):
        depths.append((depths[-1][:, None] + step).flatten())
    return torch.cat(depths)


@functools.cache
def _summary_constants(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return which sequences have at least 1, 2, 3 convolutions, `40 x 3`, and the scale, `7`.

    Copied to a device once: a copy waits for all that goes on there.
    """
    deep = sequence_depths()[:, None] >= torch.arange(1, 4, device="cpu")
    scale = torch.tensor(SUMMARY_SCALE, dtype=dtype, device="cpu")
    return deep.to(device, dtype), scale.to(device)


def _summary(operations: Tensor, paths: Tensor) -> Tensor:
    """Return the summary features, each scaled to unit standard deviation; `B x 7`."""
    at_least, scale = _summary_constants(paths.device, paths.dtype)
    live, deep = paths.sum(-1), paths @ at_least
    nothing = _product(1 - live)
    # "the deepest path has at least k convolutions" = not all paths have fewer
    longest = (1 - _product(1 - deep)).sum(-1)
    shortest = (_product(1 - (live[..., None] - deep)) - nothing[:, None]).sum(-1)
    counts = tree_levels(operations).sum(1)
    pure_skip = 1 - _product(1 - paths[..., 0])
    summary = torch.cat(
        [torch.stack([live.sum(1), longest, shortest], 1), counts, pure_skip[:, None]], 1
    )
    return summary / scale


def _product(factors: Tensor) -> Tensor:
    """Multiply over the second dimension: the gradient of `prod` looks whether any factor is zero.

    For that a card would have to be waited for, and could not record it.
    """
    return functools.reduce(torch.mul, factors.unbind(1))


def tree_levels(operations: Tensor) -> Tensor:
    """Count real operations in the tree that flows into the output, by their distance from it.

    An operation that two paths share counts twice, as in the canonical form of a cell.

    Args:
        operations: `B x 6 x 5`; see `cell_features`.

    Returns:
        `B x 3 x 3`: real operations that follow on the way (0 to 2), by operation.
    """
    batch = operations.shape[0]
    live, levels = [operations.new_ones(batch)], [operations.new_zeros(batch, 3, 3)]
    for node in (1, 2, 3):
        incoming = [(e, source) for e, (source, target) in enumerate(EDGES) if target == node]
        dead, level = operations.new_ones(batch), operations.new_zeros(batch, 3, 3)
        for edge, source in incoming:
            skip, real = operations[:, edge, SKIP], operations[:, edge, CONV1:]
            passes = 1 - operations[:, edge, NONE]
            own = real * live[source][:, None]
            behind = levels[source][:, :2] * real.sum(1)[:, None, None]
            level = level + skip[:, None, None] * levels[source]
            level = level + torch.cat([own[:, None], behind], 1)
            dead = dead * (1 - passes * live[source])
        live.append(1 - dead)
        levels.append(level)
    return levels[3]
