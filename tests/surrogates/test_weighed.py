"""Beliefs are weighed by evidence, and one that misleads loses its weight soon."""

import pytest
import torch

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.surrogates import GaussianProcess
from naslib_diffusion.surrogates.adapted import AdaptedSurrogate, Residual
from naslib_diffusion.surrogates.prior import EarlierSearch, InformedSurrogate, informed
from naslib_diffusion.surrogates.weighed import ALONE, NONE, WeighedSurrogate
from naslib_diffusion.testing import SurrogateTestCase

SPACE = NASBench201()
RESIDUAL = Residual(variance=0.1, noise=0.01, lengths=(2.0, 3.7))
CELLS = SPACE.sample(40, torch.Generator().manual_seed(0))
X = SPACE.encode(CELLS)


class Count:
    """Believes in one operation: a standardised count of it."""

    def __init__(self, operation, sign=1.0):
        self.column, self.sign = 2 + operation, sign

    def __call__(self, x):
        return self.sign * (x[..., self.column].sum(1) - 1.2)

    def belief(self, x):
        mean = self(x)
        return mean, torch.ones_like(mean)

    def surrogate(self):
        return AdaptedSurrogate(SPACE, self, RESIDUAL)


def weighed(*beliefs):
    return informed(GaussianProcess(SPACE), beliefs)


class TestOnCells(SurrogateTestCase):
    @pytest.fixture
    def space(self):
        return SPACE

    @pytest.fixture
    def surrogate(self, space):
        return lambda: weighed(Count(3), Count(4))


def test_before_any_observation_the_mean_of_the_beliefs_speaks():
    pools, skips = Count(4), Count(1)
    surrogate = weighed(pools, skips).fit(X[:0], X[:0, 0, 0])
    assert surrogate.weights == pytest.approx([1 - NONE - ALONE, ALONE / 2, ALONE / 2, NONE])
    both = (pools(X) + skips(X)) / 2
    assert torch.allclose(surrogate.posterior(X)[0], (1 - NONE) * both, atol=1e-9)


def test_a_belief_that_holds_keeps_its_weight():
    surrogate = weighed(Count(3)).fit(X[:6], 5 * Count(3)(X[:6]) + 7)
    assert surrogate.weights[-1] < 0.01
    assert torch.allclose(surrogate.posterior(X)[0], 5 * Count(3)(X) + 7, atol=1.0)


def test_the_one_that_holds_is_found_beside_one_that_does_not():
    surrogate = weighed(Count(3), Count(4)).fit(X[:12], Count(3)(X[:12]))
    _, right, wrong, _ = surrogate.weights
    assert right > 0.9
    assert wrong < 1e-3


def test_what_misleads_loses_its_weight_within_a_few_observations():
    surrogate = weighed(Count(3)).fit(X[:6], -Count(3)(X[:6]))
    assert surrogate.weights[-1] > 0.95
    ordinary = GaussianProcess(SPACE).fit(X[:6], -Count(3)(X[:6]))
    assert torch.allclose(surrogate.posterior(X)[0], ordinary.posterior(X)[0], atol=0.1)


def test_disagreement_is_uncertainty_until_it_is_settled():
    surrogate = weighed(Count(3), Count(3, sign=-1.0)).fit(X[:0], X[:0, 0, 0])
    gap = Count(3)(X).abs()
    deviation = surrogate.posterior(X)[1]
    assert deviation[gap.argmax()] > deviation[gap.argmin()]
    settled = surrogate.fantasize(X[gap.argmax()][None])
    assert settled.posterior(X)[1][gap.argmax()] < 0.3 * deviation[gap.argmax()]


def test_unit_and_shift_of_the_objective_do_not_matter():
    y = Count(3)(X[:8]) + 0.1 * X[:8, 1, 3]
    a, b = weighed(Count(3)).fit(X[:8], y), weighed(Count(3)).fit(X[:8], 3 + y)
    assert a.weights == pytest.approx(b.weights, abs=1e-6)


def earlier(sign=1.0):
    values = (sign * Count(3)(X)).tolist()
    return EarlierSearch(GaussianProcess(SPACE), SPACE, CELLS, values)


def test_an_earlier_search_that_misleads_loses_its_weight():
    right, wrong = (informed(GaussianProcess(SPACE), [earlier(sign)]) for sign in (1.0, -1.0))
    y = Count(3)(X[:8])
    assert right.fit(X[:8], y).weights[-1] < 0.1
    assert wrong.fit(X[:8], y).weights[-1] > 0.9


def test_which_priors_are_weighed_and_how():
    assert isinstance(weighed(earlier()), WeighedSurrogate)
    assert isinstance(weighed(Count(3), lambda x: x[:, 1, 2]), WeighedSurrogate)
    assert isinstance(weighed(lambda x: x[:, 1, 2]), InformedSurrogate)
    assert isinstance(weighed(), GaussianProcess)


def test_one_evaluation_looks_at_an_encoding_once(monkeypatch):
    beliefs = [Count(3), Count(4), Count(1)]
    told = []

    def counted(own):
        belief = own.belief
        return lambda x: told.append(own) or belief(x)

    for own in beliefs:
        monkeypatch.setattr(own, "belief", counted(own))
    described, features = [], SPACE.features
    surrogate = weighed(*beliefs).fit(X[:6], Count(3)(X[:6]))
    monkeypatch.setattr(SPACE, "features", lambda x: described.append(x) or features(x))
    told.clear()
    surrogate.posterior(X)
    assert sorted(map(beliefs.index, told)) == [0, 1, 2]
    assert len(described) == 1


def test_gradients_at_the_same_encodings_can_be_had_again():
    surrogate = weighed(Count(3), Count(4)).fit(X[:6], Count(3)(X[:6]))
    x = X[6:9].clone().requires_grad_()
    first, second = (
        torch.autograd.grad(sum(part.sum() for part in surrogate.posterior(x)), x)[0]
        for _ in range(2)
    )
    assert torch.equal(first, second)
    assert first.any()
