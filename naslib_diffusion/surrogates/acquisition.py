"""Acquisition functions: what makes a candidate worth an evaluation, as guides.

Each maps encodings (`B x *shape`, relaxed ones included) to scores to be maximised (`B`) and is
differentiable, so that it can steer the generator. Where the surrogate has its gradient in closed
form, so has the acquisition function: `value_and_gradient`, see `guidance.Linearized`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from naslib_diffusion.surrogates.base import Linearizable, Surrogate

Slopes = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Maps mean and deviation to scores and their derivatives by mean and by deviation, `B` each."""


@dataclass(frozen=True)
class LogExpectedImprovement:
    """Logarithm of the expected improvement over `best` (Ament et al., NeurIPS 2023).

    The logarithm keeps a gradient where the improvement itself vanishes.
    """

    surrogate: Surrogate
    best: float

    def __call__(self, x: Tensor) -> Tensor:
        """Score encodings, `B x *shape` to `B`."""
        mean, deviation = self.surrogate.posterior(x)
        return log_improvement((mean - self.best) / deviation) + deviation.log()

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return scores, `B`, and their gradient, `B x *shape`; None without a closed form."""
        return _through(self.surrogate, x, self._slopes)

    def _slopes(self, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """With `h(z) = phi + z Phi` and `h' = Phi`; in double, where `h` nearly vanishes."""
        spread = deviation.double()
        z = (mean.double() - self.best) / spread
        log_h = log_improvement(z)
        rate = torch.exp(torch.special.log_ndtr(z) - log_h)
        return log_h + spread.log(), rate / spread, (1 - z * rate) / spread


@dataclass(frozen=True)
class UpperConfidenceBound:
    """Mean plus `beta` standard deviations (GP-UCB)."""

    surrogate: Surrogate
    beta: float = 2.0

    def __call__(self, x: Tensor) -> Tensor:
        """Score encodings, `B x *shape` to `B`."""
        mean, deviation = self.surrogate.posterior(x)
        return mean + self.beta * deviation

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return scores, `B`, and their gradient, `B x *shape`; None without a closed form."""
        return _through(self.surrogate, x, self._slopes)

    def _slopes(self, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        by_deviation = torch.full_like(mean, self.beta)
        return mean + self.beta * deviation, torch.ones_like(mean), by_deviation


@dataclass(frozen=True)
class IndependentThompson:
    """One draw from the posterior of each candidate on its own (ITS; White et al., AAAI 2021).

    The draws belong to the rows of a batch: a row keeps its draw through all denoising steps.
    """

    surrogate: Surrogate
    seed: int = 0

    def __call__(self, x: Tensor) -> Tensor:
        """Score encodings, `B x *shape` to `B`."""
        mean, deviation = self.surrogate.posterior(x)
        return mean + self._draws(mean) * deviation

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return scores, `B`, and their gradient, `B x *shape`; None without a closed form."""
        return _through(self.surrogate, x, self._slopes)

    def _slopes(self, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        draws = self._draws(mean)
        return mean + draws * deviation, torch.ones_like(mean), draws

    def _draws(self, mean: Tensor) -> Tensor:
        return _row_draws(self.seed, len(mean), mean.device, mean.dtype)


@functools.lru_cache(maxsize=8)
def _row_draws(seed: int, count: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return normal draws, the same on all devices; kept, since copying them makes a card wait."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(count, generator=random, dtype=torch.double).to(device, dtype)


def _through(surrogate: Surrogate, x: Tensor, slopes: Slopes) -> tuple[Tensor, Tensor] | None:
    """Return scores and their gradient through a surrogate that has its own in closed form."""
    found = surrogate.linearize(x) if isinstance(surrogate, Linearizable) else None
    if found is None:
        return None
    mean, deviation, pullback = found
    values, by_mean, by_deviation = (t.to(x.dtype) for t in slopes(mean, deviation))
    return values, pullback(by_mean, by_deviation)


def log_improvement(z: Tensor) -> Tensor:
    """Return log E[max(Z + z, 0)] for a standard normal Z, stable for every z and its gradient."""
    # log(phi(z) + z Phi(z)) directly where that is safe, else phi(z) is factored out
    safe = z.clamp(min=-1.0)
    direct = (torch.exp(-0.5 * safe**2) / math.sqrt(2 * math.pi)
              + safe * torch.special.ndtr(safe)).log()  # fmt: skip
    low = z.clamp(-1e3, -1.0)
    ratio = math.sqrt(math.pi / 2) * torch.special.erfcx(-low / math.sqrt(2))
    factored = torch.log1p(low * ratio)
    far = z.clamp(max=-1e3)
    tail = torch.where(z > -1e3, factored, -2 * (-far).log())
    log_density = -0.5 * z.clamp(max=-1.0) ** 2 - 0.5 * math.log(2 * math.pi)
    return torch.where(z > -1, direct, log_density + tail)
