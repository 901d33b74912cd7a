"""A surrogate that starts from a meta-learned belief and adapts to observations in closed form."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from naslib_diffusion.runtime.moving import moved
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.surrogates.posterior import squared_distances

DOUBTS = (1.0, 3.0, 10.0)
"""Factors of the residual variance that are tried, for tasks that differ more than most."""

DOUBT_COST = 1.0
"""Log-evidence that each further step of `DOUBTS` has to earn."""

PSEUDO = 0.3
"""Sum of squares of one pseudo-observation, which keeps the unit of few targets sane."""


class Belief(Protocol):
    """What is believed of a task before anything is observed."""

    def belief(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map encodings (`B x *shape`) to mean and relative deviation, `B` each.

        Higher is better; the unit is the spread of the mean over the space. A deviation of 1 is
        that between tasks, more is for what earlier tasks say little about.
        """


@dataclass(frozen=True)
class Residual:
    """How tasks differ from what is believed of them, in the unit of the belief.

    Attributes:
        variance: between tasks.
        noise: variance of a single observation.
        lengths: length scale for each group of the space's features.
    """

    variance: float
    noise: float
    lengths: tuple[float, ...]


@dataclass(frozen=True)
class _Fit:
    """How observations relate to the belief: `target = shift + unit * (mean + residual)`."""

    evidence: float
    doubt: float = 1.0
    shift: float = 0.0
    unit: float = 1.0


class AdaptedSurrogate:
    """Gaussian process around a belief: `y = shift + unit * (mean(x) + deviation(x) * e(x))`.

    The residual `e` has the structural kernel. Shift and unit have closed forms (restricted
    likelihood), and the residual's variance is raised where the evidence asks for it. So one
    observation says nothing yet, two say a little, and fifty overrule the belief. What may be
    wrong altogether is weighed against other beliefs, or none, by its evidence; see
    `WeighedSurrogate`.

    Args:
        space: of the encodings.
        belief: before any observation.
        residual: how far to trust it.
    """

    def __init__(self, space: Space[Any], belief: Belief, residual: Residual) -> None:
        self.space, self.belief, self.residual = space, belief, residual
        self._fit = _Fit(0.0)
        self._observed: _Observed | None = None

    def to(self, device: torch.device | str) -> AdaptedSurrogate:
        """Return the same on another device, to be fitted there."""
        return AdaptedSurrogate(self.space, moved(self.belief, device), self.residual)

    @property
    def evidence(self) -> float:
        """Log-likelihood of what it was fitted to, up to a constant of the number of targets."""
        return self._fit.evidence

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Fit to encodings (`B x *shape`) and targets (`B`); without any, the belief speaks."""
        self._fit, self._observed = _Fit(0.0), None
        if not len(y):
            return self
        mean, root, groups = self._describe(x)
        unit_kernel = self.residual.variance * self._correlate((root, groups), (root, groups))
        self._fit = max(
            (self._explain(step, unit_kernel, mean, y) for step in range(len(DOUBTS))),
            key=lambda fit: fit.evidence,
        )
        return self._condition(mean, root, groups, (y - self._fit.shift) / self._fit.unit)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the latent function (`B` each)."""
        mean, root, groups = self._describe(x)
        variance = self._variance * root.square()
        if self._observed is not None:
            seen = self._observed
            cross = self._variance * self._correlate((root, groups), (seen.root, seen.groups))
            mean = mean + cross @ seen.weights
            solved = torch.linalg.solve_triangular(seen.factor, cross.mT, upper=False)
            variance = variance - solved.square().sum(0)
        deviation = variance.clamp(min=1e-10).sqrt()
        return self._fit.shift + self._fit.unit * mean, self._fit.unit * deviation

    def fantasize(self, x: Tensor) -> Self:
        """Return a copy that takes `x` (`B x *shape`) as observed at its posterior mean."""
        return self.observe(x, self.posterior(x)[0].detach())

    def observe(self, x: Tensor, y: Tensor) -> Self:
        """Return a copy that knows targets (`B`) at `x` too, under shift and unit as they are."""
        level = (y - self._fit.shift) / self._fit.unit
        mean, root, groups = self._describe(x)
        seen = self._observed
        if seen is not None:
            level, mean = torch.cat([seen.levels, level]), torch.cat([seen.mean, mean])
            root = torch.cat([seen.root, root])
            groups = [torch.cat(pair) for pair in zip(seen.groups, groups, strict=True)]
        other = copy.copy(self)
        return other._condition(mean.detach(), root.detach(), groups, level)

    @property
    def _variance(self) -> float:
        return self.residual.variance * self._fit.doubt

    def _describe(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return mean and deviation of the belief, and features."""
        mean, deviation = self.belief.belief(x)
        return mean, deviation, list(self.space.features(x))

    def _correlate(
        self, a: tuple[Tensor, Sequence[Tensor]], b: tuple[Tensor, Sequence[Tensor]]
    ) -> Tensor:
        """Return the kernel of `e`, times the deviations; `n x m`."""
        kernels = [
            torch.exp(-0.5 * squared_distances(left, right) / length**2)
            for left, right, length in zip(a[1], b[1], self.residual.lengths, strict=True)
        ]
        return a[0][:, None] * torch.stack(kernels).mean(0) * b[0]

    def _explain(self, step: int, unit_kernel: Tensor, mean: Tensor, y: Tensor) -> _Fit:
        """Fit shift and unit under one of the `DOUBTS`.

        In targets divided by the unit, `q y = q shift + mean + e`. The shift is integrated out
        under a flat prior; in q the log-likelihood is `n log q - (q^2 a - 2 q b) / 2 + const`,
        whose maximum is a root of a quadratic.
        """
        n, ones = len(y), torch.ones_like(y)
        noise = self.residual.noise * torch.eye(n).to(y)
        factor = torch.linalg.cholesky(DOUBTS[step] * unit_kernel.detach() + noise)
        columns = torch.stack([ones, y, mean.detach()], 1)
        solved = torch.linalg.solve_triangular(factor, columns, upper=False)
        inner = solved.mT @ solved  # of ones, y and mean under the precision
        along = inner[0] / inner[0, 0]
        (a, b), (_, c) = (inner - torch.outer(inner[0], along))[1:, 1:].tolist()
        a = a + PSEUDO
        q = (b + math.sqrt(b * b + 4 * n * a)) / (2 * a)
        log_determinant = 2 * float(factor.diagonal().log().sum())
        evidence = n * math.log(q) - 0.5 * (
            q * q * a - 2 * q * b + c + log_determinant + math.log(float(inner[0, 0]))
        )
        shift = float(along[1]) - float(along[2]) / q
        return _Fit(evidence - DOUBT_COST * step, DOUBTS[step], shift, 1 / q)

    def _condition(
        self, mean: Tensor, root: Tensor, groups: Sequence[Tensor], levels: Tensor
    ) -> Self:
        """Take `levels`, in the unit of the belief, as the observations."""
        root, groups = root.detach(), [group.detach() for group in groups]
        kernel = self._variance * self._correlate((root, groups), (root, groups))
        factor = torch.linalg.cholesky(
            kernel + self.residual.noise * torch.eye(len(mean)).to(kernel)
        )
        weights = torch.cholesky_solve((levels - mean.detach())[:, None], factor)[:, 0]
        self._observed = _Observed(mean.detach(), root, groups, levels, factor, weights)
        return self


@dataclass(frozen=True, eq=False)
class _Observed:
    """The observations, in the unit of the belief, and what the posterior needs of them."""

    mean: Tensor
    root: Tensor
    groups: list[Tensor]
    levels: Tensor
    factor: Tensor
    weights: Tensor
