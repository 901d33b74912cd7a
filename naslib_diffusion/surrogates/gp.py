"""Gaussian process whose kernel sees the structure that a space describes by its features."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from botorch.models import SingleTaskGP
from gpytorch.constraints import Positive
from gpytorch.kernels import AdditiveKernel, RBFKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import ZeroMean
from torch import Tensor

from naslib_diffusion.spaces.base import LinearizedFeatures, Space
from naslib_diffusion.surrogates.correlation import Correlation
from naslib_diffusion.surrogates.once import features
from naslib_diffusion.surrogates.posterior import (
    RBF,
    Posterior,
    Pullback,
    rbf,
    squared_distances,
)
from naslib_diffusion.surrogates.thinning import thin

MAX_FITTED, MAX_OBSERVATIONS = 300, 2000
"""More observations than these are thinned out (see `thin`): the first choose the hyperparameters,
the second are what the posterior knows. So time and memory stay bounded."""

LENGTH_FACTORS = (0.5, 1.0, 2.0, 4.0)
"""Length scales tried for each group, in units of its median distance between observations."""

NOISE_RATIOS = (1e-3, 1e-2, 5e-2, 0.2)
"""Noise variances tried, relative to the signal variance."""

ROUNDING = 1e-12
"""Squared distances up to this may be rounding errors between equal features."""


@dataclass(frozen=True)
class Hyperparameters:
    """What the evidence chooses: one length scale for each group, signal and noise variance."""

    lengths: tuple[float, ...]
    variance: float
    noise: float


class GaussianProcess:
    """Exact GP; its kernel is the mean of one RBF for each group of features of the space.

    `to_botorch` returns the same model as a model of BoTorch. There, the predictive distribution
    is joint over a batch, which costs some 30 times as much for a guide on 1,000 architectures.
    """

    hyperparameters: Hyperparameters

    def __init__(self, space: Space[Any]) -> None:
        self.space = space

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Fit to encodings (`B x *shape`) and targets (`B`, roughly standardised).

        Raises:
            ValueError: if the space's features are not finite, or no groups of `B x K`.
        """
        kept = thin(y, MAX_OBSERVATIONS)
        groups, y = _features(self.space, x[kept]), y[kept]
        fitted = thin(y, MAX_FITTED)
        self.hyperparameters = maximize_evidence([group[fitted] for group in groups], y[fitted])
        return self._condition(groups, y)

    def fantasize(self, x: Tensor) -> Self:
        """Return a copy that takes `x` (`B x *shape`) as observed at its posterior mean."""
        groups = [
            torch.cat([a, b.detach()])
            for a, b in zip(self._groups, features(self.space, x), strict=True)
        ]
        targets = torch.cat([self._targets, self.posterior(x)[0].detach()])
        return copy.copy(self)._condition(groups, targets)

    def _condition(self, groups: list[Tensor], y: Tensor) -> Self:
        """Take `groups` and `y` as the observations, under the present hyperparameters."""
        self._groups, self._targets = groups, y
        h = self.hyperparameters
        variances = [h.variance / len(groups)] * len(groups)
        self._posterior = Posterior(RBF, variances, self._scaled(groups), y, h.noise)
        return self

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the latent function (`B` each)."""
        return self._posterior(self._scaled(features(self.space, x)))

    @property
    def noise(self) -> float:
        """Variance of an observation around the latent function."""
        return self.hyperparameters.noise

    def joint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean, `B`, and the covariance, `B x B`, of the latent function."""
        return self._posterior.joint(self._scaled(features(self.space, x)))

    def linearize(self, x: Tensor) -> tuple[Tensor, Tensor, Pullback] | None:
        """Return mean, deviation and the way back; None without a closed form of features.

        See `naslib_diffusion.surrogates.base.Linearizable`.
        """
        if not isinstance(self.space, LinearizedFeatures):
            return None
        groups, features_back = self.space.linearize_features(x)
        mean, deviation, back = self._posterior.linearize(self._scaled(groups))

        def pullback(by_mean: Tensor, by_deviation: Tensor) -> Tensor:
            return features_back(self._scaled(back(by_mean, by_deviation)))

        return mean, deviation, pullback

    def _scaled(self, groups: Sequence[Tensor]) -> list[Tensor]:
        lengths = self.hyperparameters.lengths
        return [group / length for group, length in zip(groups, lengths, strict=True)]

    @property
    def correlation(self) -> Correlation:
        """How alike architectures are, by the fitted length scales."""
        return Correlation.of(self.space, self.hyperparameters.lengths)

    def to_botorch(self) -> SingleTaskGP:
        """Return the fitted model as a BoTorch model over concatenated features (`B x K`)."""
        kernels, start = [], 0
        for group, length in zip(self._groups, self.hyperparameters.lengths, strict=True):
            kernel = RBFKernel(active_dims=tuple(range(start, start + group.shape[1])))
            kernel.lengthscale = length
            kernels.append(kernel)
            start += group.shape[1]
        scaled = ScaleKernel(AdditiveKernel(*kernels))
        scaled.outputscale = self.hyperparameters.variance / len(kernels)
        likelihood = GaussianLikelihood(noise_constraint=Positive())
        likelihood.noise = self.hyperparameters.noise
        model = SingleTaskGP(
            torch.cat(self._groups, -1),
            self._targets[:, None],
            likelihood=likelihood,
            covar_module=scaled,
            mean_module=ZeroMean(),
            outcome_transform=None,
        )
        return model.to(self._targets).eval()


