"""Structural features of NAS-Bench-201 cells, as polynomials of relaxed operations.

Each feature is multilinear in the rows of the relaxed cell (or a smooth function of such terms), so
it has its exact value at every cell and a gradient everywhere between. Read a relaxed row as a
distribution over operations: the features are expectations, as if edges and paths were independent.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))
"""The four input-output paths, as indices of edges."""

NONE, SKIP, CONV1, CONV3, POOL = range(5)

_SUMMARY_SCALE = (0.754, 0.7143, 0.5579, 1.0355, 1.0355, 1.0355, 0.4387)
"""Standard deviations of the summary features over the 6,466 classes."""


def cell_features(operations: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two groups of features of (relaxed) cells.

    Args:
        operations: `B x 6 x 5`, one row per edge, over none, skip, conv 1x1, conv 3x3, pool.

    Returns:
        Path features, `B x 40`: log(1 + number of input-output paths) for each sequence of
        operations with skips dropped; and summary features, `B x 7`: live paths, longest and
        shortest convolutional depth, live edges with conv 1x1, conv 3x3 and pool, a pure skip.
    """
    paths = path_sequences(operations)
    return torch.log1p(paths.sum(1)), _summary(operations, paths)


def path_sequences(operations: Tensor) -> Tensor:
    """Return, per path, the probability of each sequence of operations; `B x 4 x 40`.

    Sequences are over conv 1x1, conv 3x3 and pool, by length (1 + 3 + 9 + 27 of them): a skip adds
    nothing to a sequence, and a `none` on the path leaves it without any.
    """
    return torch.stack([_sequence(operations[:, list(path)]) for path in PATHS], 1)


def _sequence(edges: Tensor) -> Tensor:
    """Multiply the edges of one path in the algebra of sequences; `B x L x 5` to `B x 40`."""
    batch = edges.shape[0]
    by_length = [edges.new_ones(batch, 1)]
    for edge in edges.unbind(1):
        skip, real = edge[:, SKIP, None], edge[:, CONV1:]
        longer = [torch.einsum("bs,bo->bso", s, real).flatten(1) for s in by_length]
        same = [s * skip for s in by_length]
        by_length = [same[0], *(a + b for a, b in zip(same[1:], longer, strict=False)), longer[-1]]
    filled = torch.cat(by_length, 1)
    return torch.nn.functional.pad(filled, (0, 40 - filled.shape[1]))


def _depths() -> Tensor:
    """Return the number of convolutions in each of the 40 sequences."""
    depths = [torch.zeros(1)]
    for _ in range(3):
        depths.append((depths[-1][:, None] + torch.tensor([1.0, 1.0, 0.0])).flatten())
    return torch.cat(depths)


_DEPTHS = _depths()


def _summary(operations: Tensor, paths: Tensor) -> Tensor:
    """Return the summary features, each scaled to unit standard deviation; `B x 7`."""
    depths = _DEPTHS.to(paths.device)
    live = paths.sum(-1)
    nothing = (1 - live).prod(1)
    levels = range(1, 4)
    # "the deepest path has at least k convolutions" = not all paths have fewer
    longest = sum(1 - (1 - paths[..., depths >= k].sum(-1)).prod(1) for k in levels)
    shortest = sum((1 - paths[..., depths < k].sum(-1)).prod(1) - nothing for k in levels)
    counts = (operations[..., CONV1:] * _liveness(operations)[..., None]).sum(1)
    pure_skip = 1 - (1 - paths[..., 0]).prod(1)
    summary = torch.cat(
        [torch.stack([live.sum(1), longest, shortest], 1), counts, pure_skip[:, None]], 1
    )
    return summary / summary.new_tensor(_SUMMARY_SCALE)


def _liveness(operations: Tensor) -> Tensor:
    """Return the probability that the rest of some path through an edge is not cut; `B x 6`."""
    alive = (1 - operations[..., NONE]).unbind(1)
    columns = []
    for edge in range(6):
        rests = [[alive[i] for i in path if i != edge] for path in PATHS if edge in path]
        through = [math.prod(rest, start=torch.ones_like(alive[0])) for rest in rests]
        columns.append(1 - math.prod((1 - t for t in through), start=torch.ones_like(alive[0])))
    return torch.stack(columns, 1)
