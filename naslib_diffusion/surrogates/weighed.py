"""Beliefs weighed by evidence: all of them, each alone, or none."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from naslib_diffusion.runtime.moving import moved
from naslib_diffusion.surrogates.adapted import AdaptedSurrogate, Belief, mixed
from naslib_diffusion.surrogates.base import Surrogate, is_noisy, noise_of
from naslib_diffusion.surrogates.correlation import Correlation
from naslib_diffusion.surrogates.doubt import Shortenable
from naslib_diffusion.surrogates.once import once, sharing

NONE, ALONE = 0.1, 0.02
"""What is expected beforehand: that no belief holds, and that one does where their mean does not.
The rest is for the mean."""

NEGLIGIBLE = 1e-6
"""Weight of a hypothesis whose predictions are not worth the time that they take."""

ENOUGH = 2
"""Observations from which on the ordinary surrogate tells anything."""


@dataclass(frozen=True)
class Mean:
    """The mean of several beliefs."""

    beliefs: tuple[Belief, ...]

    def to(self, device: torch.device | str) -> Mean:
        """Return the same on another device."""
        return Mean(tuple(moved(belief, device) for belief in self.beliefs))

    def belief(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map encodings (`B x *shape`) to mean and relative deviation, `B` each."""
        told = [once(belief.belief, x) for belief in self.beliefs]
        return torch.stack([t[0] for t in told]).mean(0), torch.stack([t[1] for t in told]).mean(0)


class Nothing:
    """The belief that all architectures are alike, as far as is known."""

    def belief(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map encodings (`B x *shape`) to zero and one, `B` each."""
        return x.new_zeros(len(x)), x.new_ones(len(x))


class WeighedSurrogate:
    """A mixture of hypotheses, each weighed by how likely it makes what is observed.

    That the mean of the beliefs holds, that one of them does, or that none does: then an ordinary
    surrogate predicts, which is judged as a belief in nothing. A belief that misleads loses its
    weight within a few observations, since it makes them unlikely.

    The posterior has the mean and the variance of the mixture. So where hypotheses disagree is
    uncertain, and a search that pays for information looks there.

    Args:
        ordinary: what predicts if no belief holds.
        adapted: each a belief, and how tasks differ from it; at least one, all of one space.
    """

    def __init__(self, ordinary: Surrogate, adapted: Sequence[AdaptedSurrogate]) -> None:
        self._ordinary, self._adapted = ordinary, tuple(adapted)
        self._hypotheses = _hypotheses(self._adapted)
        count = len(self._adapted)
        alone = [ALONE / count] * count if count > 1 else []
        odds = [1 - NONE - sum(alone), *alone, NONE]
        self._odds = torch.tensor(odds, dtype=torch.double).log()
        self._weights = self._odds.exp()
        self._fitted = False

    def to(self, device: torch.device | str) -> WeighedSurrogate:
        """Return the same on another device, to be fitted there."""
        adapted = [moved(own, device) for own in self._adapted]
        return WeighedSurrogate(moved(self._ordinary, device), adapted)

    @property
    def weights(self) -> list[float]:
        """Of the mean of the beliefs, of each if there are several, and of none."""
        weights: list[float] = self._weights.tolist()
        return weights

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Fit to encodings (`B x *shape`) and targets (`B`); without any, the beliefs speak."""
        self._hypotheses = [copy.copy(own).fit(x, y) for own in self._hypotheses]
        evidence = torch.tensor([own.evidence for own in self._hypotheses], dtype=torch.double)
        self._weights = torch.softmax(self._odds + evidence, 0)
        self._fitted = len(y) >= ENOUGH
        if self._fitted:
            self._ordinary = copy.copy(self._ordinary).fit(x, y)
        return self

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the latent function (`B` each)."""
        likely = self._weights > NEGLIGIBLE
        with sharing():
            pairs = zip(self._predictors, likely.tolist(), strict=True)
            told = [own.posterior(x) for own, counts in pairs if counts]
        means = torch.stack([mean for mean, _ in told])
        variances = torch.stack([deviation.square() for _, deviation in told])
        weights = self._weights[likely]
        return mixed((weights / weights.sum()).to(means), means, variances)

    @property
    def noise(self) -> float:
        """Variance of an observation around the latent function."""
        pairs = zip(self._weights.tolist(), self._predictors, strict=True)
        return float(sum(weight * noise_of(own) for weight, own in pairs))

    def fantasize(self, x: Tensor) -> Self:
        """Return a copy that takes `x` (`B x *shape`) as observed at its posterior mean.

        Beliefs all take the same value there, so that their disagreement on it is settled.
        """
        other, mean = copy.copy(self), self.posterior(x)[0].detach()
        other._hypotheses = [own.observe(x, mean) for own in self._hypotheses]
        if self._fitted:
            other._ordinary = self._ordinary.fantasize(x)
        return other

    def shorten(self, factor: float) -> Surrogate:
        """Return the ordinary surrogate alone, if it can doubt its length scales; see `doubt`.

        Beliefs, with the kernels that they lend, are what a search that does not get on doubts
        before anything else.
        """
        own = self._ordinary
        if self._fitted and isinstance(own, Shortenable) and not is_noisy(own, repeats=False):
            return own.shorten(factor)
        return self

    @property
    def _predictors(self) -> list[Surrogate]:
        """The hypotheses, with the ordinary surrogate in place of none once it is fitted."""
        return [*self._hypotheses[:-1], self._ordinary if self._fitted else self._hypotheses[-1]]


def _hypotheses(adapted: Sequence[AdaptedSurrogate]) -> list[AdaptedSurrogate]:
    """Return a surrogate for each hypothesis: the mean, each alone, none."""
    first = adapted[0]
    if len(adapted) == 1:
        together, alone = first, []
    else:
        mean = Mean(tuple(own.belief for own in adapted))
        variance = sum(own.residual.variance for own in adapted) / len(adapted)
        residual = replace(first.residual, variance=variance)
        correlation = Correlation.mean([own.correlation for own in adapted])
        together = AdaptedSurrogate(first.space, mean, residual, correlation)
        alone = list(adapted)
    residual = replace(first.residual, variance=1.0)
    nothing = AdaptedSurrogate(first.space, Nothing(), residual, together.correlation)
    return [together, *alone, nothing]
