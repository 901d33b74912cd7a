"""Noise: the processes that perturb architectures, and decreasing sequences of noise levels.

Samplers work in variance-exploding coordinates, `x = x0 + sigma z`, and know a process only by
its noise levels. Encodings lie in [0, 1]; the paper centres them to [-1, 1], so that its noise
level `s` perturbs an architecture as much as `s / 2` does here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

FEW = 256
"""Rows up to which noise is drawn in double precision, which takes five times as long."""
SIGMA_MIN, SIGMA_MAX = 0.1, 5.0
"""The paper's noise range."""


def randn_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw normal noise shaped like `x`, in its precision and layout, where the generator is.

    A generator on the CPU gives the same noise in all layouts and on all devices, and up to `FEW`
    rows in all precisions, but a GPU has to wait for it. A generator on a GPU draws in the order
    in which `x` lies in memory.
    """
    device = x.device if generator is None else generator.device
    if device.type == "cpu":
        exact = torch.double if len(x) <= FEW else x.dtype
        noise = torch.randn(x.shape, dtype=exact, device=device, generator=generator)
        return torch.empty_like(x).copy_(noise)
    noise = torch.empty_like(x, device=device)
    noise.as_strided((noise.numel(),), (1,)).normal_(generator=generator)
    return noise.to(x.device)


@dataclass(frozen=True)
class VESDE:
    """Variance-exploding SDE, `dx = g(t) dw`, `sigma(t) = sigma_min (sigma_max / sigma_min)^t`.

    The process of the paper (Eq. 1), for t in [0, 1].
    """

    sigma_min: float = SIGMA_MIN
    sigma_max: float = SIGMA_MAX

    def __post_init__(self) -> None:
        _check_range(self.sigma_min, self.sigma_max, "sigma_min", "sigma_max")

    def alpha(self, t: Tensor) -> Tensor:
        """Return the factor on the clean architecture: one at all times."""
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        """Return the noise level at time `t`, of any shape."""
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** t

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """Return f_t(x) of Eq. 1, `B x *shape`: zero."""
        return torch.zeros_like(x)

    def diffusion(self, t: Tensor) -> Tensor:
        """Return g_t of Eq. 1, with `g^2 = d sigma^2 / dt`."""
        return self.sigma(t) * math.sqrt(2 * math.log(self.sigma_max / self.sigma_min))


@dataclass(frozen=True)
class VPSDE:
    """Variance-preserving SDE, `dx = -beta(t)/2 x dt + sqrt(beta(t)) dw`, for t in [0, 1].

    `beta(t)` rises linearly. Its samples are `alpha x` in the coordinates of the samplers, and
    `sigma(t)` is the noise level there, `sqrt(1 - alpha^2) / alpha`.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        _check_range(self.beta_min, self.beta_max, "beta_min", "beta_max")

    def beta(self, t: Tensor) -> Tensor:
        """Return the rate at time `t`."""
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def alpha(self, t: Tensor) -> Tensor:
        """Return the factor on the clean architecture, `exp(-1/2 int_0^t beta)`."""
        return torch.exp(-t * self.beta_min / 2 - t**2 * (self.beta_max - self.beta_min) / 4)

    def sigma(self, t: Tensor) -> Tensor:
        """Return the noise level at time `t` in variance-exploding coordinates."""
        return torch.sqrt(torch.expm1(-2 * torch.log(self.alpha(t))))

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """Return f_t(x) of Eq. 1, `B x *shape`; `t` is a scalar or `B`."""
        beta = self.beta(t)
        return -x * beta.view(*beta.shape, *[1] * (x.ndim - beta.ndim)) / 2

    def diffusion(self, t: Tensor) -> Tensor:
        """Return g_t of Eq. 1."""
        return torch.sqrt(self.beta(t))


def geometric_sigmas(
    steps: int, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX
) -> Tensor:
    """Noise levels of the paper's process at equally spaced times, from `sigma_max` down, then 0.

    Returns:
        Decreasing tensor of length `steps + 1`, double precision; the last entry is 0.

    Raises:
        ValueError: if `steps` is not positive or the range is not `0 < sigma_min < sigma_max`.
    """
    return karras_sigmas(steps, sigma_min, sigma_max, rho=math.inf)


def karras_sigmas(
    steps: int, sigma_min: float = 0.05, sigma_max: float = 3.0, rho: float = 3.0
) -> Tensor:
    """Noise levels that are equally spaced in `sigma^(1/rho)` (Karras et al. 2022, Eq. 5), then 0.

    `rho = 1` is linear; an infinite `rho` is geometric. The defaults suit encodings in [0, 1]:
    one-hots are decided between the levels 0.1 and 1, and ten steps sample tilted laws well.

    Returns:
        Decreasing tensor of length `steps + 1`, double precision; the last entry is 0.

    Raises:
        ValueError: if `steps` or `rho` is not positive, or the range is not
            `0 < sigma_min < sigma_max`.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    if not rho > 0:
        raise ValueError(f"rho must be positive, not {rho}")
    _check_range(sigma_min, sigma_max, "sigma_min", "sigma_max")
    ramp = torch.linspace(0, 1, steps, dtype=torch.double)
    if math.isinf(rho):
        sigmas = sigma_max * (sigma_min / sigma_max) ** ramp
    else:
        low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
        sigmas = (high + ramp * (low - high)) ** rho
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def _check_range(low: float, high: float, low_name: str, high_name: str) -> None:
    if not 0 < low < high:
        raise ValueError(f"need 0 < {low_name} < {high_name}, not {low} and {high}")
