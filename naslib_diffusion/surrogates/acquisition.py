"""Acquisition functions: what makes a candidate worth an evaluation, as guides.

Each maps encodings (`B x *shape`, relaxed ones included) to scores to be maximised (`B`) and is
differentiable, so that it can steer the generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from naslib_diffusion.surrogates.base import Surrogate


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


@dataclass(frozen=True)
class UpperConfidenceBound:
    """Mean plus `beta` standard deviations (GP-UCB)."""

    surrogate: Surrogate
    beta: float = 2.0

    def __call__(self, x: Tensor) -> Tensor:
        """Score encodings, `B x *shape` to `B`."""
        mean, deviation = self.surrogate.posterior(x)
        return mean + self.beta * deviation


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
        random = torch.Generator().manual_seed(self.seed)
        draws = torch.randn(len(x), generator=random, dtype=torch.double)
        return mean + draws.to(mean) * deviation


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
