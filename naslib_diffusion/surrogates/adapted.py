"""A surrogate that starts from a belief and adapts to observations in closed form."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from naslib_diffusion.runtime.moving import moved
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.surrogates.correlation import Correlation
from naslib_diffusion.surrogates.once import once
from naslib_diffusion.surrogates.posterior import LEAST_VARIANCE
from naslib_diffusion.surrogates.thinning import thin

DOUBTS = (1.0, 3.0, 10.0, 30.0)
"""Factors of the residual's variance, for tasks that differ more than most."""

DOUBT_COST = 1.0
"""Log-evidence that each further step of `DOUBTS` has to earn."""

PSEUDO = 0.3
"""Sum of squares of one pseudo-observation, which keeps the unit of few targets sane."""

MAX_OBSERVATIONS = 300
"""More observations than this are thinned out (see `thin`): time and memory stay bounded."""


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
        lengths: length scale for each group of the space's features; none where a `Correlation`
            is told.
    """

    variance: float
    noise: float
    lengths: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class _Ways:
    """Ways in which targets may relate to the belief, `H` values each.

    `target = shift + unit * (mean + residual)`; the residual has its variance times `doubt`.
    """

    doubt: Tensor
    logits: Tensor
    shift: Tensor
    unit: Tensor

    @staticmethod
    def beforehand(like: Tensor) -> _Ways:
        """Return all ways, as likely as they are before any observation."""
        doubt = torch.tensor(DOUBTS).to(like)
        logits = torch.log_softmax(-DOUBT_COST * torch.arange(len(DOUBTS)).to(like), 0)
        return _Ways(doubt, logits, torch.zeros_like(doubt), torch.ones_like(doubt))

    def likely(self) -> _Ways:
        """Return the most likely way alone: mixing it with others makes searches slower."""
        kept = self.logits.argmax().view(1)
        return _Ways(*(values[kept] for values in vars(self).values()))

    @property
    def weights(self) -> Tensor:
        """How likely each is, `H`."""
        return torch.softmax(self.logits, 0)


class AdaptedSurrogate:
    """Gaussian process around a belief: `y = shift + unit * (mean(x) + deviation(x) * e(x))`.

    Shift and unit have closed forms (restricted likelihood). How much the residual `e` varies is
    chosen by evidence (`DOUBTS`), which before the first observation is averaged over. So one
    observation says nothing yet, two say a little, and a task that hardly follows the belief is
    modelled almost as one without. What may be wrong altogether is weighed against other beliefs,
    or none, by its evidence; see `WeighedSurrogate`.

    Args:
        space: of the encodings.
        belief: before any observation.
        residual: how far to trust it.
        correlation: that of the residual. The default is that of the space's features.
    """

    def __init__(
        self,
        space: Space[Any],
        belief: Belief,
        residual: Residual,
        correlation: Correlation | None = None,
    ) -> None:
        self.space, self.belief, self.residual = space, belief, residual
        self.correlation = correlation or Correlation.of(space, residual.lengths)
        self._observed: _Observed | None = None
        self._ways: _Ways | None = None
        self._evidence = 0.0

    def to(self, device: torch.device | str) -> AdaptedSurrogate:
        """Return the same on another device, to be fitted there."""
        belief = moved(self.belief, device)
        return AdaptedSurrogate(self.space, belief, self.residual, self.correlation)

    @property
    def evidence(self) -> float:
        """Log-likelihood of what it was fitted to, up to a constant of the number of targets."""
        return self._evidence

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Fit to encodings (`B x *shape`) and targets (`B`); without any, the belief speaks."""
        self._evidence, self._observed, self._ways = 0.0, None, _Ways.beforehand(y)
        if not len(y):
            return self
        rows = thin(y, MAX_OBSERVATIONS)
        with torch.no_grad():
            mean, root, embedded = self._describe(x[rows])
        kernels = self._covary(self._ways, (root, embedded), (root, embedded))
        ways = _explain(self._ways, kernels + self._noise(mean), mean, y[rows])
        self._evidence = float(torch.logsumexp(ways.logits, 0))
        self._ways = ways.likely()
        levels = (y[rows] - self._ways.shift[:, None]) / self._ways.unit[:, None]
        return self._condition(self._ways, mean, root, embedded, levels)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the latent function (`B` each)."""
        mean, root, embedded = self._describe(x)
        ways = self._ways or _Ways.beforehand(mean)
        means = mean.expand(len(ways.doubt), -1)
        variances = self.residual.variance * ways.doubt[:, None] * root.square()
        if self._observed is not None:
            seen = self._observed
            cross = self._covary(ways, (root, embedded), (seen.root, seen.embedded))
            means = means + (cross @ seen.weights)[..., 0]
            solved = torch.linalg.solve_triangular(seen.factor, cross.mT, upper=False)
            variances = variances - solved.square().sum(1)
        unit = ways.unit[:, None]
        variances = unit.square() * variances.clamp(min=LEAST_VARIANCE)
        return mixed(ways.weights, ways.shift[:, None] + unit * means, variances)

    @property
    def noise(self) -> float:
        """Variance of an observation around the latent function."""
        ways = self._ways
        units = 1.0 if ways is None else float((ways.weights * ways.unit.square()).sum())
        return self.residual.noise * units

    def fantasize(self, x: Tensor) -> Self:
        """Return a copy that takes `x` (`B x *shape`) as observed at its posterior mean."""
        return self.observe(x, self.posterior(x)[0].detach())

    def observe(self, x: Tensor, y: Tensor) -> Self:
        """Return a copy that knows targets (`B`) at `x` too, under shift and unit as they are."""
        ways = self._ways or _Ways.beforehand(y)
        levels = (y - ways.shift[:, None]) / ways.unit[:, None]
        with torch.no_grad():
            mean, root, embedded = self._describe(x)
        seen = self._observed
        if seen is not None:
            levels = torch.cat([seen.levels, levels], 1)
            mean, root = torch.cat([seen.mean, mean]), torch.cat([seen.root, root])
            pairs = zip(seen.embedded, embedded, strict=True)
            embedded = [torch.cat(pair) for pair in pairs]
        return copy.copy(self)._condition(ways, mean, root, embedded, levels)

    def _noise(self, like: Tensor) -> Tensor:
        return self.residual.noise * torch.eye(len(like)).to(like)

    def _describe(self, x: Tensor) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        """Return mean and deviation of the belief, and embeddings."""
        mean, deviation = once(self.belief.belief, x)
        return mean, deviation, self.correlation.embed(x)

    def _covary(
        self,
        ways: _Ways,
        a: tuple[Tensor, Sequence[Tensor]],
        b: tuple[Tensor, Sequence[Tensor]],
    ) -> Tensor:
        """Return the covariance of the residuals, each way; `H x n x m`."""
        once = a[0][:, None] * self.correlation(a[1], b[1]) * b[0]
        return self.residual.variance * ways.doubt[:, None, None] * once

    def _condition(
        self,
        ways: _Ways,
        mean: Tensor,
        root: Tensor,
        embedded: Sequence[Tensor],
        levels: Tensor,
    ) -> Self:
        """Take `levels`, in the unit of the belief, as the observations; `H x n`."""
        kernels = self._covary(ways, (root, embedded), (root, embedded))
        factor = torch.linalg.cholesky(kernels + self._noise(mean))
        weights = torch.cholesky_solve((levels - mean)[..., None], factor)
        self._ways = ways
        self._observed = _Observed(mean, root, embedded, levels, factor, weights)
        return self


@dataclass(frozen=True, eq=False)
class _Observed:
    """The observations, in the unit of the belief, and what the posterior needs of them."""

    mean: Tensor
    root: Tensor
    embedded: Sequence[Tensor]
    levels: Tensor
    factor: Tensor
    weights: Tensor


def mixed(weights: Tensor, means: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation, `B` each, of mixtures of `H` distributions, `H x B`."""
    shares = weights[:, None]
    mean = (shares * means).sum(0)
    spread = (shares * (variances + (means - mean).square())).sum(0)
    return mean, spread.clamp(min=LEAST_VARIANCE).sqrt()


