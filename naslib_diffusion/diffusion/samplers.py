"""Samplers: from noise to relaxed architectures, given any denoiser, guided or not.

Each is a function `sample_x(denoiser, x, sigmas, *, generator, callback)`:

* `denoiser` maps (`x`: `B x *shape`, `sigma`: float) to the clean estimate, `B x *shape`;
* `x` is noise at level `sigmas[0]`, `B x *shape`;
* `sigmas` are decreasing noise levels, length T + 1, the last one 0 (see `schedules`);
* `generator` is the source of randomness of stochastic samplers, on the device of `x` or the CPU;
* `callback` is told of each step before it is taken.

The result, `B x *shape`, is to be discretised by the space. All raise ValueError if `sigmas` does
not decrease to 0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from naslib_diffusion.diffusion.exact import Denoiser
from naslib_diffusion.diffusion.schedules import randn_like


@dataclass(frozen=True)
class Step:
    """What a callback is told: the estimate `denoised` at `x`, both `B x *shape`."""

    index: int
    sigma: float
    x: Tensor
    denoised: Tensor


Callback = Callable[[Step], None]


class Sampler(Protocol):
    """The signature that all samplers share."""

    def __call__(
        self,
        denoiser: Denoiser,
        x: Tensor,
        sigmas: Tensor,
        *,
        generator: torch.Generator | None = None,
        callback: Callback | None = None,
    ) -> Tensor:
        """Return relaxed architectures, `B x *shape`."""


@torch.no_grad()
def sample_euler(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Euler's method for the probability-flow ODE, `dx / dsigma = (x - D(x)) / sigma`."""
    for step, sigma, lower in steps(sigmas):
        denoised = denoiser(x, sigma)
        tell(callback, step, sigma, x, denoised)
        x = denoised + (lower / sigma) * (x - denoised)
    return x


@torch.no_grad()
def sample_heun(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Heun's second-order method for the probability-flow ODE (Karras 2022, Algorithm 1)."""
    for step, sigma, lower in steps(sigmas):
        denoised = denoiser(x, sigma)
        tell(callback, step, sigma, x, denoised)
        slope = (x - denoised) / sigma
        ahead = x + (lower - sigma) * slope
        if lower > 0:
            slope = (slope + (ahead - denoiser(ahead, lower)) / lower) / 2
        x = x + (lower - sigma) * slope
    return x


@torch.no_grad()
def sample_dpmpp_2m(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, Algorithm 2): second order with one evaluation per step.

    The estimate is extrapolated in `-log sigma` from the previous one.
    """
    before: tuple[float, Tensor] | None = None
    for step, sigma, lower in steps(sigmas):
        denoised = denoiser(x, sigma)
        tell(callback, step, sigma, x, denoised)
        target = denoised
        if before is not None and lower > 0:
            ratio = math.log(sigma / lower) / math.log(before[0] / sigma) / 2
            target = denoised + ratio * (denoised - before[1])
        x = target + (lower / sigma) * (x - target)
        before = sigma, denoised
    return x


@torch.no_grad()
def sample_ancestral(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Ancestral sampling: each step draws from the posterior of the noising process.

    With `r = sigma'^2 / sigma^2`, `x' ~ N(D + r (x - D), sigma'^2 (1 - r))`: the exact law of x'
    given x and x0 = D(x). Converges to the reverse SDE (paper, Eq. 2).
    """
    for step, sigma, lower in steps(sigmas):
        denoised = denoiser(x, sigma)
        tell(callback, step, sigma, x, denoised)
        x, spread = posterior_step(x, denoised, sigma, lower)
        if spread > 0:
            x = x + spread * randn_like(x, generator)
    return x


def posterior_step(
    x: Tensor, denoised: Tensor, sigma: float, lower: float
) -> tuple[Tensor, float]:
    """Posterior of the noising process at level `lower`, given `x` at level `sigma` and x0.

    Returns:
        Mean, `B x *shape`, and standard deviation.
    """
    ratio = (lower / sigma) ** 2
    return denoised + ratio * (x - denoised), lower * math.sqrt(1 - ratio)


@torch.no_grad()
def sample_predictor_corrector(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
    corrections: int = 1,
    snr: float = 0.16,
) -> Tensor:
    """The paper's sampler (Song et al. 2021): Langevin corrections, then an Euler-Maruyama step.

    Meant for the paper's 1,000 geometric levels. The step of the reverse SDE (Eq. 2) is
    `x + g^2 dt score + g sqrt(dt) z` with `g^2 dt = 2 sigma^2 log(sigma / sigma')`; the last one
    returns the estimate without noise.

    Args:
        corrections: Langevin steps per level.
        snr: ratio of signal to noise that sets the size of a Langevin step.
    """
    for step, sigma, lower in steps(sigmas):
        for _ in range(corrections):
            gradient = (denoiser(x, sigma) - x) / sigma**2
            noise = randn_like(x, generator)
            size = 2 * (snr * _mean_norm(noise) / _mean_norm(gradient)) ** 2
            x = x + size * gradient + torch.sqrt(2 * size) * noise
        denoised = denoiser(x, sigma)
        tell(callback, step, sigma, x, denoised)
        if lower == 0:
            x = denoised
            break
        gain = 2 * math.log(sigma / lower)
        x = x + gain * (denoised - x) + sigma * math.sqrt(gain) * randn_like(x, generator)
    return x


def steps(sigmas: Tensor) -> Iterator[tuple[int, float, float]]:
    """Yield (index, noise level, next lower level) as plain numbers, without waiting for a device.

    Raises:
        ValueError: if `sigmas` does not decrease to 0.
    """
    levels: list[float] = sigmas.tolist()
    pairs = list(itertools.pairwise(levels))
    if not pairs or levels[-1] != 0 or any(sigma <= lower for sigma, lower in pairs):
        raise ValueError(f"sigmas must decrease to 0, but are {levels}")
    return ((index, sigma, lower) for index, (sigma, lower) in enumerate(pairs))


def _mean_norm(x: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return norms.mean()


def tell(callback: Callback | None, index: int, sigma: float, x: Tensor, denoised: Tensor) -> None:
    """Tell the callback, if there is one, of a step."""
    if callback is not None:
        callback(Step(index, sigma, x, denoised))
