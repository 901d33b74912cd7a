"""The neural ensemble."""

from __future__ import annotations

import pytest
import torch

from naslib_diffusion.spaces import Categorical, Integer, NASBench201, ProductSpace, Real
from naslib_diffusion.surrogates import NeuralEnsemble
from naslib_diffusion.testing import SurrogateTestCase
from naslib_diffusion.testing.surrogates import smooth


class TestOnCells(SurrogateTestCase):
    @pytest.fixture
    def space(self):
        return NASBench201()

    @pytest.fixture
    def surrogate(self, space):
        return lambda: NeuralEnsemble(space)


class TestOnProducts(SurrogateTestCase):
    @pytest.fixture
    def space(self):
        return ProductSpace([Real(-1, 1), Integer(1, 8), Categorical([True, None])])

    @pytest.fixture
    def surrogate(self, space):
        return lambda: NeuralEnsemble(space, members=3, width=32)


SPACE = NASBench201()
X = SPACE.encode(SPACE.sample(30, torch.Generator().manual_seed(0)))


def test_members_differ_by_their_initial_weights():
    y = smooth(SPACE, X)
    first, same, other = (
        NeuralEnsemble(SPACE, steps=20, seed=seed).fit(X, y).posterior(X) for seed in (0, 0, 1)
    )
    assert torch.equal(first[0], same[0])
    assert not torch.allclose(first[0], other[0])
    assert first[1].min() > 1e-4


def test_uncertainty_grows_away_from_the_data():
    space = ProductSpace([Real(0, 1), Real(0, 1)])
    x = torch.rand(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.double) / 4
    _, deviation = (
        NeuralEnsemble(space).fit(x, (8 * x).sin().sum(1)).posterior(torch.cat([x, 1 - x]))
    )
    assert deviation[40:].mean() > 3 * deviation[:40].mean()


def test_an_outlier_does_not_dominate():
    """The loss is the absolute error: one failed training moves the others little."""
    y = smooth(SPACE, X)
    spoiled = y.clone()
    spoiled[0] = -50.0
    mean, _ = NeuralEnsemble(SPACE).fit(X, spoiled).posterior(X)
    assert (mean - y)[1:].abs().median() < 0.3


def test_posterior_leaves_the_weights_alone():
    ensemble = NeuralEnsemble(SPACE, steps=5).fit(X, smooth(SPACE, X))
    x = X.clone().requires_grad_()
    ensemble.posterior(x)[0].sum().backward()
    assert x.grad is not None
    with torch.no_grad():
        mean, _ = NeuralEnsemble(SPACE, steps=5).fit(X, smooth(SPACE, X)).posterior(X)
    torch.testing.assert_close(mean, ensemble.posterior(X)[0])


@pytest.mark.parametrize("members", [1, 0, -1])
def test_one_network_has_no_spread(members):
    with pytest.raises(ValueError, match=f"members must be at least 2.* not {members}"):
        NeuralEnsemble(SPACE, members=members)
