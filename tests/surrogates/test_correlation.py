"""How alike architectures are."""

import pytest
import torch

from naslib_diffusion.spaces import NASBench201, ProductSpace
from naslib_diffusion.surrogates import GaussianProcess, ProductGaussianProcess
from naslib_diffusion.surrogates.correlation import Correlation

CELLS = NASBench201()
LISTS = ProductSpace.categorical([3] * 4)


def some(space, n=12):
    return space.encode(space.sample(n, torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("space", "process"), [(CELLS, GaussianProcess), (LISTS, ProductGaussianProcess)]
)
def test_a_fitted_process_tells_its_own_kernel(space, process):
    x = some(space)
    y = torch.linspace(-1, 1, len(x)).double()
    fitted = process(space).fit(x, y)
    own = fitted.correlation
    kernel = own(own.embed(x), own.embed(x))
    covariance = fitted._posterior.covariance(own.embed(x))
    assert torch.allclose(kernel, covariance / covariance[0, 0], atol=1e-5)


def test_the_mean_of_correlations():
    x = some(CELLS)
    parts = [Correlation.of(CELLS, lengths) for lengths in ((1.0, 2.0), (3.0, 4.0))]
    both = Correlation.mean(parts)
    each = torch.stack([own(own.embed(x), own.embed(x)) for own in parts])
    assert torch.allclose(both(both.embed(x), both.embed(x)), each.mean(0))
