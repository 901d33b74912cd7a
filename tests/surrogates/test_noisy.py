"""The noise-conditioned surrogate and guidance by it."""

import pytest
import torch

from naslib_diffusion.diffusion import (
    ExactDenoiser,
    NoisyGuidance,
    karras_sigmas,
    sample_ancestral,
)
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.surrogates.noisy import NoisySurrogate

SPACE = NASBench201()


def objective(cells):
    """The number of 3x3 convolutions, standardised."""
    counts = torch.tensor([c.operations.count(3) for c in cells], dtype=torch.double)
    return (counts - 1.2) / 0.98


@pytest.fixture(scope="module")
def fitted():
    cells = SPACE.sample(200, torch.Generator().manual_seed(0))
    return NoisySurrogate(SPACE, steps=400).fit(SPACE.encode(cells), objective(cells))


def noisy(cells, sigma):
    x = SPACE.encode(cells)
    random = torch.Generator().manual_seed(2)
    return x + sigma * torch.randn(x.shape, generator=random, dtype=x.dtype)


def test_predicts_unseen_architectures(fitted):
    cells = SPACE.sample(500, torch.Generator().manual_seed(1))
    for sigma, least in ((0.02, 0.9), (0.3, 0.8), (1.0, 0.3)):
        prediction = fitted(noisy(cells, sigma), sigma)
        assert torch.corrcoef(torch.stack([prediction, objective(cells)]))[0, 1] > least


def test_knows_when_it_knows_nothing(fitted):
    """In deep noise the best prediction is the mean."""
    cells = SPACE.sample(500, torch.Generator().manual_seed(1))
    assert fitted(noisy(cells, 4.0), 4.0).std() < 0.5
    assert fitted(noisy(cells, 0.05), 0.05).std() > 0.8


def test_noise_levels_per_row_and_precision(fitted):
    x = noisy(SPACE.sample(4), 0.5)
    torch.testing.assert_close(fitted(x, torch.full((4,), 0.5)), fitted(x, 0.5))
    assert fitted(x.float(), 0.5).dtype == torch.float32
    assert fitted(x[:0], 0.5).shape == (0,)


def test_gradient(fitted):
    x = noisy(SPACE.sample(2), 0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: fitted(y, 0.5), x)


def test_guides(fitted):
    sigmas = karras_sigmas(20)
    means = []
    for scale in (0.0, 3.0):
        random = torch.Generator().manual_seed(4)
        x = 0.5 + sigmas[0] * torch.randn(200, 8, 7, generator=random, dtype=torch.double)
        guided = NoisyGuidance(ExactDenoiser(SPACE), fitted, scale)
        cells = SPACE.decode(sample_ancestral(guided, x, sigmas, generator=random))
        means.append(float(objective(cells).mean()))
    assert abs(means[0]) < 0.25
    assert means[1] > means[0] + 1


def test_a_seed_fixes_all():
    cells = SPACE.sample(20, torch.Generator().manual_seed(0))
    x, y = SPACE.encode(cells), objective(cells)
    state = torch.random.get_rng_state()
    a, b, c = (NoisySurrogate(SPACE, steps=3, seed=s).fit(x, y)(x, 0.1) for s in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(state, torch.random.get_rng_state())


def test_empty_range():
    with pytest.raises(ValueError, match="need 0 < sigma_min < sigma_max"):
        NoisySurrogate(SPACE, sigma_min=2.0, sigma_max=1.0)
