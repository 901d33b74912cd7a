"""Noise processes and noise levels."""

from __future__ import annotations

import math

import pytest
import torch

from naslib_diffusion.diffusion import VESDE, VPSDE, geometric_sigmas, karras_sigmas

TIMES = torch.linspace(0.01, 1, 50, dtype=torch.double)


def test_ve_has_the_papers_range():
    sde = VESDE()
    ends = sde.sigma(torch.tensor([0.0, 1.0], dtype=torch.double))
    torch.testing.assert_close(ends, torch.tensor([0.1, 5.0], dtype=torch.double))
    # published figure: g^2 is 195.6 at t = 1
    assert float(sde.diffusion(torch.tensor(1.0)) ** 2) == pytest.approx(195.6, abs=0.05)


def _derivative(values, t):
    if not values.requires_grad:
        return torch.zeros_like(t)
    return torch.autograd.grad(values.sum(), t, retain_graph=True)[0]


@pytest.mark.parametrize("sde", [VESDE(), VPSDE()])
def test_moments_solve_the_sde(sde):
    """Of `dx = f dt + g dw`: `d alpha / dt = f(alpha)` and `d var / dt = 2 f'(x) var + g^2`."""
    t = TIMES.clone().requires_grad_()
    alpha = sde.alpha(t)
    variance = (alpha * sde.sigma(t)) ** 2
    slope = _derivative(alpha, t)
    torch.testing.assert_close(slope, sde.drift(alpha, t))
    rate = sde.drift(torch.ones_like(t), t)
    torch.testing.assert_close(
        _derivative(variance, t), 2 * rate * variance + sde.diffusion(t) ** 2
    )


def test_vp_drift_broadcasts_times_over_rows():
    x = torch.ones(3, 8, 7)
    drift = VPSDE().drift(x, torch.tensor([0.1, 0.5, 1.0]))
    assert drift.shape == x.shape
    assert float(drift[2, 0, 0]) == pytest.approx(-10.0)


def test_geometric_levels_are_the_papers_process():
    sigmas = geometric_sigmas(1000)
    times = torch.linspace(1, 0, 1000, dtype=torch.double)
    torch.testing.assert_close(sigmas[:-1], VESDE().sigma(times))


@pytest.mark.parametrize("rho", [1.0, 3.0, 7.0, math.inf])
@pytest.mark.parametrize("steps", [2, 10])
def test_levels_decrease_to_zero(rho, steps):
    sigmas = karras_sigmas(steps, 0.1, 4.0, rho)
    assert len(sigmas) == steps + 1
    assert sigmas[0].item() == pytest.approx(4.0)
    assert sigmas[-2].item() == pytest.approx(0.1)
    assert sigmas[-1] == 0
    assert bool((sigmas.diff() < 0).all())


def test_one_step():
    assert karras_sigmas(1, 0.1, 4.0).tolist() == pytest.approx([4.0, 0.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: karras_sigmas(0), "steps must be at least 1, not 0"),
        (lambda: karras_sigmas(5, rho=0), "rho must be positive, not 0"),
        (lambda: geometric_sigmas(5, 2.0, 1.0), "sigma_min < sigma_max, not 2.0 and 1.0"),
        (lambda: VESDE(sigma_min=0), "0 < sigma_min"),
        (lambda: VPSDE(beta_max=0.01), "beta_min < beta_max"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
