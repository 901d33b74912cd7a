"""What would be observed: the latent function and the noise around it."""

import copy

import pytest
import torch

from naslib_diffusion.spaces import NASBench201, ProductSpace, Real
from naslib_diffusion.surrogates import (
    GaussianProcess,
    NeuralEnsemble,
    make_surrogate,
)
from naslib_diffusion.surrogates.base import Observing, observed
from naslib_diffusion.surrogates.multiobjective import JointSurrogate
from naslib_diffusion.surrogates.prior import informed

CELLS = NASBench201()
NUMBERS = ProductSpace([Real(0, 1, name=f"x{i}") for i in range(3)])


def data(space, n, noise, seed=0):
    random = torch.Generator().manual_seed(seed)
    x = space.encode(space.sample(n, random))
    smooth = torch.cat(space.features(x), 1).double().tanh().sum(1)
    smooth = (smooth - smooth.mean()) / smooth.std()
    return x, smooth + noise * torch.randn(n, generator=random, dtype=torch.double)


@pytest.mark.parametrize("space", [CELLS, NUMBERS], ids=["cells", "numbers"])
def test_intervals_hold_what_is_observed(space):
    surrogate = make_surrogate("gp", space)
    x, y = data(space, 160, 0.5)
    fitted = surrogate.fit(x[:60], y[:60])
    mean, deviation = observed(fitted, x[60:])
    latent = fitted.posterior(x[60:])[1]
    held = float(((y[60:] - mean).abs() <= 2 * deviation).double().mean())
    without = float(((y[60:] - mean).abs() <= 2 * latent).double().mean())
    assert held >= 0.88
    assert without < held


def test_the_noise_adds_up():
    x, y = data(CELLS, 40, 0.3)
    prior = make_surrogate("gp", CELLS).fit(x, y)
    believed = informed(GaussianProcess(CELLS), [lambda rows: prior.posterior(rows)[0]])
    for surrogate in (GaussianProcess(CELLS), believed):
        fitted = surrogate.fit(x[:20], y[:20])
        assert isinstance(fitted, Observing)
        mean, deviation = observed(fitted, x[20:])
        latent = fitted.posterior(x[20:])
        torch.testing.assert_close(mean, latent[0])
        torch.testing.assert_close(
            deviation.square() - latent[1].square(), mean * 0 + fitted.noise
        )
        assert fitted.noise > 0


def test_what_knows_no_noise_adds_none():
    x, y = data(CELLS, 20, 0.3)
    ensemble = NeuralEnsemble(CELLS).fit(x, y)
    torch.testing.assert_close(observed(ensemble, x), ensemble.posterior(x))


def test_each_objective_has_its_own():
    x, y = data(CELLS, 30, 0.3)
    first = GaussianProcess(CELLS).fit(x, y)
    second = copy.copy(GaussianProcess(CELLS)).fit(x, y.flip(0))
    joint = JointSurrogate((first, second), torch.stack([y, y.flip(0)], 1))
    mean, deviation = observed(joint, x[:4])
    for i, own in enumerate((first, second)):
        torch.testing.assert_close((mean[:, i], deviation[:, i]), observed(own, x[:4]))
