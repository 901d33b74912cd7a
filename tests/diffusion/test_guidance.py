"""Guided denoisers against the exact tilted law."""

from __future__ import annotations

import pytest
import torch

from naslib_diffusion.diffusion import (
    EstimateGuidance,
    NoisyGuidance,
    TiltGuidance,
    karras_sigmas,
    sample_ancestral,
    sample_dpmpp_2m,
    sample_heun,
)
from naslib_diffusion.diffusion.guidance import value_and_gradient
from naslib_diffusion.testing.denoisers import noisy

ROWS = 20_000


def tilted_mean(law, guide, scale, x, sigma):
    """Posterior mean under the tilted law, over all architectures."""
    distances = (x[:, None] - law.atoms).square().sum(-1)
    logits = scale * guide(law.atoms) - distances / (2 * sigma**2)
    return torch.softmax(logits, dim=1) @ law.atoms


def exact_noisy_guide(law, guide, scale):
    """The noise-conditioned surrogate that Eq. 9 asks for: log E[exp(k f(x0)) | x] / k."""

    def noisy_guide(x, sigma):
        logits = (x @ law.atoms.T - law.atoms.square().sum(1) / 2) / sigma**2
        tilted = torch.logsumexp(scale * guide(law.atoms) + logits, dim=1)
        return (tilted - torch.logsumexp(logits, dim=1)) / scale

    return noisy_guide


@pytest.mark.parametrize("sigma", [0.1, 0.5, 3.0])
def test_tilt_is_exact_for_a_linear_guide(law, sigma):
    guide = law.guides["linear"]
    x = noisy(law.atoms, sigma)
    estimate = TiltGuidance(law.denoiser, guide, 3.0)(x, sigma)
    torch.testing.assert_close(estimate, tilted_mean(law, guide, 3.0, x, sigma))


@pytest.mark.parametrize("sigma", [0.2, 0.5, 3.0])
@pytest.mark.parametrize("name", ["linear", "quadratic"])
def test_noisy_guidance_is_exact_with_the_right_surrogate(law, sigma, name):
    guide = law.guides[name]
    x = noisy(law.atoms, sigma)
    surrogate = exact_noisy_guide(law, guide, 2.0)
    estimate = NoisyGuidance(law.denoiser, surrogate, 2.0)(x, sigma)
    torch.testing.assert_close(estimate, tilted_mean(law, guide, 2.0, x, sigma))


def test_estimate_guidance_against_finite_differences(law):
    guide, sigma, scale = law.guides["quadratic"], 0.6, 1.5
    x = noisy(law.atoms, sigma)[:4]
    guided = EstimateGuidance(law.denoiser, guide, scale)(x, sigma)
    gradient = (guided - law.denoiser(x, sigma)) / (sigma**2 * scale)
    for column in range(x.shape[1]):
        step = torch.zeros_like(x)
        step[:, column] = 1e-5
        ahead, behind = (guide(law.denoiser(x + sign * step, sigma)) for sign in (1, -1))
        torch.testing.assert_close(
            gradient[:, column], (ahead - behind) / 2e-5, rtol=1e-5, atol=1e-8
        )


def test_iterations_improve_a_curved_guide(law):
    guide, sigma = law.guides["quadratic"], 1.0
    x = noisy(law.atoms, sigma)
    exact = tilted_mean(law, guide, 1.0, x, sigma)
    errors = [
        float((TiltGuidance(law.denoiser, guide, 1.0, n)(x, sigma) - exact).square().mean())
        for n in (1, 2)
    ]
    assert errors[1] < errors[0]


@pytest.mark.parametrize("guidance", [TiltGuidance, EstimateGuidance])
def test_scales(law, guidance):
    """A number, a number per row and a function of the noise level."""
    guide = law.guides["quadratic"]
    x = noisy(law.atoms, 0.5)[:3]
    whole = guidance(law.denoiser, guide, 2.0)(x, 0.5)
    torch.testing.assert_close(guidance(law.denoiser, guide, lambda s: 4 * s)(x, 0.5), whole)
    scales = torch.tensor([0.0, 2.0, 1.0])
    rows = guidance(law.denoiser, guide, scales)(x, 0.5)
    torch.testing.assert_close(rows[0], law.denoiser(x, 0.5)[0])
    torch.testing.assert_close(rows[1], whole[1])


@pytest.mark.parametrize("guidance", [TiltGuidance, EstimateGuidance, NoisyGuidance])
def test_a_guide_without_gradient_does_not_steer(law, guidance):
    x = noisy(law.atoms, 0.5)
    guided = guidance(law.denoiser, lambda x, *_: x.detach().sum(1), 2.0)(x, 0.5)
    torch.testing.assert_close(guided, law.denoiser(x, 0.5))


def test_guide_of_the_wrong_shape(law):
    with pytest.raises(ValueError, match=r"must map \(2, 16\) to \(2,\), not to \(2, 2\)"):
        value_and_gradient(lambda x: x[:, :2], torch.zeros(2, 16))


def test_no_graph_is_kept(law):
    x = noisy(law.atoms, 0.5).requires_grad_()
    values, gradient = value_and_gradient(law.guides["linear"], x)
    assert not values.requires_grad
    assert gradient is not None
    assert not gradient.requires_grad


@pytest.mark.parametrize(
    ("name", "guidance", "sampler", "scale", "bound"),
    [
        ("linear", TiltGuidance, sample_ancestral, 1.0, 0.02),
        ("linear", TiltGuidance, sample_ancestral, 3.0, 0.03),
        ("linear", TiltGuidance, sample_dpmpp_2m, 1.0, 0.03),
        ("linear", TiltGuidance, sample_heun, 1.0, 0.03),
        ("linear", EstimateGuidance, sample_ancestral, 1.0, 0.03),
        ("quadratic", TiltGuidance, sample_ancestral, 1.0, 0.06),
        ("quadratic", EstimateGuidance, sample_ancestral, 1.0, 0.06),
        ("quadratic", "noisy", sample_ancestral, 1.0, 0.03),
    ],
)
def test_samples_follow_the_tilted_law(law, generator, name, guidance, sampler, scale, bound):
    """Total variation to p(a) exp(k f(a)), beyond what as many exact samples have."""
    guide = law.guides[name]
    if guidance == "noisy":
        guided = NoisyGuidance(law.denoiser, exact_noisy_guide(law, guide, scale), scale)
    else:
        guided = guidance(law.denoiser, guide, scale)
    x = law.noise(ROWS, 3.0, generator)
    x = sampler(guided, x, karras_sigmas(20), generator=generator)
    excess = law.distance(x, guide, scale) - law.floor(ROWS, guide, scale)
    assert excess < bound
    unguided = sampler(law.denoiser, law.noise(ROWS, 3.0, generator), karras_sigmas(20))
    assert law.distance(unguided, guide, scale) > law.distance(x, guide, scale) + 0.1
