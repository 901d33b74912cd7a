"""Denoising whole batches on one device: the inner loop of the engine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from naslib_diffusion.diffusion.exact import Denoiser, Sigma
from naslib_diffusion.diffusion.guidance import Guide, Linearized
from naslib_diffusion.diffusion.network import ScoreNetwork
from naslib_diffusion.diffusion.resampling import sample_twisted
from naslib_diffusion.diffusion.samplers import Sampler
from naslib_diffusion.diffusion.schedules import randn_like
from naslib_diffusion.runtime.devices import TYPICAL_POINTS
from naslib_diffusion.runtime.graphs import capture
from naslib_diffusion.spaces.base import Space

PLAIN = 2
"""Batches before a recording, which takes about as long as so many."""
PADDED = 8192
"""Batches on a card are filled up to a power of two, if it is no larger: they cost the same, and
one recording serves many."""

Guidance = Callable[[Denoiser, Guide, Any], Denoiser]
"""Makes a guided denoiser of (denoiser, guide, scale), the scale being a scalar tensor."""


@dataclass(frozen=True)
class Tilt:
    """The law `p(a) exp(strength guide(a))`, and whether to follow it by resampling."""

    guide: Guide
    strength: float
    resample: bool


@dataclass(frozen=True, eq=False)
class _Plan:
    """What a recording is good for: batches of this size under this guide."""

    rows: int
    guide: Guide | None
    resample: bool
    strength: Tensor
    """A scalar on the device; changes between calls."""
    uses: int = 1
    run: Callable[[], Tensor] | None = None
    """Has been recorded, or has not."""


def points_of(denoiser: Denoiser | None, space: Space[Any], points: int = TYPICAL_POINTS) -> int:
    """Return how much work a denoiser and a guide of so many points are per coordinate.

    See `naslib_diffusion.runtime.devices.suitable_device`.
    """
    if not isinstance(denoiser, ScoreNetwork):
        return points
    weights = sum(p.numel() for p in denoiser.parameters())
    return max(points, weights * space.shape[0] // math.prod(space.shape))


class Denoising:
    """Draws noise and denoises it, guided or not.

    It computes in the denoiser's own precision (its `dtype`; double if it has none), draws noise
    where it computes, and never makes a card wait. On a card, a loop that is run for the same
    guide `PLAIN` times is recorded as a CUDA graph; results are those of the plain loop.

    Args:
        denoiser: maps (`x`: `B x *shape`, `sigma`: float) to `B x *shape`.
        shape: of an encoding.
        sigmas: decreasing noise levels, the last one 0.
        sampler: one of `naslib_diffusion.diffusion.samplers`.
        guidance: makes a guided denoiser of (denoiser, guide, scale).
        device: where to compute.
        random: source of noise; on that device, or on the CPU, for noise that is the same on all.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        shape: tuple[int, ...],
        sigmas: Tensor,
        sampler: Sampler,
        guidance: Guidance,
        device: torch.device,
        random: torch.Generator,
    ) -> None:
        self.denoiser, self.shape, self.sigmas = denoiser, shape, sigmas.cpu()
        self._first = float(self.sigmas[0])
        self._estimate = denoiser
        if device.type == "cuda" and isinstance(denoiser, ScoreNetwork):
            from naslib_diffusion.diffusion.fused import fused  # Triton is slow to import

            self._estimate = in_bf16(fused(denoiser))
        self.sampler, self.guidance = sampler, guidance
        self.device, self.random = device, random
        self.dtype: torch.dtype = getattr(denoiser, "dtype", torch.double)
        self._last: _Plan | None = None

    def __call__(self, rows: int, tilt: Tilt | None = None) -> Tensor:
        """Denoise one batch: relaxed architectures, `rows x *shape`, double precision."""
        guide = tilt.guide if tilt else None
        plan = self._plan(rows, guide, tilt is not None and tilt.resample)
        plan.strength.fill_(tilt.strength if tilt else 0.0)
        x = plan.run() if plan.run else self._loop(plan)
        return x[:rows].double()

    def _plan(self, rows: int, guide: Guide | None, resample: bool) -> _Plan:
        """Return a new plan, or the last one, recorded by now, if it serves."""
        last = self._last
        if last and last.guide is guide and last.resample == resample and last.rows >= rows:
            if last.run is None and last.uses >= PLAIN and self._recordable(guide):
                last = replace(last, run=capture(partial(self._loop, last), self.random))
            last = replace(last, uses=last.uses + 1)
        else:
            if self.device.type == "cuda" and rows <= PADDED:
                rows = 2 ** (rows - 1).bit_length()
            strength = torch.zeros((), dtype=self.dtype, device=self.device)
            last = _Plan(rows, guide, resample, strength)
        self._last = last if self.device.type == "cuda" else None
        return last

    def _recordable(self, guide: Guide | None) -> bool:
        """Whether all parts are known to compute on the card alone."""
        if not hasattr(self.denoiser, "dtype") or self.random.device.type != "cuda":
            return False
        if guide is None:
            return True
        probe = torch.full((1, *self.shape), 0.5, dtype=self.dtype, device=self.device)
        return isinstance(guide, Linearized) and guide.value_and_gradient(probe) is not None

    @torch.no_grad()
    def _loop(self, plan: _Plan) -> Tensor:
        """Draw noise and denoise it, step by step."""
        shape = (plan.rows, *self.shape)
        middle = torch.full(shape, 0.5, dtype=self.dtype, device=self.device)
        middle = self._estimate(middle, self._first)
        x = middle + self._first * randn_like(middle, self.random)
        if plan.guide is None:
            return self.sampler(self._estimate, x, self.sigmas, generator=self.random)
        if plan.resample:
            return sample_twisted(
                self._estimate,
                plan.guide,
                x,
                self.sigmas,
                scale=plan.strength,
                generator=self.random,
            )
        guided = self.guidance(self._estimate, plan.guide, plan.strength)
        return self.sampler(guided, x, self.sigmas, generator=self.random)


def in_bf16(network: ScoreNetwork) -> Denoiser:
    """Return a network that computes in mixed precision; its guide does not."""

    def estimate(x: Tensor, sigma: Sigma) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, cache_enabled=False):
            out: Tensor = network(x, sigma)
        return out

    return estimate
