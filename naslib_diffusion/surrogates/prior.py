"""Beliefs about an objective before it is measured, such as those of earlier searches."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from naslib_diffusion.runtime.moving import moved
from naslib_diffusion.spaces.base import A, Space
from naslib_diffusion.surrogates.adapted import AdaptedSurrogate, Residual
from naslib_diffusion.surrogates.base import ObjectiveScale, Surrogate, noise_of
from naslib_diffusion.surrogates.correlation import Correlated
from naslib_diffusion.surrogates.once import Kept
from naslib_diffusion.surrogates.weighed import WeighedSurrogate

TRUST = 3.0
"""How many evaluations it takes to be as sure of a prior's weight as before the first."""

MAX_EARLIER = 500
"""Most evaluations that an earlier search contributes: the better half of these, then others."""

BETWEEN = Residual(variance=0.1, noise=0.01)
"""How tasks differ from an earlier search, in the unit of its belief."""


class Prior(Protocol):
    """Maps encodings, `B x *shape`, to what is expected of the objective, `B`.

    Higher is better; the unit is free, but values of random architectures should be spread like
    standard normal ones. Differentiable in the encodings.
    """

    def __call__(self, x: Tensor) -> Tensor:
        """Return the expected objective, `B`."""


@runtime_checkable
class AdaptivePrior(Prior, Protocol):
    """A prior that knows how far tasks stray from it, and makes a surrogate of that."""

    def surrogate(self) -> AdaptedSurrogate:
        """Return a new surrogate; before it is fitted, its posterior is what is believed."""


