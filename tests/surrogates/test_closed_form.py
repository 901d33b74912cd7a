"""Guides with their gradients in closed form, against automatic differentiation."""

import pytest
import torch

from naslib_diffusion.diffusion.guidance import value_and_gradient
from naslib_diffusion.spaces import MobileNetV3, NASBench201, ProductSpace
from naslib_diffusion.surrogates import (
    GaussianProcess,
    IndependentThompson,
    LogExpectedImprovement,
    NeuralEnsemble,
    ProductGaussianProcess,
    UpperConfidenceBound,
)

PRODUCT = ProductSpace.categorical([4] * 5)
MODELS = {
    "cells": GaussianProcess(NASBench201()),
    "mobilenetv3": GaussianProcess(MobileNetV3()),
    "one-hots": GaussianProcess(PRODUCT),
    "product": ProductGaussianProcess(PRODUCT),
}
GUIDES = {
    "ucb": UpperConfidenceBound,
    "logei": lambda model: LogExpectedImprovement(model, 1.0),
    "hopeless logei": lambda model: LogExpectedImprovement(model, 60.0),
    "its": lambda model: IndependentThompson(model, seed=3),
}


@pytest.fixture(params=MODELS)
def model(request):
    model = MODELS[request.param]
    return fitted(model, noise=1.0)


def fitted(model, noise):
    random = torch.Generator().manual_seed(0)
    x = model.space.encode(model.space.sample(40, random))
    y = x.flatten(1) @ torch.randn(x[0].numel(), generator=random, dtype=torch.double)
    y = y + noise * torch.randn(y.shape, generator=random, dtype=torch.double)
    return model.fit(x, (y - y.mean()) / y.std())


@pytest.fixture
def x(model):
    random = torch.Generator().manual_seed(1)
    a, b = (model.space.encode(model.space.sample(50, random)) for _ in range(2))
    return 0.3 * a + 0.7 * b


@pytest.mark.parametrize("kind", GUIDES)
def test_the_closed_form_is_what_automatic_differentiation_finds(model, x, kind):
    guide = GUIDES[kind](model)
    values, gradient = guide.value_and_gradient(x)
    by_tape, slope = value_and_gradient(guide.__call__, x)
    torch.testing.assert_close(values, by_tape, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(gradient, slope, rtol=1e-5, atol=1e-6 * float(slope.abs().max()))
    found = value_and_gradient(guide, x)
    assert torch.equal(found[0], values)
    assert torch.equal(found[1], gradient)


@pytest.mark.parametrize("kind", GUIDES)
def test_single_precision_is_close(model, x, kind):
    guide = GUIDES[kind](model)
    values, gradient = guide.value_and_gradient(x)
    single, slope = guide.value_and_gradient(x.float())
    assert single.dtype == slope.dtype == torch.float
    torch.testing.assert_close(single.double(), values, rtol=1e-2, atol=1e-2)
    largest = float(gradient.abs().max())
    torch.testing.assert_close(slope.double(), gradient, rtol=0, atol=1e-2 * largest)


def test_without_noise_it_is_computed_in_double_precision():
    model = fitted(ProductGaussianProcess(PRODUCT), noise=0.0)
    x = PRODUCT.encode(PRODUCT.sample(50, torch.Generator().manual_seed(1)))
    mean, deviation, _ = model.linearize(0.9 * x.float())
    exact = model.posterior((0.9 * x.float()).double())
    assert exact[1].min() < 0.05  # as good as known: single precision would see noise
    for found, expected in zip((mean, deviation), exact, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def test_single_precision_is_finite_where_all_is_known(model):
    x = model.space.encode(model.space.sample(40, torch.Generator().manual_seed(0)))
    for make in GUIDES.values():
        values, gradient = make(model).value_and_gradient(x.float())
        assert values.isfinite().all()
        assert gradient.isfinite().all()


def test_a_surrogate_without_closed_form_is_differentiated():
    space = NASBench201()
    x = space.encode(space.sample(10, torch.Generator().manual_seed(0)))
    guide = UpperConfidenceBound(NeuralEnsemble(space, steps=2).fit(x, x.flatten(1).sum(1)))
    assert guide.value_and_gradient(x) is None
    values, gradient = value_and_gradient(guide, x.float())
    assert values.dtype == gradient.dtype == torch.float
    assert bool(gradient.any())
