"""How alike architectures are, as a fitted Gaussian process sees it or as is assumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import Space
from naslib_diffusion.surrogates.base import Surrogate
from naslib_diffusion.surrogates.once import features
from naslib_diffusion.surrogates.posterior import RBF, Radial, squared_distances


@dataclass(frozen=True)
class Correlation:
    """A kernel `sum_k share_k c(|z_k - z'_k|^2)` of embeddings `z`.

    Attributes:
        embed: maps encodings, `B x *shape`, to the embeddings, `B x K_k` each.
        shares: add up to one.
        radial: the correlation c.
    """

    embed: Callable[[Tensor], Sequence[Tensor]]
    shares: tuple[float, ...]
    radial: Radial = RBF

    @staticmethod
    def of(space: Space[Any], lengths: Sequence[float]) -> Correlation:
        """Return the mean of one RBF for each group of a space's features."""

        def embed(x: Tensor) -> list[Tensor]:
            groups = zip(features(space, x), lengths, strict=True)
            return [group / length for group, length in groups]

        return Correlation(embed, (1 / len(lengths),) * len(lengths))

    @staticmethod
    def mean(several: Sequence[Correlation]) -> Correlation:
        """Return the mean of correlations; the radial is that of the first."""

        def embed(x: Tensor) -> list[Tensor]:
            return [z for own in several for z in own.embed(x)]

        shares = tuple(share / len(several) for own in several for share in own.shares)
        return Correlation(embed, shares, several[0].radial)

    def __call__(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
        """Correlate embedded points, `n x m`."""
        terms = [
            share * self.radial.value(squared_distances(left, right))
            for share, left, right in zip(self.shares, a, b, strict=True)
        ]
        return torch.stack(terms).sum(0)


@runtime_checkable
class Correlated(Surrogate, Protocol):
    """A surrogate that tells how alike architectures are."""

    @property
    def correlation(self) -> Correlation:
        """Return the correlation under the parameters that were fitted."""
