"""Rankings made in hindsight."""

import torch
from naslib_diffusion.benchmarks.priors.graph_limits import first_close, fitted


def test_the_first_close_one_is_found_where_the_ranking_puts_it():
    values = torch.tensor([0.2, 0.998, 1.0, 0.99])  # 0.5 % below the best is still close
    assert first_close(torch.tensor([4.0, 3.0, 2.0, 1.0]), values) == 2
    assert first_close(values, values) == 1
    assert first_close(-values, values) == 3


def test_the_fit_recovers_what_is_linear():
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)).double()
    targets = x @ torch.tensor([1.0, -2.0, 0.5]).double() + 3
    assert torch.allclose(fitted(x, targets), targets, atol=1e-3)