def _explain(ways: _Ways, covariances: Tensor, mean: Tensor, y: Tensor) -> _Ways:
    """Fit shift and unit to targets, each way, and add the evidence to the logits.

    In targets divided by the unit, `q y = q shift + mean + e`. The shift is integrated out under a
    flat prior; in q the log-likelihood is `n log q - (q^2 a - 2 q b) / 2 + const`, whose maximum
    is a root of a quadratic.

    Args:
        ways: `H` of them.
        covariances: of the targets in the unit of the belief, `H x n x n`.
        mean: of the belief, `n`.
        y: targets, `n`.
    """
    n, factor = len(y), torch.linalg.cholesky(covariances)
    columns = torch.stack([torch.ones_like(y), y, mean], 1).expand(len(factor), -1, -1)
    solved = torch.linalg.solve_triangular(factor, columns, upper=False)
    inner = solved.mT @ solved  # of ones, y and mean under the precision
    along = inner[:, 0] / inner[:, :1, 0]
    rest = inner - inner[:, :, :1] * along[:, None]
    a, b, c = rest[:, 1, 1] + PSEUDO, rest[:, 1, 2], rest[:, 2, 2]
    q = (b + (b.square() + 4 * n * a).sqrt()) / (2 * a)
    log_determinant = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    misfit = q.square() * a - 2 * q * b + c + log_determinant + inner[:, 0, 0].log()
    logits = ways.logits + n * q.log() - 0.5 * misfit
    return replace(ways, logits=logits, shift=along[:, 1] - along[:, 2] / q, unit=1 / q)
