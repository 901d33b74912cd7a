"""Architectures and data sets in one Gaussian process."""

from dataclasses import replace

import pytest
import torch

from naslib_diffusion import Search
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.surrogates.prior import AdaptivePrior
from naslib_diffusion.transfer.dataset import DataSet
from naslib_diffusion.transfer.task_kernel import TaskKernelSurrogate
from naslib_diffusion.transfer.task_results import TaskResults

SPACE = NASBench201()


def dataset(level, seed=0):
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(4, 5, 12, generator=random)
    return DataSet(level * torch.linspace(-1, 1, 12) + 0.2 * noise, 100, 16)


def task(index, cells=12):
    """On some data sets 3x3 convolutions are good, on the others they are bad."""
    random = torch.Generator().manual_seed(index)
    x = SPACE.encode(SPACE.sample(cells, random))
    sign = 1.0 if index % 2 else -1.0
    y = sign * SPACE.features(x)[1][:, 4] + 0.1 * torch.randn(cells, generator=random)
    return TaskResults(x, (y - y.mean()) / y.std(), dataset(sign, seed=index))


@pytest.fixture(scope="module")
def tasks():
    return [task(index) for index in range(40)]


@pytest.fixture(scope="module")
def aware(tasks):
    return TaskKernelSurrogate.fit(SPACE, tasks[:30])


def correlation(a, b):
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def test_data_set_decides_what_is_expected(aware, tasks):
    seen = [correlation(aware.for_data(t.data)(t.x), t.y) for t in tasks[30:]]
    hidden = [correlation(aware.for_data(None)(t.x), t.y) for t in tasks[30:]]
    assert max(aware.chosen.shares) >= 0.3
    assert sum(seen) / 10 > 0.6
    assert sum(seen) > sum(hidden) + 3


def test_mean_is_that_of_the_whole_process(aware, tasks):
    """Cells that recur count once; that changes nothing."""
    data, new = tasks[35].data, tasks[35].x
    prior = aware.for_data(data)
    groups = aware.describe([data])
    likeness = aware._likeness(groups, aware.chosen)[0]
    total = torch.zeros(len(new)).double()
    for row, weight in enumerate(aware._weights):
        alone = torch.zeros(len(aware._cells[0])).double()
        alone[aware.earlier.which[row]] = weight * likeness[aware.earlier.task[row]]
        total = total + replace(prior, weights=alone, center=0.0, spread=1.0)(new)
    assert torch.allclose(prior.spread * prior(new) + prior.center, total, atol=1e-8)
    assert float(prior(aware.earlier.x).std()) == pytest.approx(1)


def test_without_data_sets_all_are_alike(tasks):
    blind = TaskKernelSurrogate.fit(SPACE, tasks[:30], sees=False)
    x = tasks[31].x
    assert torch.allclose(blind.for_data(tasks[31].data)(x), blind.for_data(None)(x))


def test_search_starts_from_it_and_adapts(aware):
    prior = aware.for_data(dataset(1.0, seed=99))
    assert isinstance(prior, AdaptivePrior)
    search = Search(SPACE, prior=prior, seed=0)
    first = search.ask(3)
    x = SPACE.encode([*first, *SPACE.sample(50, torch.Generator().manual_seed(0))])
    assert float(prior(x)[:3].mean()) > float(prior(x)[3:].quantile(0.9))
    search.tell(first, [1.0, 2.0, float("nan")])
    assert search.ask(2)


def test_expectation_is_differentiable(aware):
    x = SPACE.encode(SPACE.sample(3, torch.Generator().manual_seed(1))).requires_grad_()
    (gradient,) = torch.autograd.grad(aware.for_data(None)(x).sum(), x)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


def test_stored_surrogate_expects_the_same(aware, tasks, tmp_path):
    path = tmp_path / "a.safetensors"
    aware.save(path, {"seed": 0})
    again = TaskKernelSurrogate.load(path, SPACE)
    for data in (tasks[33].data, None):
        expected = aware.for_data(data)(tasks[33].x)
        assert torch.allclose(again.for_data(data)(tasks[33].x), expected, atol=1e-3)
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        TaskKernelSurrogate.load(path, SPACE)
