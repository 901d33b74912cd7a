"""Denoising whole batches on one device: the inner loop of the engine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from naslib_diffusion.diffusion.exact import Denoiser
from naslib_diffusion.diffusion.guidance import Guide, Linearized
from naslib_diffusion.diffusion.network import ScoreNetwork
from naslib_diffusion.diffusion.resampling import sample_twisted
from naslib_diffusion.diffusion.samplers import Sampler
from naslib_diffusion.diffusion.schedules import randn_like
from naslib_diffusion.runtime.devices import TYPICAL_POINTS
from naslib_diffusion.runtime.graphs import capture
from naslib_diffusion.spaces.base import Space

Guidance = Callable[[Denoiser, Guide, Tensor], Denoiser]


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
    where it computes, and never makes a card wait. On a card, a loop that is run a second time
    for the same guide is recorded as a CUDA graph; results are those of the plain loop.

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
            if last.run is None and self._recordable(guide):
                run = capture(partial(self._loop, last), self.random)
                last = _Plan(last.rows, guide, resample, last.strength, run)
        else:
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
        mixed = self.device.type == "cuda" and isinstance(self.denoiser, ScoreNetwork)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed, cache_enabled=False):
            sigma = float(self.sigmas[0])
            shape = (plan.rows, *self.shape)
            middle = torch.full(shape, 0.5, dtype=self.dtype, device=self.device)
            middle = self.denoiser(middle, sigma)
            x = middle + sigma * randn_like(middle, self.random)
            if plan.guide is None:
                return self.sampler(self.denoiser, x, self.sigmas, generator=self.random)
            if plan.resample:
                return sample_twisted(
                    self.denoiser,
                    plan.guide,
                    x,
                    self.sigmas,
                    scale=plan.strength,
                    generator=self.random,
                )
            guided = self.guidance(self.denoiser, plan.guide, plan.strength)
            return self.sampler(guided, x, self.sigmas, generator=self.random)
