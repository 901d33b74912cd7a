"""Features with their gradients in closed form, against automatic differentiation."""

import pytest
import torch

from naslib_diffusion.spaces import GPT, MobileNetV3, NASBench201, ProductSpace
from naslib_diffusion.spaces.base import LinearizedFeatures

SPACES = [NASBench201(), MobileNetV3(), GPT("s"), ProductSpace.categorical([3] * 4)]


@pytest.fixture(params=SPACES, ids=lambda space: space.name)
def space(request):
    return request.param


def relaxed(space, rows, seed=0):
    """Points between architectures, and a few architectures."""
    random = torch.Generator().manual_seed(seed)
    a, b = (space.encode(space.sample(rows, random)) for _ in range(2))
    share = torch.rand(rows, *[1] * len(space.shape), generator=random).double()
    return torch.cat([a[:3], share * a + (1 - share) * b, torch.rand(a.shape, generator=random)])


def test_values_and_gradients_are_those_of_the_features(space):
    assert isinstance(space, LinearizedFeatures)
    x = relaxed(space, 20).requires_grad_()
    expected = space.features(x)
    found, pullback = space.linearize_features(x.detach())
    random = torch.Generator().manual_seed(1)
    slopes = [torch.randn(f.shape, generator=random, dtype=torch.double) for f in found]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b.detach())
    total = sum((f * s).sum() for f, s in zip(expected, slopes, strict=True))
    (gradient,) = torch.autograd.grad(total, x)
    torch.testing.assert_close(pullback(slopes), gradient)


def test_gradients_are_finite_differences(space):
    x = relaxed(space, 2)[3:5]
    _, pullback = space.linearize_features(x)
    step = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.double)
    ahead, behind = (space.features(x + sign * 1e-6 * step) for sign in (1, -1))
    for i, (a, b) in enumerate(zip(ahead, behind, strict=True)):
        by = [torch.ones_like(f) if j == i else torch.zeros_like(f) for j, f in enumerate(ahead)]
        found = (pullback(by) * step).flatten(1).sum(1)
        torch.testing.assert_close(found, ((a - b) / 2e-6).sum(1), rtol=1e-6, atol=1e-7)


def test_single_precision_stays_single(space):
    x = relaxed(space, 20)
    exact, _ = space.linearize_features(x)
    found, pullback = space.linearize_features(x.float())
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == torch.float
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-5)
    assert pullback([torch.ones_like(f) for f in found]).dtype == torch.float
