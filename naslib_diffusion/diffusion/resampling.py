"""Guided sampling that follows the tilted law closely: twisted sequential Monte Carlo.

Guidance alone is approximate where the guide is curved. Here the batch is a set of particles whose
weights make up for the difference (Feynman-Kac steering; Wu et al. 2023); from time to time the
light ones are replaced by copies of the heavy ones. It needs only values of the guide, so it also
serves guides without gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor

from naslib_diffusion.diffusion.exact import Denoiser
from naslib_diffusion.diffusion.guidance import Guide, value_and_gradient
from naslib_diffusion.diffusion.samplers import Callback, posterior_step, steps, tell
from naslib_diffusion.diffusion.schedules import randn_like


def effective_size(log_weights: Tensor) -> Tensor:
    """Effective sample size of `B` log-weights as a fraction of B: a scalar in (0, 1]."""
    weights = torch.softmax(log_weights, dim=0)
    return 1 / (weights.square().sum() * len(weights))


def systematic_resample(log_weights: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw B indices in proportion to `B` log-weights, with one random number for all.

    An index of weight w appears `floor(B w)` or `ceil(B w)` times.
    """
    count = len(log_weights)
    weights = torch.softmax(log_weights, dim=0).cumsum(0)
    device = weights.device if generator is None else generator.device
    offset = torch.rand(1, generator=generator, dtype=weights.dtype, device=device)
    offset = offset.to(weights.device)
    points = (torch.arange(count, device=weights.device) + offset) / count
    return torch.searchsorted(weights, points).clamp(max=count - 1)


@torch.no_grad()
def sample_twisted(
    denoiser: Denoiser,
    guide: Guide,
    x: Tensor,
    sigmas: Tensor,
    *,
    scale: float | Tensor = 1.0,
    threshold: float = 0.5,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Ancestral sampling of the tilted law `p(x0) exp(k f(x0))` with weights and resampling.

    Proposals take the tilted estimate `D'(x) = D(x + sigma^2 k g)` (see `TiltGuidance`), or D(x)
    if the guide gives no gradient. A particle's potential approximates how much good lies ahead,

        log E[exp(k f(x0)) | x]  ~  k (f(D) + g . (D' - D) / 2)

    (the trapezoidal rule for `k int_0^1 f(D(x + u sigma^2 k g)) du`, which is exact for linear f).
    A step multiplies the weight by the ratio of potentials, and by that of the unguided to the
    guided transition density.

    Args:
        denoiser: unguided; maps (`B x *shape`, float) to `B x *shape`.
        guide: maps relaxed architectures, `B x *shape`, to `B`.
        x: noise at level `sigmas[0]`, `B x *shape`.
        sigmas: decreasing noise levels, the last one 0; about 30, since weights vary with the
            length of a step.
        scale: k, a number or a scalar tensor.
        threshold: resample when the effective sample size falls below this share of the batch.
        generator: source of randomness, on the device of `x` or the CPU.
        callback: told of each step; the estimate it sees is the guided one.

    Returns:
        Relaxed architectures of equal weight, `B x *shape`, some of them equal.
    """
    log_weights = x.new_zeros(len(x))
    potential = x.new_zeros(len(x))
    for step, sigma, lower in steps(sigmas):
        plain = denoiser(x, sigma)
        values, gradient = value_and_gradient(guide, plain)
        guided = plain
        if gradient is not None:
            guided = denoiser(x + sigma**2 * scale * gradient, sigma)
            values = values + (gradient * (guided - plain)).flatten(1).sum(1) / 2
        tell(callback, step, sigma, x, guided)

        log_weights = log_weights + scale * values - potential
        potential = scale * values
        # decided where it is computed: a branch would make a card wait
        stay = (effective_size(log_weights) >= threshold) & (lower > 0)
        chosen = systematic_resample(log_weights, generator)
        chosen = torch.where(stay, torch.arange(len(x), device=x.device), chosen)
        x, plain, guided, potential = (v[chosen] for v in (x, plain, guided, potential))
        log_weights = torch.where(stay, log_weights, 0.0)
        if lower == 0:
            break

        mean, spread = posterior_step(x, guided, sigma, lower)
        noise = randn_like(x, generator)
        x = mean + spread * noise
        # log N(x; unguided mean) - log N(x; guided mean), with the means this far apart:
        apart = (1 - (lower / sigma) ** 2) * (guided - plain) / spread
        log_weights = log_weights - (noise * apart + apart.square() / 2).flatten(1).sum(1)
    return guided
