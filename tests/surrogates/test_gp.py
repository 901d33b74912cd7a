"""The Gaussian process against GPyTorch and BoTorch."""

from __future__ import annotations

import itertools

import gpytorch
import pytest
import torch

from naslib_diffusion.spaces import Categorical, Integer, NASBench201, ProductSpace, Real
from naslib_diffusion.surrogates import GaussianProcess, make_surrogate
from naslib_diffusion.surrogates.gp import (
    LENGTH_FACTORS,
    MAX_FITTED,
    MAX_OBSERVATIONS,
    NOISE_RATIOS,
    Hyperparameters,
    squared_distances,
)
from naslib_diffusion.surrogates.thinning import thin
from naslib_diffusion.testing import SurrogateTestCase
from naslib_diffusion.testing.surrogates import smooth

MIXED = ProductSpace(
    [Real(-1, 1), Real(1e-4, 1, log=True), Integer(1, 8), Categorical(["a", "b"])]
)


class TestOnCells(SurrogateTestCase):
    @pytest.fixture
    def space(self):
        return NASBench201()

    @pytest.fixture
    def surrogate(self, space):
        return lambda: GaussianProcess(space)


class TestOnProducts(SurrogateTestCase):
    @pytest.fixture
    def space(self):
        return MIXED

    @pytest.fixture
    def surrogate(self, space):
        return lambda: GaussianProcess(space)


