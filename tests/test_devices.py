"""Whatever holds tensors moves with the search; see `elsewhere` for the device."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
import torch
from botorch.acquisition import UpperConfidenceBound
from botorch.models import SingleTaskGP
from elsewhere import Elsewhere, simulated
from naslib_diffusion.plugins.botorch import optimize_acqf_diffusion
from naslib_diffusion.plugins.optuna import DiffusionNAGSampler, suggest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from torch import Tensor, nn

from naslib_diffusion.diffusion import ExactDenoiser, NoisyGuidance
from naslib_diffusion.optimize import GuidedGenerator, Maximizer
from naslib_diffusion.search import ParetoSearch, Search
from naslib_diffusion.search.strategies import GuidedStrategy
from naslib_diffusion.spaces import (
    Categorical,
    MobileNetV3,
    NASBench201,
    NASBenchGraph,
    ProductSpace,
    Real,
    Subset,
)
from naslib_diffusion.surrogates import GaussianProcess, NeuralEnsemble
from naslib_diffusion.surrogates.noisy import NoisySurrogate
from naslib_diffusion.surrogates.prior import EarlierSearch, InformedSurrogate, Prior
from naslib_diffusion.transfer import Recipe, train_cells
from naslib_diffusion.transfer.dataset import AwareConfig, DataSet, DatasetAwareSurrogate
from naslib_diffusion.transfer.image_set import ImageSet
from naslib_diffusion.transfer.meta import MetaSurrogate
from naslib_diffusion.transfer.task_kernel import TaskKernelSurrogate
from naslib_diffusion.transfer.task_results import TaskResults

CELLS = NASBench201()
BRIEF = GuidedStrategy(polish=1)
SMALL = ProductSpace.categorical([4] * 4)


def sample(space, n):
    return space.sample(n, torch.Generator().manual_seed(0))


FEW = Subset(CELLS, list(dict.fromkeys(sample(CELLS, 60))))
"""Searched in a tenth of the time: the simulated device is slow."""


@pytest.fixture
def device():
    with simulated() as there:
        yield there


def earlier(space):
    archs = sample(space, 12)
    return EarlierSearch(GaussianProcess(space), space, archs, [float(i) for i in range(12)])


def task_kernel():
    tasks = []
    for i in range(4):
        x = CELLS.encode(sample(CELLS, 10))
        y = torch.randn(10, generator=torch.Generator().manual_seed(i), dtype=torch.double)
        tasks.append(TaskResults(x, y, data_set(i)))
    return TaskKernelSurrogate.fit(CELLS, tasks).for_data(data_set(9))


def data_set(seed, features=12):
    random = torch.Generator().manual_seed(seed)
    return DataSet(torch.randn(4, 5, features, generator=random), 100, 16)


def dataset_aware():
    inputs = sum(f.shape[-1] for f in CELLS.features(CELLS.encode(sample(CELLS, 1))))
    surrogate = DatasetAwareSurrogate(CELLS, inputs, AwareConfig())
    return surrogate.requires_grad_(False).for_data(data_set(0, 1280))


PRIORS = {
    "earlier search": lambda: earlier(CELLS),
    "meta-surrogate": lambda: MetaSurrogate.load("default", CELLS),
    "task kernel": task_kernel,
    "aware of data sets": dataset_aware,
    "a function": lambda: lambda x: x.flatten(1).sum(1),
}


def go(search, rounds=2):
    """Ask and tell, and return what was asked."""
    asked = []
    for i in range(rounds):
        asked += search.ask(1 + i % 2)
        count = 1 + i % 2
        search.tell(asked[-count:], [float(len(asked))] * count)
    return asked


@pytest.mark.parametrize("name", PRIORS)
def test_priors_move_with_the_search(device, name):
    prior: Prior = PRIORS[name]()
    there = Search(FEW, "gp", BRIEF, prior=[prior], device=device, seed=0, candidates=4)
    assert len(go(there)) == 3
    x = CELLS.encode(sample(CELLS, 2))
    assert prior(x).device.type == "cpu", "it stays itself where it was"


def test_several_priors_and_objectives(device):
    priors = [[earlier(CELLS), task_kernel()], [MetaSurrogate.load("default", CELLS)]]
    search = ParetoSearch(
        FEW,
        ["maximize", "minimize"],
        strategy=BRIEF,
        priors=priors,
        device=device,
        seed=0,
        candidates=4,
    )
    for i in range(3):
        archs = search.ask(2)
        values = [(float(i), float(j)) for j in range(2)]
        search.tell(archs, values, [(float(i - 1),)] * 2)
    assert search.predict_each(archs[0])


@pytest.mark.parametrize(
    "surrogate",
    [
        lambda: GaussianProcess(SMALL),
        lambda: NeuralEnsemble(SMALL, steps=5),
        lambda: InformedSurrogate(GaussianProcess(SMALL), [earlier(SMALL)]),
    ],
)
@pytest.mark.parametrize("acquisition", ["logei", "ucb", "its"])
def test_surrogates_and_acquisition_functions(device, surrogate, acquisition):
    made = surrogate()
    for _ in range(2):
        search = Search(
            SMALL, made, device=device, seed=0, initial=1, candidates=4, acquisition=acquisition
        )
        assert len(go(search)) == 3


@pytest.mark.parametrize("repeats", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("strategy", ["guided", "mutation"])
def test_continua_constraints_and_repeats(device, strategy, repeats):
    space = ProductSpace([Categorical(["a", "b", "c"]), Real(0, 1)])
    search = Search(
        space, strategy=strategy, seed=0, initial=2, repeats=repeats, device=device, candidates=4
    )
    for i in range(4):
        (arch,) = search.ask()
        search.tell([arch], [float(i)], [(float(i % 2) - 0.5,)])
    assert search.predict(arch) is not None


@pytest.mark.parametrize(
    "space", [CELLS, MobileNetV3(), NASBenchGraph(), Subset(SMALL, list(SMALL)[:40])]
)
def test_every_space(device, space):
    assert (
        len(go(Search(space, strategy=BRIEF, seed=0, initial=1, device=device, candidates=4))) == 3
    )


def test_a_shipped_prior_on_a_subset(device):
    space = Subset(NASBenchGraph(), sample(NASBenchGraph(), 50))
    prior = MetaSurrogate.load("default", space)
    assert (
        len(go(Search(space, strategy=BRIEF, prior=prior, device=device, seed=0, candidates=4)))
        == 3
    )


@pytest.mark.parametrize(
    "denoiser",
    [
        lambda: ExactDenoiser(SMALL),
        lambda: NoisyGuidance(ExactDenoiser(SMALL), NoisySurrogate(SMALL), scale=0.1),
    ],
)
def test_denoisers_move_with_the_generator(device, denoiser):
    assert len(GuidedGenerator(SMALL, denoiser(), device, seed=0).generate(5)) == 5


def linear(x: Tensor) -> Tensor:
    return x.flatten(1) @ torch.arange(16, device=x.device).to(x)


@pytest.mark.parametrize(
    "guide",
    [
        linear,
        lambda x: linear(x)[:, None],
        lambda x: linear(x.cpu()),
        lambda x: linear(x.detach().cpu()).numpy(),
        nn.Sequential(nn.Flatten(), nn.Linear(16, 1)),
    ],
    ids=["there", "column", "cpu", "numpy", "module"],
)
@pytest.mark.parametrize("resample", [False, True])
def test_guides(device, guide, resample):
    generator = GuidedGenerator(SMALL, device=device, seed=0, resample=resample)
    assert len(generator.generate(20, guide, polish=2)) == 20


def test_maximizer(device):
    space = ProductSpace(
        [Categorical(["a", "b", "c"]), Real(0, 1), *[Categorical(list("abcd"))] * 6]
    )
    weights = torch.randn(28, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    slack = torch.ones(28, dtype=torch.double)

    def guide(x):
        return x.flatten(1) @ weights.to(x)

    there, here = (
        Maximizer(space, device=where, seed=0)(
            guide, 3, slack=lambda x: x @ slack.to(x) - 1, starts=sample(space, 2)
        )
        for where in (device, "cpu")
    )
    assert there.values.allclose(here.values)


def test_sampler_on_a_space(device):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    earlier_study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    earlier_study.optimize(objective, 6)
    space = {"lr": FloatDistribution(0, 1), "op": CategoricalDistribution(["a", "b"])}
    settings = {"seed": 0, "n_startup_trials": 1, "candidates": 8, "device": device}
    for option in ({}, {"prior_studies": [earlier_study]}, {"space": space}):
        study = optuna.create_study(sampler=DiffusionNAGSampler(**settings, **option))
        study.optimize(objective, 2)  # the first at random
        assert len(study.trials) == 2


def test_sampler_on_cells(device):
    sampler = DiffusionNAGSampler(
        seed=0, n_startup_trials=1, candidates=4, device=device, space=CELLS
    )
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda trial: float(len(str(suggest(trial, CELLS)))), 2)
    assert len(study.trials) == 2


def objective(trial):
    return trial.suggest_float("lr", 0, 1) + (trial.suggest_categorical("op", ["a", "b"]) == "a")


def test_botorch_plugin(device):
    x = SMALL.encode(sample(SMALL, 8)).flatten(1)
    model = SingleTaskGP(x, x.sum(1, keepdim=True), outcome_transform=None)
    model = model.to(device)
    function = UpperConfidenceBound(model, beta=2.0)
    candidates, value = optimize_acqf_diffusion(function, SMALL, q=1)
    assert isinstance(candidates, Elsewhere)
    assert isinstance(value, Elsewhere)


def test_cells_in_training(device, monkeypatch):
    """Images, augmentation and steps; its random numbers come from the CPU's generator."""

    class Anywhere(torch.Generator):
        def __new__(cls, device=None):
            return super().__new__(cls)

    monkeypatch.setattr(torch, "Generator", Anywhere)
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (10, 3, 8, 8), dtype=torch.uint8, generator=random)
    images = ImageSet(pixels, torch.arange(10) % 2, ("a", "b"))
    recipe = Recipe(epochs=2, batch_size=8, channels=2, cells=1, flip=True, crop=1)
    trained = train_cells(sample(CELLS, 2), images, images, recipe, device=str(device))
    assert all(0 <= one.accuracy <= 100 for one in trained)


def test_the_device_refuses_mixtures(device):
    there, here = torch.ones(3, device=device), torch.ones(3)
    assert (there + torch.tensor(1.0)).tolist() == [2.0] * 3
    assert there[torch.tensor([0, 1])].tolist() == [1.0] * 2
    assert here.to(device).cpu().tolist() == [1.0] * 3
    assert torch.tensor([2.0], device=device).tolist() == [2.0]
    refused = (
        lambda: there + here,
        lambda: torch.stack([there, here]),
        lambda: here[there.long()],
        lambda: here @ there,
    )
    for mixture in refused:
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            mixture()
    with pytest.raises(TypeError, match=r"use Tensor\.cpu"):
        np.asarray(there)
