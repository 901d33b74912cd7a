"""When two architectures count as one: if they are isomorphic, or only if they are the same.

Isomorphic cells compute the same family of functions, so that one accuracy is enough for all of
them. Their latency, energy, parameters and operations differ: an operation that leads nowhere is
still there. So equality is a property of the objective, chosen once, by a view of the space.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import A, Space, count_encodings
from naslib_diffusion.spaces.budgeted import Budgeted
from naslib_diffusion.spaces.fixed import Fixed
from naslib_diffusion.spaces.product import ProductSpace
from naslib_diffusion.spaces.restricted import Restricted
from naslib_diffusion.spaces.subset import Subset
from naslib_diffusion.spaces.view import View

Equality = Literal["isomorphic", "exact"]
EQUALITIES: tuple[str, ...] = get_args(Equality)


class Exact(View[A]):
    """A space in which no two architectures are equal, whatever they compute.

    The canonical form is the architecture itself. The features tell all architectures apart: there
    is the plain encoding beside the features of `space`. Everything else is as in `space`.

    Args:
        space: the space that is looked at.
    """

    @functools.cached_property
    def size(self) -> int | None:
        """Number of encodings, or an upper bound of it; None if it is infinite or unknown."""
        return None if self.blocks is None else count_encodings(self.blocks)

    def canonical(self, arch: A) -> Hashable:
        """Return the architecture itself."""
        return arch

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the groups of `space`, and one more that tells all architectures apart.

        It is the flattened encoding, `B x D`. For graphs, `B x N x F`, it also has how often each
        operation occurs, since an operation mostly costs the same wherever it is.
        """
        plain = x.flatten(1)
        own = torch.cat([plain, x.sum(1)], 1) if x.ndim == 3 else plain
        return (*self.space.features(x), own)


def under(space: Space[A], distinct: Equality) -> Space[A]:
    """Return `space` with that equality; itself where nothing changes.

    Raises:
        TypeError: if `space` is no space.
        ValueError: if `distinct` is neither "isomorphic" nor "exact".
    """
    if not hasattr(space, "encode"):
        raise TypeError(f"space must be a space, such as NASBench201(), not {space!r:.80}")
    if distinct not in EQUALITIES:
        raise ValueError(f"distinct must be 'isomorphic' or 'exact', not {distinct!r}")
    if distinct == "isomorphic" or isinstance(space, Exact) or _has_no_twins(space):
        return space
    return Exact(space)


def whole(space: Space[Any]) -> Space[Any]:
    """Return what `space` is a subset of, under the same equality; itself if it is whole."""
    if isinstance(space, Exact):
        return under(whole(space.space), "exact")
    return whole(space.space) if isinstance(space, Subset) else space


def pool_of(space: Space[A]) -> Subset[A] | None:
    """Return the list that a space is, under whatever equality; None of other spaces."""
    if isinstance(space, Exact):
        return pool_of(space.space)
    return space if isinstance(space, Subset) else None


def structure(space: Space[Any]) -> Space[Any]:
    """Return all that can be written as in `space`: without equality, list, budget and rule."""
    if isinstance(space, Exact | Subset | Budgeted | Restricted | Fixed):
        return structure(space.space)
    return space.unruled if isinstance(space, ProductSpace) else space


def _has_no_twins(space: Space[Any]) -> bool:
    """Whether canonical forms are known to tell all architectures apart.

    Features are equal for equal canonical forms: those that are the encoding merge nothing.
    """
    x = torch.linspace(0, 1, math.prod(space.shape), dtype=torch.double).view(1, *space.shape)
    groups = space.features(x)
    if len(groups) == 1 and torch.equal(groups[0], x.flatten(1)):
        return True
    return space.size is not None and space.size == Exact(space).size
