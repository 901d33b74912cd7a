"""Where operations stand in a NAS-Bench-201 cell: features that the teacher of a prior sees."""

from __future__ import annotations

import torch
from torch import Tensor

from naslib_diffusion.spaces.nasbench201_features import path_sequences, tree_levels

_SCALE = (0.786,) * 3 + (0.763,) * 3 + (0.373,) * 3 + (1.017,) * 3 + (0.4963,)
"""About the standard deviations of the features over the 6,466 classes."""


def cell_places(operations: Tensor) -> Tensor:
    """Return where operations stand, each feature scaled to unit deviation over the classes.

    Args:
        operations: `B x 6 x 5`; see `cell_features`.

    Returns:
        `B x 13`: conv 1x1, conv 3x3 and pool by number at each distance from the output, the same
        as first operations of paths, and pure skips by number.
    """
    paths = path_sequences(operations).sum(1)
    first = paths @ _first_operations().to(paths)
    places = torch.cat([tree_levels(operations).flatten(1), first, paths[:, :1]], 1)
    return places / places.new_tensor(_SCALE)


def _first_operations() -> Tensor:
    """Return the first operation of each of the 40 sequences, one-hot; `40 x 3`."""
    operations = torch.eye(3)
    by_length = [operations.repeat_interleave(count, 0) for count in (1, 3, 9)]
    return torch.cat([torch.zeros(1, 3), *by_length])