@dataclass(frozen=True)
class Plain:
    """The belief that a prior is about right everywhere alike."""

    prior: Prior

    def to(self, device: torch.device | str) -> Plain:
        """Return the same on another device."""
        return Plain(moved(self.prior, device))

    def belief(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map encodings (`B x *shape`) to mean and relative deviation, `B` each."""
        mean = self.prior(x)
        return mean, torch.ones_like(mean)


class EarlierSearch:
    """The mean of a surrogate that is fitted to an earlier search, on that search's own scale.

    Only the order and the relative size of its values count. So the earlier objective may be
    another one: on another data set, with fewer epochs, in another unit. The new task differs from
    it by a residual with the same kernel, since decisions that matter in one task mostly matter in
    others. The surrogate is fitted on the device where it is first asked.

    Args:
        surrogate: what is fitted; it is copied before.
        space: of the architectures.
        archs: what was evaluated, at least one.
        values: higher is better; values that are not finite count as the worst.

    Raises:
        ValueError: if no value is finite.
    """

    def __init__(
        self, surrogate: Correlated, space: Space[A], archs: Sequence[A], values: Sequence[float]
    ) -> None:
        self.space: Space[Any] = space
        table = torch.tensor(values, dtype=torch.double)
        if not table.isfinite().any():
            raise ValueError("an earlier search needs at least one finite value")
        table = table.where(table.isfinite(), table[table.isfinite()].min())
        kept = _representative(table)
        scale = ObjectiveScale.of(table[kept])
        self._x = space.encode([archs[i] for i in kept.tolist()])
        self._targets = scale(table[kept])
        self._surrogate = copy.copy(surrogate)
        self._fitted: dict[torch.device, Correlated] = {}
        self._kept = Kept()

    def __call__(self, x: Tensor) -> Tensor:
        """Return the surrogate's mean, `B x *shape` to `B`."""
        return self._kept(lambda x: self._on(x.device).posterior(x)[0], x)

    def belief(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map encodings (`B x *shape`) to mean and relative deviation, `B` each."""
        mean = self(x)
        return mean, torch.ones_like(mean)

    def surrogate(self) -> AdaptedSurrogate:
        """Return a new surrogate that starts from this belief."""
        correlation = self._on(self._x.device).correlation
        return AdaptedSurrogate(self.space, self, BETWEEN, correlation)

    def _on(self, device: torch.device) -> Correlated:
        """Return the surrogate on a device, fitted there."""
        if device not in self._fitted:
            own = moved(copy.copy(self._surrogate), device)
            self._fitted[device] = own.fit(self._x.to(device), self._targets.to(device))
        return self._fitted[device]


class InformedSurrogate:
    """A surrogate of what priors leave unexplained.

    Targets are modelled as `sum_k w_k prior_k(x) + shift + residual(x)`. The non-negative weights
    follow by ridge regression towards the mean of the priors, so that a misleading prior loses its
    weight after a few evaluations, and the residual is modelled by an ordinary surrogate.

    Args:
        residual: the ordinary surrogate.
        priors: at least one.
    """

    def __init__(self, residual: Surrogate, priors: Sequence[Prior]) -> None:
        self._residual, self._priors = residual, tuple(priors)
        self._coefficients = torch.full((len(self._priors),), 1 / len(self._priors)).double()
        self._shift = 0.0
        self._empty = True

    def to(self, device: torch.device | str) -> InformedSurrogate:
        """Return the same on another device, to be fitted there."""
        priors = [moved(prior, device) for prior in self._priors]
        return InformedSurrogate(moved(self._residual, device), priors)

    @property
    def weights(self) -> list[float]:
        """The weights of the priors."""
        weights: list[float] = self._coefficients.tolist()
        return weights

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Fit to encodings (`B x *shape`) and targets (`B`); without any, priors alone predict."""
        self._empty = not len(y)
        if self._empty:
            self._coefficients = torch.full_like(self._coefficients, 1 / len(self._priors))
            self._shift = 0.0
            return self
        means = self._means(x).detach()
        self._coefficients, self._shift = weigh(means.double().cpu(), y.double().cpu())
        self._residual = copy.copy(self._residual).fit(x, y - self._explained(means))
        return self

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the latent function (`B` each)."""
        explained = self._explained(self._means(x))
        if self._empty:
            return explained, torch.ones_like(explained)
        mean, deviation = self._residual.posterior(x)
        return explained + mean, deviation

    @property
    def noise(self) -> float | Tensor:
        """Variance of an observation around the latent function."""
        return 0.0 if self._empty else noise_of(self._residual)

    def fantasize(self, x: Tensor) -> Self:
        """Return a copy that takes `x` (`B x *shape`) as observed at its posterior mean."""
        other = copy.copy(self)
        if self._empty:  # observed where the priors say, with nothing left over
            zeros = torch.zeros(len(x), dtype=torch.double, device=x.device)
            other._residual = copy.copy(self._residual).fit(x, zeros)
            other._empty = False
        else:
            other._residual = self._residual.fantasize(x)
        return other

    def _means(self, x: Tensor) -> Tensor:
        return torch.stack([prior(x) for prior in self._priors], -1)

    def _explained(self, means: Tensor) -> Tensor:
        return means @ self._coefficients.to(means) + self._shift


def weigh(means: Tensor, y: Tensor) -> tuple[Tensor, float]:
    """Return non-negative weights of priors, `K`, and the shift, for targets `y`, `n`.

    Args:
        means: of the priors at the observations, `n x K`.
        y: targets, roughly standardised.
    """
    n, count = means.shape
    weights = torch.zeros(count, dtype=torch.double)
    left = list(range(count))
    while left:
        design = torch.cat([means[:, left], torch.ones(n, 1, dtype=torch.double)], 1)
        prior = torch.full((len(left) + 1,), 1 / count, dtype=torch.double)
        prior[-1] = 0.0
        ridge = TRUST * torch.eye(len(prior), dtype=torch.double)
        ridge[-1, -1] = 1e-3  # the shift is free: good architectures are not typical ones
        solution = torch.linalg.solve(design.T @ design + ridge, design.T @ y + ridge @ prior)
        if bool((solution[:-1] >= 0).all()):
            weights[left] = solution[:-1]
            return weights, float(solution[-1])
        left = [i for i, w in zip(left, solution[:-1].tolist(), strict=True) if w > 0]
    return weights, float(y.mean())


def _representative(values: Tensor) -> Tensor:
    """Return up to `MAX_EARLIER` indices: the best ones, and every so-many-th of the others."""
    order = values.argsort(descending=True, stable=True)
    if len(order) <= MAX_EARLIER:
        return order
    best, rest = order[: MAX_EARLIER // 2], order[MAX_EARLIER // 2 :]
    chosen = torch.linspace(0, len(rest) - 1, MAX_EARLIER - len(best)).round().long()
    return torch.cat([best, rest[chosen]])


def informed(surrogate: Surrogate, priors: Sequence[Prior]) -> Surrogate:
    """Return the surrogate with the priors, or as it is if there are none.

    If one of the priors is adaptive, all are weighed by evidence (`WeighedSurrogate`), and tasks
    are taken to differ from the others as from the first adaptive one. Otherwise the priors are
    weighed by regression.
    """
    adaptive = [prior.surrogate() for prior in priors if isinstance(prior, AdaptivePrior)]
    if not adaptive:
        return InformedSurrogate(surrogate, priors) if priors else surrogate
    first = adaptive[0]
    others = [
        AdaptedSurrogate(first.space, Plain(prior), first.residual, first.correlation)
        for prior in priors
        if not isinstance(prior, AdaptivePrior)
    ]
    return WeighedSurrogate(surrogate, [*adaptive, *others])
