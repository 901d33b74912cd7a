"""What a Gaussian process knows after observations, and the gradient of that."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_VARIANCE = 1e-10
"""Smaller posterior variances, which are rounding errors, count as this one."""

SINGLE_NOISE = 9e-4
"""From how much noise, relative to the prior variance, single precision will do: what is left of
the variance at a point that was observed is about as much, and rounding adds some 4e-5."""

FAINTEST = -80.0
"""Smaller logarithms of correlations count as this one: where the exponential function leaves the
normal range of single precision, it takes ten times as long."""

Pullback = Callable[[Tensor, Tensor], Tensor]
"""Maps gradients of scores by mean and by deviation, `B` each, to those by points, `B x ...`."""


@dataclass(frozen=True)
class Radial:
    """A correlation that depends on the squared distance.

    Attributes:
        value: differentiable automatically; `B x n` to `B x n`.
        value_and_fall: maps squared distances, which it overwrites, and a factor to the
            correlation and to -2 times its derivative, both times the factor. They may be one
            tensor.
    """

    value: Callable[[Tensor], Tensor]
    value_and_fall: Callable[[Tensor, float], tuple[Tensor, Tensor]]


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return the squared Euclidean distances between rows, `n x K` and `m x K` to `n x m`."""
    cross = torch.addmm(b.square().sum(-1), a, b.mT, alpha=-2)
    return (cross + a.square().sum(-1)[:, None]).clamp(min=0)


def rbf(squares: Tensor) -> Tensor:
    """Return the correlation of a Gaussian kernel of unit length at squared distances."""
    return torch.exp(-0.5 * squares)


def matern(squares: Tensor) -> Tensor:
    """Return the Matern-5/2 correlation of unit length at squared distances."""
    distances = math.sqrt(5) * (squares + 1e-12).sqrt()  # the root has no gradient at zero
    return (1 + distances + 5 / 3 * squares) * torch.exp(-distances)


def _rbf_and_fall(squares: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    value = squares.mul_(-0.5).clamp_(min=FAINTEST).exp_().mul_(factor)
    return value, value


def _matern_and_fall(squares: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    distances = (5 * squares).sqrt_()
    decay = torch.neg(distances).clamp_(min=FAINTEST).exp_().mul_(factor)
    rising = distances.add_(1).mul_(decay)
    return squares.mul_(5 / 3).mul_(decay).add_(rising), rising.mul_(5 / 3)


RBF = Radial(rbf, _rbf_and_fall)
MATERN = Radial(matern, _matern_and_fall)


class Posterior:
    """The posterior under the kernel `sum_k v_k c(|z_k - z'_k|^2)` of embedded points.

    Points come as their embeddings, one for each term. It is computed for each point on its own,
    from the inverse of the Cholesky factor: batches are many points, and a product is faster than
    solving. The factorisation is as exact as the observations; points may be in single precision,
    and are computed with in it unless there is too little noise for that (`SINGLE_NOISE`).

    Args:
        radial: the correlation c.
        variances: `v_k`.
        known: embeddings of the observations, `n x K_k` each.
        targets: `n`.
        noise: variance of the observations' noise.

    Raises:
        torch.linalg.LinAlgError: if the covariance is not positive definite.
    """

    def __init__(
        self,
        radial: Radial,
        variances: Sequence[float],
        known: Sequence[Tensor],
        targets: Tensor,
        noise: float,
    ) -> None:
        self._radial, self._variances, self._known = radial, tuple(variances), tuple(known)
        eye = torch.eye(len(targets), dtype=targets.dtype, device=targets.device)
        factor = torch.linalg.cholesky(self.covariance(known) + noise * eye)
        self.weights = torch.cholesky_solve(targets[:, None], factor)[:, 0]
        """The mean of a point is its covariances with the observations times these, `n`."""
        self.whiten = torch.linalg.solve_triangular(factor, eye, upper=False).mT
        """Squares of covariances times this add up to what is known of the variance, `n x n`."""
        self._single: Posterior | None = None
        self._exact = noise < SINGLE_NOISE * sum(self._variances)

    def covariance(self, z: Sequence[Tensor]) -> Tensor:
        """Return the prior covariance of points with the observations, `B x n`."""
        parts = zip(self._variances, z, self._known, strict=True)
        terms = [v * self._radial.value(squared_distances(a, b)) for v, a, b in parts]
        return torch.stack(terms).sum(0)

    def __call__(self, z: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the latent function at points, `B` each."""
        cross = self.covariance(z)
        variance = sum(self._variances) - (cross @ self.whiten).square().sum(1)
        return cross @ self.weights, variance.clamp(min=LEAST_VARIANCE).sqrt()

    def joint(self, z: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the mean, `B`, and the covariance, `B x B`, of the latent function at points."""
        cross = self.covariance(z)
        parts = zip(self._variances, z, strict=True)
        own = [v * self._radial.value(squared_distances(a, a)) for v, a in parts]
        known = cross @ self.whiten
        return cross @ self.weights, torch.stack(own).sum(0) - known @ known.mT

    @torch.no_grad()
    def linearize(
        self, z: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Callable[[Tensor, Tensor], list[Tensor]]]:
        """Return mean and deviation, in the precision of the points, and the way back.

        The last maps the gradients of scores by mean and deviation, `B` each, to those by
        the embeddings.
        """
        given = z[0].dtype
        own = self._in(self.weights.dtype if self._exact else given)
        z = [at.to(own.weights.dtype) for at in z]
        cross, falls = own._covariance_and_falls(z)
        white = cross @ own.whiten
        variance = sum(own._variances) - torch.linalg.vector_norm(white, dim=1).square()
        least = max(LEAST_VARIANCE, 8 * torch.finfo(white.dtype).eps * sum(own._variances))
        deviation = variance.clamp(min=least).sqrt()

        @torch.no_grad()
        def pullback(by_mean: Tensor, by_deviation: Tensor) -> list[Tensor]:
            share = (by_deviation.to(white) / deviation).masked_fill(variance <= least, 0.0)
            by_white, by_cross = white * share[:, None], by_mean.to(white)[:, None] * own.weights
            by_cross.addmm_(by_white, own.whiten.mT, alpha=-1)
            gradients = []
            for fall, at, known in zip(falls, z, own._known, strict=True):
                pull = fall * by_cross
                gradient = (known.mT @ pull.mT).mT - pull.sum(1, keepdim=True) * at
                gradients.append(gradient.to(given))
            return gradients

        return (cross @ own.weights).to(given), deviation.to(given), pullback

    def _covariance_and_falls(self, z: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the covariance, and how fast each of its terms falls; see `Radial`."""
        values, falls = [], []
        for v, a, b in zip(self._variances, z, self._known, strict=True):
            value, fall = self._radial.value_and_fall(squared_distances(a, b), v)
            values.append(value)
            falls.append(fall)
        return sum(values[1:], values[0]), falls

    def _in(self, dtype: torch.dtype) -> Posterior:
        """Return the same in another precision, converted once."""
        if dtype == self.weights.dtype:
            return self
        if self._single is None or self._single.weights.dtype != dtype:
            other = object.__new__(Posterior)
            other._radial, other._variances, other._single = self._radial, self._variances, None
            other._known = tuple(b.to(dtype) for b in self._known)
            other.weights, other.whiten = self.weights.to(dtype), self.whiten.to(dtype)
            self._single = other
        return self._single
