"""Twisted sequential Monte Carlo follows the tilted law."""

from __future__ import annotations

import pytest
import torch

from naslib_diffusion.diffusion import (
    TiltGuidance,
    karras_sigmas,
    sample_ancestral,
    sample_twisted,
)
from naslib_diffusion.diffusion.resampling import effective_size, systematic_resample

ROWS = 20_000


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("name", ["linear", "quadratic"])
def test_follows_the_tilted_law(law, generator, name, scale):
    guide = law.guides[name]
    x = law.noise(ROWS, 3.0, generator)
    x = sample_twisted(law.denoiser, guide, x, karras_sigmas(30), scale=scale, generator=generator)
    assert law.distance(x, guide, scale) - law.floor(ROWS, guide, scale) < 0.045


def test_is_closer_than_guidance_alone(law, generator):
    guide, scale, sigmas = law.guides["quadratic"], 3.0, karras_sigmas(30)
    x = law.noise(ROWS, 3.0, generator)
    twisted = sample_twisted(law.denoiser, guide, x, sigmas, scale=scale, generator=generator)
    guided = TiltGuidance(law.denoiser, guide, scale)
    tilted = sample_ancestral(guided, x, sigmas, generator=generator)
    assert law.distance(twisted, guide, scale) < law.distance(tilted, guide, scale) / 2


@pytest.mark.parametrize("name", ["linear", "quadratic"])
def test_serves_a_guide_without_gradient(law, generator, name):
    """A black box that sees discrete architectures only."""
    guide = law.guides[name]
    x = law.noise(ROWS, 3.0, generator)
    x = sample_twisted(
        law.denoiser,
        lambda x: guide(law.discretise(x)),
        x,
        karras_sigmas(30),
        generator=generator,
    )
    assert law.distance(x, guide, 1.0) - law.floor(ROWS, guide, 1.0) < 0.045


def test_callback_is_told(law, generator):
    told = []
    x = law.noise(8, 3.0, generator)
    sample_twisted(law.denoiser, law.guides["linear"], x, karras_sigmas(4), callback=told.append)
    assert [step.index for step in told] == [0, 1, 2, 3]


def test_systematic_resampling_counts(generator):
    weights = torch.tensor([0.5, 0.25, 0.125, 0.124, 0.001], dtype=torch.double)
    weights = weights.repeat_interleave(20) / 20
    counts = torch.bincount(systematic_resample(weights.log(), generator), minlength=100)
    assert bool((counts >= torch.floor(100 * weights)).all())
    assert bool((counts <= torch.ceil(100 * weights)).all())


def test_effective_size():
    assert float(effective_size(torch.zeros(10))) == pytest.approx(1.0)
    one_heavy = torch.tensor([0.0] + [-1e9] * 9)
    assert float(effective_size(one_heavy)) == pytest.approx(0.1)
