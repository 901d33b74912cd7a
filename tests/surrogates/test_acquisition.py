"""Acquisition functions against BoTorch's and against finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from botorch.acquisition.analytic import _log_ei_helper
from hypothesis import given
from hypothesis import strategies as st

from naslib_diffusion.surrogates import (
    IndependentThompson,
    LogExpectedImprovement,
    UpperConfidenceBound,
)
from naslib_diffusion.surrogates.acquisition import log_improvement

Z = torch.cat(
    [
        -torch.logspace(6, -6, 400, dtype=torch.double),
        torch.linspace(-12, 12, 401, dtype=torch.double),
        torch.tensor([-1e3 - 1e-9, -1e3, -1e3 + 1e-9, -1 - 1e-9, -1.0, -1 + 1e-9, 0.0, 50.0]),
        torch.logspace(-6, math.log10(50), 100, dtype=torch.double),
    ]
)


class Straight:
    """A surrogate whose mean and deviation are known functions of the encoding, `B x 2`."""

    def posterior(self, x):
        return x[:, 0] * 2 - 1, 0.1 + x[:, 1] ** 2


X = torch.rand(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.double)


def test_log_improvement_is_that_of_botorch():
    torch.testing.assert_close(log_improvement(Z), _log_ei_helper(Z), rtol=1e-9, atol=1e-9)


def test_log_improvement_is_increasing_and_meets_its_limits():
    z = Z.unique()
    assert bool((log_improvement(z).diff() >= 0).all())
    assert bool((log_improvement(z[::7]).diff() > 0).all())
    far = torch.tensor([-1e6, -1e12, -1e100], dtype=torch.double)
    expected = -0.5 * far**2 - 0.5 * math.log(2 * math.pi) - 2 * (-far).log()
    torch.testing.assert_close(log_improvement(far), expected)
    high = torch.tensor([20.0, 50.0, 1e6, 1e100], dtype=torch.double)
    torch.testing.assert_close(log_improvement(high), high.log())


def test_log_improvement_gradient():
    """That of BoTorch, and far below, where BoTorch's loses digits, that of the limit."""
    z = Z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(log_improvement(z).sum(), z)
    (expected,) = torch.autograd.grad(_log_ei_helper(z).sum(), z)
    near = Z > -1e3
    torch.testing.assert_close(gradient[near], expected[near], rtol=1e-7, atol=1e-9)
    far = Z[~near]
    torch.testing.assert_close(gradient[~near], -far - 2 / far, rtol=1e-10, atol=0)


@given(st.floats(-1e5, 50))
def test_log_improvement_gradient_is_that_of_finite_differences(z):
    z = torch.tensor([z], dtype=torch.double, requires_grad=True)
    (gradient,) = torch.autograd.grad(log_improvement(z).sum(), z)
    with torch.no_grad():
        step = 1e-5 * z.abs().clamp(min=1)
        slope = (log_improvement(z + step) - log_improvement(z - step)) / (2 * step)
    torch.testing.assert_close(gradient, slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("mean", "deviation", "best"), [(0.0, 1.0, 0.5), (-3.0, 0.5, 1.0)])
def test_log_expected_improvement_is_the_logarithm_of_the_expectation(mean, deviation, best):
    class Constant:
        def posterior(self, x):
            return torch.full((len(x),), mean).double(), torch.full((len(x),), deviation).double()

    grid = torch.linspace(best, mean + 12 * deviation, 200_001, dtype=torch.double)
    density = (
        torch.exp(-(((grid - mean) / deviation) ** 2) / 2) / deviation / math.sqrt(2 * math.pi)
    )
    expected = torch.trapezoid((grid - best) * density, grid).log()
    score = LogExpectedImprovement(Constant(), best)(X[:1])
    torch.testing.assert_close(score, expected[None], rtol=1e-6, atol=1e-6)


def test_log_expected_improvement_scales_with_the_unit():
    """Mean, deviation and incumbent in another unit shift the score by the unit's logarithm."""

    class Scaled(Straight):
        def posterior(self, x):
            return tuple(100 * part for part in super().posterior(x))

    a = LogExpectedImprovement(Straight(), 0.5)(X)
    b = LogExpectedImprovement(Scaled(), 50.0)(X)
    torch.testing.assert_close(b, a + math.log(100))


def test_upper_confidence_bound():
    mean, deviation = Straight().posterior(X)
    assert torch.equal(UpperConfidenceBound(Straight())(X), mean + 2 * deviation)
    assert torch.equal(UpperConfidenceBound(Straight(), beta=0.0)(X), mean)


@pytest.mark.parametrize(
    "acquisition",
    [
        LogExpectedImprovement(Straight(), 0.5),
        LogExpectedImprovement(Straight(), 200.0),
        UpperConfidenceBound(Straight()),
        IndependentThompson(Straight(), 3),
    ],
)
def test_gradients(acquisition):
    assert torch.autograd.gradcheck(acquisition, X.clone().requires_grad_())


def test_thompson_draws_belong_to_rows():
    """A row keeps its draw from call to call, wherever it moves; the law is the posterior."""
    thompson = IndependentThompson(Straight(), seed=1)
    assert torch.equal(thompson(X), thompson(X))
    mean, deviation = Straight().posterior(X)
    draws = (thompson(X) - mean) / deviation
    moved_mean, moved_deviation = Straight().posterior(1 - X)
    torch.testing.assert_close((thompson(1 - X) - moved_mean) / moved_deviation, draws)
    assert not torch.allclose(IndependentThompson(Straight(), seed=2)(X), thompson(X))
    many = X[:1].expand(20_000, 2)
    scores = thompson(many)
    assert float(scores.mean()) == pytest.approx(float(mean[0]), abs=4 * float(deviation[0]) / 141)
    assert float(scores.std()) == pytest.approx(float(deviation[0]), rel=0.03)


def test_thompson_leaves_the_global_generator_alone():
    state = torch.random.get_rng_state()
    IndependentThompson(Straight(), seed=1)(X)
    assert torch.equal(state, torch.random.get_rng_state())
