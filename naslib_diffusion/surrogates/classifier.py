"""Which points can be evaluated at all: a Gaussian process on labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from naslib_diffusion.runtime.threads import one_thread
from naslib_diffusion.surrogates.posterior import rbf, squared_distances

LENGTHS = (0.25, 0.4, 0.65, 1.0)
"""Length scales that compete by their evidence, in units of the root mean squared distance."""
VARIANCES = (4.0, 16.0, 64.0)
"""Prior variances of the latent function that compete too: the larger, the surer are labels next
to known ones. That of its local part, and that of a slope along a coordinate: a trend, since
restrictions such as a largest product of sizes cut off a corner."""
LEVEL = 0.25
"""Variance of its level, in units of that."""
STEPS = 12
"""Newton steps; the posterior is concave in logarithms, and few are needed."""
SURE = 0.1
"""Variance of the latent value at a label. Laplace's own is as large as the prior's where labels
are sure, since they say nothing of how far from zero it is there. With that, a point that failed
could be tried again and again."""
LIMIT = 300
"""Only the latest labels count beyond so many."""


@dataclass(frozen=True)
class Classifier:
    """Logarithm of the probability that a label is true (probit likelihood, Laplace's method).

    Rasmussen and Williams (2006), algorithms 3.1 and 3.2. The variance is that given latent values
    at the labels, see `SURE`.

    Attributes:
        x: encodings of the labels, `n x D`.
        kernel: its length scale and variance.
        pull: gradient of the log likelihood at the mode, `n`.
        whiten: squares of this times covariances add up to what is known of the variance, `n x n`.
    """

    x: Tensor
    kernel: tuple[float, float]
    pull: Tensor
    whiten: Tensor

    @classmethod
    @one_thread()
    @torch.no_grad()
    def fit(cls, x: Tensor, labels: Tensor) -> Self:
        """Fit to encodings, `B x *shape`, and their labels, `B` booleans."""
        x, signs = x.flatten(1)[-LIMIT:].double(), torch.where(labels, 1.0, -1.0)[-LIMIT:].to(x)
        unit = math.sqrt(float(squared_distances(x, x).mean())) or 1.0
        kernels = [(unit * length, variance) for length in LENGTHS for variance in VARIANCES]
        covariances = torch.stack([_covariance(x, x, *kernel) for kernel in kernels])
        evidence, pull = _mode(covariances, signs.double())
        best = int(evidence.argmax())
        eye = torch.eye(len(signs)).to(x)
        factor = torch.linalg.cholesky(covariances[best] + SURE * eye)
        whiten = torch.linalg.solve_triangular(factor, eye, upper=False)
        return cls(x, kernels[best], pull[best], whiten)

    def __call__(self, x: Tensor) -> Tensor:
        """Score encodings, `B x *shape` to `B`."""
        z = x.flatten(1).to(self.x)
        cross = _covariance(z, self.x, *self.kernel)
        prior = self.kernel[1] * (1 + LEVEL + (z - 0.5).square().sum(1))
        variance = prior - (cross @ self.whiten.mT).square().sum(1)
        latent = cross @ self.pull / (1 + variance.clamp(min=0)).sqrt()
        found: Tensor = torch.special.log_ndtr(latent).to(x)
        return found


def _covariance(a: Tensor, b: Tensor, length: float, variance: float) -> Tensor:
    """Return the prior covariance of latent values, `n x D` and `m x D` to `n x m`."""
    local = rbf(squared_distances(a, b) / length**2)
    return variance * (local + (a - 0.5) @ (b - 0.5).mT + LEVEL)


def _mode(covariances: Tensor, signs: Tensor) -> tuple[Tensor, Tensor]:
    """Find the mode of the latent values under each of `G x n x n` covariances.

    Returns:
        The log evidence, `G`, and the gradient of the log likelihood at the mode, `G x n`.
    """
    latent = torch.zeros(covariances.shape[:2], dtype=covariances.dtype, device=signs.device)
    eye = torch.eye(len(signs), dtype=covariances.dtype, device=signs.device)
    for _ in range(STEPS):
        agreement = signs * latent
        log_density = -0.5 * agreement.square() - 0.5 * math.log(2 * math.pi)
        ratio = torch.exp(log_density - torch.special.log_ndtr(agreement))
        pull, curvature = signs * ratio, (ratio * (ratio + agreement)).clamp(min=1e-10)
        roots = curvature.sqrt()
        factor = torch.linalg.cholesky(eye + roots[:, :, None] * covariances * roots[:, None])
        aim = curvature * latent + pull
        reached = roots[..., None] * (covariances @ aim[..., None])
        weights = aim - roots * torch.cholesky_solve(reached, factor)[..., 0]
        latent = (covariances @ weights[..., None])[..., 0]
    fit = torch.special.log_ndtr(signs * latent).sum(1) - 0.5 * (weights * latent).sum(1)
    return fit - factor.diagonal(dim1=1, dim2=2).log().sum(1), pull