def data(space, n, seed=0):
    """Encodings with some repeats, and noisy standardised targets."""
    generator = torch.Generator().manual_seed(seed)
    x = space.encode(space.sample(n, generator))
    x[: n // 8] = x[n // 2 : n // 2 + n // 8]
    y = smooth(space, x) + 0.2 * torch.randn(n, generator=generator, dtype=torch.double)
    return x, (y - y.mean()) / y.std()


@pytest.mark.parametrize("n", [1, 2, 25])
@pytest.mark.parametrize("space", [NASBench201(), MIXED], ids=["cells", "product"])
def test_posterior_is_that_of_botorch(space, n):
    x, y = data(space, 32)
    gp = GaussianProcess(space).fit(x[:n], y[:n])
    model = gp.to_botorch()
    rows = torch.cat([x, 0.5 * x + 0.5 * x.roll(1, 0)])
    mean, deviation = gp.posterior(rows)
    expected = model.posterior(torch.cat(space.features(rows), -1))
    torch.testing.assert_close(mean, expected.mean[:, 0], rtol=0, atol=1e-6)
    torch.testing.assert_close(deviation**2, expected.variance[:, 0], rtol=0, atol=1e-6)
    mean, covariance = gp.joint(rows)
    torch.testing.assert_close(mean, expected.mean[:, 0], rtol=0, atol=1e-6)
    whole = expected.distribution.covariance_matrix
    torch.testing.assert_close(covariance, whole, rtol=0, atol=1e-6)


def test_fantasies_are_those_of_botorch():
    space = NASBench201()
    x, y = data(space, 32)
    gp = GaussianProcess(space).fit(x[:16], y[:16]).fantasize(x[16:20])
    expected = gp.to_botorch().posterior(torch.cat(space.features(x), -1))
    mean, deviation = gp.posterior(x)
    torch.testing.assert_close(mean, expected.mean[:, 0], rtol=0, atol=1e-6)
    torch.testing.assert_close(deviation**2, expected.variance[:, 0], rtol=0, atol=1e-6)


def evidence(gp, hyperparameters):
    """GPyTorch's log marginal likelihood, and the exponent of one pseudo-observation's density.

    The pseudo-observation is 1, independent of the others, and has the signal variance.
    """
    gp.hyperparameters = hyperparameters
    model = gp.to_botorch().train()
    n = len(model.train_targets)
    likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    with torch.no_grad():
        observed = float(likelihood(model(*model.train_inputs), model.train_targets)) * n
    return observed - 0.5 / hyperparameters.variance


@pytest.mark.parametrize(("space", "n"), [(NASBench201(), 3), (NASBench201(), 14), (MIXED, 14)])
def test_hyperparameters_maximise_the_evidence(space, n):
    """The choice is the best of the grid by GPyTorch's likelihood."""
    x, y = data(space, n)
    gp = GaussianProcess(space).fit(x, y)
    chosen = gp.hyperparameters
    off_diagonal = ~torch.eye(n, dtype=torch.bool)
    units = [
        float(squared_distances(g, g)[off_diagonal].median().sqrt()) for g in space.features(x)
    ]
    found = {}
    for factors in itertools.product(LENGTH_FACTORS, repeat=len(units)):
        lengths = tuple(factor * unit for factor, unit in zip(factors, units, strict=True))
        for ratio in NOISE_RATIOS:
            # the closed form of the variance: the mean square of the whitened targets and of 1
            gp.hyperparameters = Hyperparameters(lengths, 1.0, ratio)
            gp._condition(gp._groups, y)
            variance = (float(y @ gp._posterior.weights) + 1) / (n + 1)
            other = Hyperparameters(lengths, variance, ratio * variance)
            found[other] = evidence(gp, other)
    best = max(found, key=found.__getitem__)
    assert best.lengths == pytest.approx(chosen.lengths)
    assert best.variance == pytest.approx(chosen.variance)
    assert best.noise == pytest.approx(chosen.noise)


def test_many_observations_are_thinned_out():
    """The best, the latest and a share of the rest stay; hyperparameters come from fewer still."""
    x, y = data(MIXED, MAX_OBSERVATIONS + 50)
    gp = GaussianProcess(MIXED).fit(x, y)
    assert len(gp._targets) == MAX_OBSERVATIONS
    assert gp._targets.max() == y.max()
    kept = thin(y, MAX_OBSERVATIONS)
    few = kept[thin(y[kept], MAX_FITTED)]
    assert gp.hyperparameters == GaussianProcess(MIXED).fit(x[few], y[few]).hyperparameters


def test_interpolates_without_noise():
    x = MIXED.encode(MIXED.sample(30, torch.Generator().manual_seed(0)))
    y = smooth(MIXED, x)
    gp = GaussianProcess(MIXED).fit(x, y)
    mean, deviation = gp.posterior(x)
    assert (mean - y).abs().max() < 0.1
    assert deviation.max() < 0.1 * y.std()


def test_hears_noise():
    """Ten noisy repeats of each of five points: the noise is seen as such."""
    x = MIXED.encode(MIXED.sample(5, torch.Generator().manual_seed(0))).repeat(10, 1)
    noise = torch.randn(50, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    y = smooth(MIXED, x) + noise
    gp = GaussianProcess(MIXED).fit(x, (y - y.mean()) / y.std())
    assert gp.hyperparameters.noise == pytest.approx(
        NOISE_RATIOS[-1] * gp.hyperparameters.variance
    )


@pytest.mark.parametrize("row", range(6))
def test_length_scales_where_most_observations_are_repeats(row):
    """Rounding errors between equal features are not distances.

    They were once the median distance: a length scale of 1e-8, and repeats that did not count as
    measurements of the same point.
    """
    x = MIXED.encode(MIXED.sample(12, torch.Generator().manual_seed(0)))
    x[:10] = x[row]
    y = torch.randn(12, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    gp = GaussianProcess(MIXED).fit(x, y)
    assert min(gp.hyperparameters.lengths) > 1e-2
    mean, deviation = gp.posterior(x[:1])
    assert float(mean) == pytest.approx(float(y[:10].mean()), abs=0.2)
    assert float(deviation) > 1e-3


def test_only_repeats():
    x = MIXED.encode(MIXED.sample(1)).repeat(6, 1)
    gp = GaussianProcess(MIXED).fit(x, torch.linspace(-1, 1, 6).double())
    assert float(gp.posterior(x[:1])[0]) == pytest.approx(0, abs=1e-9)
    assert gp.hyperparameters.lengths[0] in LENGTH_FACTORS


def test_squared_distances():
    a, b = torch.rand(5, 3, dtype=torch.double), torch.rand(4, 3, dtype=torch.double)
    torch.testing.assert_close(squared_distances(a, b), torch.cdist(a, b) ** 2)
    assert squared_distances(1e8 + a, 1e8 + a).min() >= 0


def test_unknown_names_are_explained():
    with pytest.raises(ValueError, match="unknown surrogate 'forest'; known: gp, ensemble"):
        make_surrogate("forest", MIXED)
