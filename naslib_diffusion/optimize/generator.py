"""The shared engine: guided generation of distinct, valid, unseen architectures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Hashable, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

import torch
from torch import Tensor

from naslib_diffusion.diffusion.denoising import Denoising, Guidance, Tilt, points_of
from naslib_diffusion.diffusion.exact import Denoiser, ExactDenoiser, suitable_precision
from naslib_diffusion.diffusion.guidance import Guide, TiltGuidance
from naslib_diffusion.diffusion.samplers import Sampler, sample_ancestral
from naslib_diffusion.diffusion.schedules import karras_sigmas
from naslib_diffusion.optimize.choice import best
from naslib_diffusion.optimize.polish import Polisher
from naslib_diffusion.optimize.pool import Pool, SpaceExhausted, Unique, numbers_forms
from naslib_diffusion.optimize.scale import (
    SHARPNESS,
    default_scale,
    is_blind,
    upper_deviation,
)
from naslib_diffusion.optimize.scores import CHUNK, Scores
from naslib_diffusion.runtime.devices import suitable_device
from naslib_diffusion.runtime.moving import moved
from naslib_diffusion.runtime.threads import on_cpu, one_thread
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.sampling import sample_some

A = TypeVar("A", bound=Hashable)

STEPS = 10
"""How many denoising steps there are by default."""
BATCH = 1024
"""Architectures denoised at a time, at most."""
FIRST_BATCH = 256
"""The same in the first round; twice as many in each one that follows."""
PROBES = 256
"""Random architectures on which the unit of a guide is measured."""
MIN_BATCH = 32
"""Fewest architectures denoised at a time; fewer would not be faster."""
POOR_SHARE, SOFTENING = 0.5, 0.35
"""A round whose share of new architectures is below the first lowers the scale: to the second
times what it was if none was new."""
LEAST_SHARE = 0.15
"""No fewer are expected to be new when the size of a batch is chosen."""
CARD_SHARE, CARD_BATCH = 8, 8192
"""On a card that leaves out repeats itself, so many times as many architectures are denoised as
are wanted, up to a limit: they take it hardly longer, and the best of them are kept. So the first
batch need not be sharper than they are."""


class GuidedGenerator(Generic[A]):
    """Generates architectures by guided denoising of noise; rounds them, and rejects repeats.

    Successive calls of one generator give different architectures. The same seed reproduces the
    same sequence of calls on the same device; on the CPU it does so exactly.

    Args:
        space: the space of the architectures.
        denoiser: maps (`x`: `B x *shape`, `sigma`) to clean estimates. The default is the exact
            denoiser. It may be guided already, as `NoisyGuidance` is. Modules and the
            package's own denoisers are moved to `device`; functions get their input there.
        device: where to compute. The default suits the batches that a card would denoise (see
            `naslib_diffusion.runtime.devices`).
        seed: an integer that determines all random decisions. The default is a random one.
        steps: number of denoising steps, if `sigmas` is not given.
        sigmas: decreasing noise levels, the last one 0. The default is `karras_sigmas(steps)`.
        sampler: one of `naslib_diffusion.diffusion.samplers`.
        guidance: makes a guided denoiser of (denoiser, guide, scale).
        resample: whether to follow the tilted law more closely, by weighting and resampling each
            batch (`sample_twisted`). This needs about 30 steps and a moderate `scale`, and it
            repeats architectures more often. It is always done for guides without a gradient.
        scale: see `generate`.

    Raises:
        ValueError: if the space does not factorise and no denoiser is given.
    """

    @on_cpu
    def __init__(
        self,
        space: Space[A],
        denoiser: Denoiser | None = None,
        device: torch.device | str | None = None,
        seed: int | None = None,
        *,
        steps: int = STEPS,
        sigmas: Tensor | None = None,
        sampler: Sampler = sample_ancestral,
        guidance: Guidance = TiltGuidance,
        resample: bool = False,
        scale: float | None = None,
    ) -> None:
        self.space = space
        rows = CARD_BATCH if numbers_forms(space) else BATCH
        self.device = suitable_device(
            rows, math.prod(space.shape), points_of(denoiser, space), device=device
        )
        self.denoiser = (
            ExactDenoiser(space, self.device, suitable_precision(space))
            if denoiser is None
            else moved(denoiser, self.device)
        )
        self.sigmas = karras_sigmas(steps) if sigmas is None else sigmas
        self.sampler = sampler
        self.guidance = guidance
        self.resample = resample
        self.scale = scale
        self._random = torch.Generator()
        if seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(seed)
        noise = self._random
        if self.device.type == "cuda":
            noise = torch.Generator(self.device).manual_seed(self._random.initial_seed())
        self._denoise = Denoising(
            self.denoiser, space.shape, self.sigmas, sampler, guidance, self.device, noise
        )

    @one_thread()
    def generate(
        self,
        n: int,
        guide: Guide | None = None,
        *,
        scale: float | None = None,
        known: Collection[Hashable] = (),
        unique: Unique = "canonical",
        oversample: float = 1.0,
        polish: int = 0,
        starts: Sequence[A] = (),
        batch_size: int | None = None,
        max_rounds: int = 20,
    ) -> list[A]:
        """Return `n` distinct valid architectures that are not known, best first if guided.

        Args:
            n: how many architectures, at least 1.
            guide: maps relaxed architectures, `B x *shape` in double precision on the device of
                the generator, to scores to be maximised, `B`. Generation follows the law
                `p(a) exp(k f(a))`; a guide without a gradient steers by resampling alone.
            scale: the strength k of the guidance, in units of one over the standard deviation of
                the guide over the better half of the space. So it does not depend on the unit of
                the guide. The default starts sharp (`default_scale`). A round that finds few new
                architectures lowers the scale, so that the best architectures come first and the
                next best follow (the paper's decreasing k).
            known: canonical keys of architectures of this space that must not be returned.
            unique: "canonical" asks for distinct canonical forms, "exact" for distinct strings.
            oversample: collects this many times `n`, and returns the best by the guide.
            polish: improves this many of the best by coordinate ascent, and lets all that it
                visits compete (see `naslib_diffusion.optimize.polish.Polisher`).
            starts: architectures from which the polish climbs as well. They may be known.
            batch_size: how many architectures are denoised at a time, at most. The default suits
                the device.
            max_rounds: how many rounds may find few before the rest is drawn without guidance.

        Raises:
            SpaceExhausted: if fewer than `n` exist or could be found. It carries those that were
                found.
            ValueError: if an argument is out of range, or the guide returns NaN or a wrong shape.
        """
        _check(n, unique, oversample, batch_size)
        pool = Pool(self.space, known, unique, self.device)
        wanted = min(math.ceil(n * oversample), pool.capacity)
        sharpness = 1.0 if self._draws_many(pool) else SHARPNESS
        tilt = self._tilt(guide, n, self.scale if scale is None else scale, sharpness)
        self._fill(pool, wanted, tilt, batch_size, max_rounds)
        if len(pool) < n:
            pool.fill_at_random(n, self._random)
        if guide is None:
            found = pool.best(n, None)
        else:
            found = self._best_first(pool, guide, n, polish, starts)
        if len(found) < n:
            raise SpaceExhausted(
                f"asked for {n} new distinct architectures of space {self.space.name!r}, "
                f"but only {len(found)} were found",
                found,
            )
        return found

    def _draws_many(self, pool: Pool[A]) -> bool:
        """Whether far more architectures are denoised than are wanted; see `CARD_SHARE`."""
        return self.device.type == "cuda" and pool.numbered

    def _tilt(
        self, guide: Guide | None, n: int, scale: float | None, sharpness: float
    ) -> Tilt | None:
        """Return how to be guided; None if that is not at all.

        By default it is so many times sharper than the law of the best `n`.
        """
        if guide is None or scale == 0:
            return None
        scale = sharpness * default_scale(n, self.space.size) if scale is None else scale
        scores = Scores(self.space, guide, self.device)
        x = scores.encode(sample_some(self.space, PROBES, self._random))
        unit = upper_deviation(scores.once(x))
        if unit == 0:
            return None
        blind = is_blind(guide, x.view(-1, *self.space.shape))
        return Tilt(guide, scale / unit, self.resample or blind)

    def _fill(
        self, pool: Pool[A], wanted: int, tilt: Tilt | None, most: int | None, max_rounds: int
    ) -> None:
        """Generate batches until the pool holds `wanted`, or too many were mostly repeats.

        The first, sharp ones are small, since there are few of the very best.
        """
        share, poor_rounds, limit = 1.0, 0, FIRST_BATCH
        while len(pool) < wanted and poor_rounds < max_rounds:
            rows = max(math.ceil((wanted - len(pool)) / max(share, LEAST_SHARE)), MIN_BATCH)
            if self._draws_many(pool):
                rows = min(CARD_SHARE * rows, most or CARD_BATCH)
            else:
                rows, limit = min(rows, limit, most or BATCH), 2 * limit
            share = self._draw(rows, tilt, pool) / rows
            if share < POOR_SHARE:
                poor_rounds += 1
                weaker = SOFTENING + (1 - SOFTENING) * share / POOR_SHARE
                tilt = tilt and replace(tilt, strength=tilt.strength * weaker)

    def _draw(self, rows: int, tilt: Tilt | None, pool: Pool[A]) -> int:
        """Denoise one batch into the pool; return how many of it are new.

        Without guidance the law is that of the space: where the denoiser knows a sample of it
        only, it is drawn from.
        """
        if tilt is None and getattr(self.denoiser, "partial", False):
            return pool.add(sample_some(self.space, rows, self._random))
        return pool.take(self._denoise(rows, tilt))

    @one_thread()
    def denoise(
        self, rows: int, guide: Guide | None = None, strength: float = 0.0, *, blind: bool = False
    ) -> Tensor:
        """Denoise one batch, and return relaxed architectures, `rows x *shape`; some may be equal.

        Args:
            rows: how many.
            guide: see `generate`.
            strength: k of the law `p(a) exp(k f(a))`, in the unit of the guide.
            blind: steer by resampling alone, for a guide that gives no (useful) gradient.
        """
        tilt = None
        if guide is not None and strength > 0:
            tilt = Tilt(guide, strength, self.resample or blind)
        return self._denoise(rows, tilt)

    def _best_first(
        self, pool: Pool[A], guide: Guide, n: int, polished: int, starts: Sequence[A] = ()
    ) -> list[A]:
        """Sort the pool by the guide, after a polish of its best and of `starts`.

        Of what the polish visits only the best `n` can matter: others are not looked at again.
        """
        card = self.device.type == "cuda"
        scores = Scores(self.space, guide, self.device, CARD_BATCH if card else CHUNK)
        if not polished and not starts:
            return pool.best(n, scores.once)
        starts = [*pool.best(polished, scores), *starts]
        if not starts:
            return []
        polisher = Polisher(self.space, device=self.device, random=self._random)
        polisher(scores.encode(starts), scores)
        visited = itertools.islice(best(scores, pool.key), n)
        pool.add([arch for arch, _ in visited])
        return pool.best(n, scores)


def _check(n: int, unique: str, oversample: float, batch_size: int | None) -> None:
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    if unique not in ("canonical", "exact"):
        raise ValueError(f"unique must be 'canonical' or 'exact', not {unique!r}")
    if not oversample >= 1:
        raise ValueError(f"oversample must be at least 1, not {oversample}")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
