"""The Gaussian process of product spaces: its evidence, its gradients, what it learns."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch

from naslib_diffusion.spaces import (
    Categorical,
    Integer,
    MobileNetV3,
    NASBench201,
    NASBenchGraph,
    ProductSpace,
    Real,
)
from naslib_diffusion.spaces.subset import Subset
from naslib_diffusion.surrogates import (
    GaussianProcess,
    NeuralEnsemble,
    ObjectiveScale,
    ProductGaussianProcess,
    make_surrogate,
    product,
)
from naslib_diffusion.surrogates.base import fit_to_values, milestone
from naslib_diffusion.surrogates.posterior import matern, squared_distances
from naslib_diffusion.surrogates.product import is_product
from naslib_diffusion.surrogates.product_kernel import (
    Layout,
    ProductKernel,
    maximize_posterior,
    misfit,
)
from naslib_diffusion.surrogates.thinning import thin
from naslib_diffusion.testing import SurrogateTestCase

OPERATIONS = ["conv", "pool", "skip"]
MIXED = ProductSpace(
    [
        Categorical(OPERATIONS, "first"),
        Real(1e-4, 1, log=True),
        Categorical(OPERATIONS, "second"),
        Categorical(["a", "b"]),
        Integer(1, 8),
    ]
)


class TestOnMixedProducts(SurrogateTestCase):
    @pytest.fixture
    def space(self):
        return MIXED

    @pytest.fixture
    def surrogate(self, space):
        return lambda: ProductGaussianProcess(space)


class TestOnNumbers(SurrogateTestCase):
    @pytest.fixture
    def space(self):
        return ProductSpace([Real(0, 1), Integer(1, 10**6, log=True)])

    @pytest.fixture
    def surrogate(self, space):
        return lambda: ProductGaussianProcess(space)


def data(space, n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = space.encode(space.sample(n, generator))
    y = x @ torch.randn(x.shape[1], generator=generator, dtype=torch.double)
    return x, (y - y.mean()) / y.std()


def test_which_coordinates_share_what():
    layout = Layout.of(MIXED.blocks)
    assert layout.parameter.tolist() == [0, 0, 0, 1, 2, 2, 2, 3, 3, 4]
    assert layout.choice.tolist() == [0, 1, 2, -1, 0, 1, 2, 3, 4, -1]
    assert layout.counted.tolist() == [True, True, True, False, False]


def test_equal_numbers_of_choices_are_of_one_kind_only_if_the_choices_are_equal():
    apart = ProductSpace([Categorical(["a", "b"]), Categorical(["c", "d"])])
    assert Layout.of(apart.blocks).choice.tolist() == [0, 1, 2, 3]
    told = ProductSpace([Categorical(["a", "b"], kind="x"), Categorical(["c", "d"], kind="x")])
    assert Layout.of(told.blocks).choice.tolist() == [0, 1, 0, 1]
    odd = ProductSpace([Categorical(["a", "b"], kind="x"), Categorical(["c"], kind="x")])
    assert Layout.of(odd.blocks).choice.tolist() == [0, 1, -1]


@pytest.mark.parametrize("space", [MIXED, ProductSpace([Real(0, 1)] * 2)], ids=["mixed", "reals"])
def test_the_evidence_and_its_gradient_are_those_of_the_normal_law(space):
    x, y = data(space, 14)
    kernel = ProductKernel(Layout.of(space.blocks))
    random = torch.Generator().manual_seed(1)
    theta = kernel.start(x, y)
    theta = theta + 0.3 * torch.randn(theta.shape, generator=random, dtype=torch.double)
    theta.requires_grad_()
    maps, variances = kernel.maps(theta), kernel.variances(theta)

    known = [m.detach() for m in maps]
    value, by_maps, by_variances = misfit(x, y, known, variances.detach())
    gradient = kernel.pull(theta.detach(), known, by_maps, by_variances)

    covariance = variances[-1] * torch.eye(14).double()
    for variance, embedding in zip(variances[:-1], maps, strict=True):
        z = x @ embedding
        covariance = covariance + variance * matern(squared_distances(z, z))
    law = torch.distributions.MultivariateNormal(torch.zeros(14).double(), covariance)
    expected = -law.log_prob(y) - 7 * math.log(2 * math.pi)
    (slope,) = torch.autograd.grad(expected, theta)
    assert value == pytest.approx(float(expected.detach()), rel=1e-6)
    torch.testing.assert_close(gradient, slope, rtol=1e-4, atol=1e-4)


def test_the_posterior_is_that_of_the_joint_normal_law():
    x, y = data(MIXED, 20)
    gp = ProductGaussianProcess(MIXED).fit(x[:12], y[:12])
    kernel, theta = gp._kernel_of, gp._theta
    variances = kernel.variances(theta)
    pairs = zip(variances[:-1], kernel.maps(theta), strict=True)
    joint = sum(v * matern(squared_distances(x @ m, x @ m)) for v, m in pairs)
    noisy = joint[:12, :12] + variances[-1] * torch.eye(12)
    solved = torch.linalg.solve(noisy, joint[:12])
    mean, deviation = gp.posterior(x)
    torch.testing.assert_close(mean, solved.mT @ y[:12])
    covariance = joint - joint[:, :12] @ solved
    variance = covariance.diagonal()
    torch.testing.assert_close(deviation, variance.clamp(min=1e-10).sqrt(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gp.joint(x), (mean, covariance))


def test_fitting_improves_on_the_start():
    x, y = data(MIXED, 40)
    kernel = ProductKernel(Layout.of(MIXED.blocks))

    def loss(theta):
        mean, deviation = kernel.prior()
        found = misfit(x, y, kernel.maps(theta), kernel.variances(theta))
        return found[0] + 0.5 * float(((theta - mean) / deviation).square().sum())

    best = maximize_posterior(kernel, x, y)
    assert loss(best) < loss(kernel.start(x, y)) - 1


def test_what_is_learned_of_one_position_serves_the_others():
    """Pools never occur at the first two positions, and still are known to be bad there."""
    space = ProductSpace([Categorical(OPERATIONS, f"p{i}") for i in range(6)])
    points = space.sample(400, torch.Generator().manual_seed(0))
    seen = [p for p in points if "pool" not in p.values[:2]][:60]
    unseen = [p for p in points if "pool" in p.values[:2]][:100]

    def value(some):
        worth = {"conv": 1.0, "skip": 0.9, "pool": 0.0}
        return torch.tensor([sum(worth[v] for v in p.values) for p in some]).double()

    y = value(seen)
    y = (y - y.mean()) / y.std()
    correlations = []
    for kinds in ("same", None):
        made = [Categorical(OPERATIONS, f"p{i}", kind=kinds or f"kind {i}") for i in range(6)]
        own = ProductSpace(made)
        gp = ProductGaussianProcess(own).fit(own.encode(seen), y)
        mean, _ = gp.posterior(own.encode(unseen))
        correlations.append(float(torch.corrcoef(torch.stack([mean, value(unseen)]))[0, 1]))
    assert correlations[0] > 0.95
    assert correlations[0] > correlations[1] + 0.05


def test_parameters_learned_before_are_remembered_and_nothing_else(monkeypatch):
    calls = []
    real = product.maximize_posterior
    monkeypatch.setattr(product, "maximize_posterior", lambda *a: (calls.append(1), real(*a))[1])
    x, y = data(MIXED, 40)
    gp = ProductGaussianProcess(MIXED)
    other = copy.copy(gp).tune(x[:30], y[:30])
    again = copy.copy(gp).tune(x[:30], y[:30]).condition(x, y)
    assert len(calls) == 1
    fresh = ProductGaussianProcess(MIXED).tune(x[:30], y[:30]).condition(x, y)
    assert torch.equal(again.posterior(x)[0], fresh.posterior(x)[0])
    other.tune(x[:31], y[:31])
    assert len(calls) == 3


def test_parameters_are_learned_at_milestones():
    numbers = sorted({milestone(n) for n in range(1, 2000)})
    assert numbers[:40] == list(range(1, 41))
    assert all(b - a <= max(a // 20, 1) + 1 for a, b in itertools.pairwise(numbers))
    assert all(milestone(n) <= n < milestone(n) + max(n // 20, 1) for n in range(1, 2000))


@pytest.mark.parametrize("maximize", [True, False])
def test_a_fit_to_values_is_a_function_of_the_values(maximize):
    """Whatever was fitted before, and hardly another one than learning from all of them."""
    x, y = data(MIXED, 59)
    values = y if maximize else -y
    gp = ProductGaussianProcess(MIXED)
    for count in (40, 58, 59):
        scale = ObjectiveScale.of(values[:count], maximize=maximize)
        found = fit_to_values(copy.copy(gp), x[:count], values[:count], scale)
    fresh = fit_to_values(ProductGaussianProcess(MIXED), x, values, scale)
    assert torch.equal(found.posterior(x)[0], fresh.posterior(x)[0])
    whole = ProductGaussianProcess(MIXED).fit(x, scale(values))
    torch.testing.assert_close(found.posterior(x)[0], whole.posterior(x)[0], rtol=0, atol=0.1)


def test_cold_fits_do_not_depend_on_earlier_ones():
    x, y = data(MIXED, 40)
    again = ProductGaussianProcess(MIXED).fit(x[:20], -y[:20]).fit(x, y)
    fresh = ProductGaussianProcess(MIXED).fit(x, y)
    assert torch.equal(again.posterior(x)[0], fresh.posterior(x)[0])


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("targets", [0.0, 1.0])
def test_few_and_equal_targets(n, targets):
    x, _ = data(MIXED, n)
    gp = ProductGaussianProcess(MIXED).fit(x, torch.full((n,), targets, dtype=torch.double))
    for values in gp.posterior(data(MIXED, 9, seed=1)[0]):
        assert values.isfinite().all()


def test_repeated_points_are_noise():
    x, _ = data(MIXED, 8)
    x = x.repeat(4, 1)
    y = torch.randn(32, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    mean, deviation = ProductGaussianProcess(MIXED).fit(x, y).posterior(x[:8])
    average = y.view(4, 8).mean(0)
    assert (mean - average).abs().max() < 0.7
    assert (deviation > 0.05).all()


def test_many_observations_are_thinned_to_the_best_the_latest_and_some_of_the_rest():
    y = torch.randn(1000, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    rows = thin(y, 90).tolist()
    assert len(rows) == len(set(rows)) == 90
    assert rows == sorted(rows)
    assert set(range(970, 1000)) <= set(rows)
    best = [k for k in y.argsort(descending=True).tolist() if k < 970][:30]
    assert set(best) <= set(rows)
    assert thin(y[:90], 90).tolist() == list(range(90))


def test_the_model_of_many_observations_is_bounded():
    x, y = data(MIXED, 500)
    gp = ProductGaussianProcess(MIXED, limit=50).fit(x, y)
    assert gp._x.shape[0] == 50
    mean, _ = gp.posterior(x)
    assert float(torch.corrcoef(torch.stack([mean, y]))[0, 1]) > 0.9


def test_spaces_get_the_process_that_fits_them():
    some = Subset(MIXED, MIXED.sample(20, torch.Generator().manual_seed(0)))
    for space in (MIXED, some):
        assert isinstance(make_surrogate("gp", space), ProductGaussianProcess)
    for space in (NASBench201(), MobileNetV3(), NASBenchGraph()):
        assert not is_product(space)
        assert isinstance(make_surrogate("gp", space), GaussianProcess)
    assert isinstance(make_surrogate("ensemble", MIXED), NeuralEnsemble)


def test_a_space_without_a_law_of_its_own_is_refused():
    space = MobileNetV3()
    space.__dict__["blocks"] = None
    with pytest.raises(ValueError, match="does not factorise"):
        ProductGaussianProcess(space)