def _features(space: Space[Any], x: Tensor) -> list[Tensor]:
    """Return the features of observations, `B x K_i` each; a user's own space may be in error."""
    groups = space.features(x)
    shapes = [tuple(g.shape) if isinstance(g, Tensor) else type(g).__name__ for g in groups]
    if not shapes or any(len(s) != 2 or s[0] != len(x) for s in shapes):
        raise ValueError(
            f"features of space {space.name!r} must be a tuple of tensors, {len(x)} x K each, "
            f"not {shapes}"
        )
    if not all(bool(group.isfinite().all()) for group in groups):
        raise ValueError(f"features of space {space.name!r} must be finite")
    return [group.detach() for group in groups]


def _median_distance(squares: Tensor) -> float:
    """Return the median distance between observations from their squares, `n x n`.

    Where most pairs are repeats, that of the others; 1 if there are no others.
    """
    pairs = squares[~torch.eye(len(squares), dtype=torch.bool)]
    for chosen in (pairs, pairs[pairs > ROUNDING]):
        if len(chosen) and chosen.median() > ROUNDING:
            return float(chosen.median().sqrt())
    return 1.0


def maximize_evidence(groups: Sequence[Tensor], y: Tensor) -> Hyperparameters:
    """Maximise the marginal likelihood over a grid; the signal variance has a closed form.

    Deterministic and without local optima; all candidates are one batched Cholesky factorisation.

    Args:
        groups: features of the observations, `n x K_i` each.
        y: targets, `n`.
    """
    n = len(y)
    grids, kernels = [], []
    for group in groups:
        squares = squared_distances(group, group)
        unit = _median_distance(squares)
        grids.append([factor * unit for factor in LENGTH_FACTORS])
        kernels.append([rbf(squares / length**2) for length in grids[-1]])
    choices = list(itertools.product(*(range(len(grid)) for grid in grids)))
    means = torch.stack(
        [
            torch.stack([k[c] for k, c in zip(kernels, choice, strict=True)]).mean(0)
            for choice in choices
        ]
    )
    noises = torch.tensor(NOISE_RATIOS, dtype=torch.float).to(y)
    covariances = means + noises[:, None, None, None] * torch.eye(n).to(y)
    factors = torch.linalg.cholesky(covariances)
    whitened = torch.linalg.solve_triangular(factors, y[:, None], upper=False)[..., 0]
    # one pseudo-observation of unit variance keeps the variance of few or equal targets sane
    variances = (whitened.square().sum(-1) + 1) / (n + 1)
    log_determinants = factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    evidence = -0.5 * n * variances.log() - log_determinants
    noise_index, index = divmod(int(evidence.argmax()), len(choices))
    variance = float(variances[noise_index, index])
    lengths = tuple(grid[c] for grid, c in zip(grids, choices[index], strict=True))
    return Hyperparameters(lengths, variance, NOISE_RATIOS[noise_index] * variance)
