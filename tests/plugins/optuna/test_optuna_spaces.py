"""How trials spell architectures."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from naslib_diffusion.plugins.optuna import suggest
from naslib_diffusion.plugins.optuna.codecs import codec_of
from naslib_diffusion.plugins.optuna.spaces import ProductCodec, representable
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from naslib_diffusion import DiffusionNAGSampler
from naslib_diffusion.spaces import (
    GPT,
    Budgeted,
    DeclaredSpace,
    Maybe,
    MobileNetV3,
    NASBench201,
    NASBenchGraph,
    ProductSpace,
    Repeat,
    When,
    from_samples,
)
from naslib_diffusion.spaces.numbers import Integer, Real
from naslib_diffusion.spaces.parameters import Categorical
from naslib_diffusion.spaces.subset import Subset

optuna.logging.set_verbosity(optuna.logging.ERROR)

CELLS = NASBench201()
POINTS = ProductSpace(
    [Categorical(["a", "b"], name="k"), Integer(1, 64, log=True, name="n"), Real(0, 1, name="x")]
)
SAMPLE = CELLS.sample(200, torch.Generator().manual_seed(1))
DECLARED = DeclaredSpace(
    {
        "width": [16, 32, 64],
        "layers": Repeat({"kernel": [3, 5], "act": ["relu", None]}, depth=[1, 2, 3]),
        "head": Maybe({"units": Integer(1, 64, log=True)}),
        "optimiser": ["sgd", "adam"],
        "momentum": When(Real(0.0, 0.99), optimiser="sgd"),
    },
    costs={"work": {"width": lambda width: width, "layers.kernel": lambda kernel: 10 * kernel}},
)
SMALL = Budgeted(GPT("s"), "params", at_most=30e6)
SPACES = [
    CELLS,
    MobileNetV3(),
    NASBenchGraph(),
    POINTS,
    GPT("s"),
    DECLARED,
    SMALL,
    Budgeted(DECLARED, "work", at_most=60),
    Budgeted(MobileNetV3(), "flops", at_most=3e8),
    Subset(CELLS, list({CELLS.canonical(c): c for c in SAMPLE}.values())),
    Subset(POINTS, POINTS.sample(50, torch.Generator().manual_seed(0))),
]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_reads_what_it_writes(space: Any) -> None:
    codec = codec_of(space)
    for arch in space.sample(20, torch.Generator().manual_seed(0)):
        params = codec.write(arch)
        assert codec.read(params) == arch
        assert params.keys() == codec.distributions.keys()
        for name, distribution in codec.distributions.items():
            assert distribution._contains(distribution.to_internal_repr(params[name]))


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_studies_over_spaces_propose_distinct_architectures(space: Any) -> None:
    sampler = DiffusionNAGSampler(space=space, seed=0, n_startup_trials=3, candidates=8)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    seen = []

    def objective(trial: optuna.Trial) -> float:
        arch = suggest(trial, space)
        seen.append(arch)
        return float(str(arch).count("1"))

    study.optimize(objective, n_trials=6)
    assert all(map(space.is_valid, seen))
    assert len(set(map(space.canonical, seen))) == 6
    assert pickle.loads(pickle.dumps(study.sampler)).reseed_rng() is None


@pytest.mark.parametrize("space", [DECLARED, MobileNetV3()], ids=lambda space: space.name)
def test_trials_have_the_parameters_that_exist(space: Any) -> None:
    sampler = DiffusionNAGSampler(space=space, seed=1, n_startup_trials=2, candidates=8)
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda trial: float(len(str(suggest(trial, space)))), n_trials=4)
    for trial in study.trials:
        assert trial.params == space.spell(space.read_spelling(trial.params))
    assert len({frozenset(trial.params) for trial in study.trials}) > 1


def test_any_sampler_suggests_what_exists() -> None:
    sampler = optuna.samplers.TPESampler(multivariate=True, group=True, seed=0, n_startup_trials=2)
    study = optuna.create_study(sampler=sampler)
    archs: list[Any] = []

    def objective(trial: optuna.Trial) -> float:
        archs.append(suggest(trial, DECLARED))
        return float(len(archs[-1]["layers"]))

    study.optimize(objective, n_trials=6)
    assert all(map(DECLARED.is_valid, archs))
    assert [trial.params for trial in study.trials] == [DECLARED.spell(arch) for arch in archs]


def test_numbers_of_numpys_types_are_read() -> None:
    values = {"k": "a", "n": np.int64(3), "x": np.float64(0.25)}
    assert codec_of(POINTS).read(values) == POINTS.parse('["a", 3, 0.25]')


@pytest.mark.parametrize("before", [0, 3])
def test_the_rest_of_an_enqueued_trial_keeps_to_the_budget(before: int) -> None:
    sampler = DiffusionNAGSampler(space=SMALL, seed=0, n_startup_trials=2, candidates=8)
    study = optuna.create_study(sampler=sampler)
    archs: list[Any] = []

    def objective(trial: optuna.Trial) -> float:
        archs.append(suggest(trial, SMALL))
        return SMALL.cost(archs[-1], "params")

    study.optimize(objective, n_trials=before)
    study.enqueue_trial({"depth": 12, "ratio11": 4, "bias": False})
    study.optimize(objective, n_trials=2)
    own = archs[before]
    assert (len(own.ratios), own.ratios[11], own.bias) == (12, 4, False)
    assert all(map(SMALL.is_valid, archs))


def test_an_enqueued_trial_beyond_the_budget_is_kept() -> None:
    study = optuna.create_study(sampler=DiffusionNAGSampler(space=SMALL, seed=0, candidates=8))
    study.enqueue_trial({"width": 768})
    study.optimize(lambda trial: SMALL.cost(suggest(trial, SMALL), "params"), n_trials=1)
    assert study.trials[0].params["width"] == 768
    assert study.trials[0].value > 30e6


def test_an_order_of_choices_of_ones_own() -> None:
    from naslib_diffusion.spaces.nasbench201 import OPERATIONS

    own = OPERATIONS[::-1]
    study = optuna.create_study(sampler=DiffusionNAGSampler(space=CELLS, seed=0, candidates=8))
    study.optimize(
        lambda trial: len({trial.suggest_categorical(f"op{i}", own) for i in range(6)}),
        n_trials=4,
    )
    assert study.sampler.infer_relative_search_space(study, study.trials[0]).keys() == {
        f"op{i}" for i in range(6)
    }


def test_a_space_and_training_parameters_together() -> None:
    sampler = DiffusionNAGSampler(space=CELLS, seed=0, n_startup_trials=2, candidates=8)
    study = optuna.create_study(sampler=sampler)

    def objective(trial: optuna.Trial) -> float:
        cell = suggest(trial, CELLS)
        return trial.suggest_float("rate", 1e-4, 1, log=True) + str(cell).count("none")

    study.optimize(objective, n_trials=6)
    found = sampler.infer_relative_search_space(study, study.trials[-1])
    assert found.keys() == {"rate", *(f"op{i}" for i in range(6))}
    assert len({str(t.params) for t in study.trials}) == 6


def test_dropped_layers_may_be_left_out() -> None:
    space = MobileNetV3()
    sampler = DiffusionNAGSampler(space=space, seed=0, n_startup_trials=1, candidates=8)
    study = optuna.create_study(sampler=sampler)
    distributions = codec_of(space).distributions

    def objective(trial: optuna.Trial) -> float:
        total = 0
        for stage in range(5):
            depth = trial.suggest_categorical(f"d{stage}", distributions["d0"].choices)
            for i in range(4 * stage, 4 * stage + depth):
                total += trial.suggest_categorical(f"ks{i}", distributions["ks0"].choices)
                total += trial.suggest_categorical(f"e{i}", distributions["e0"].choices)
        return float(total)

    study.optimize(objective, n_trials=4)
    subnets = {codec_of(space).read(trial.params) for trial in study.trials}
    assert len(subnets) == 4


def test_spaces_without_variables_have_names_if_they_are_small() -> None:
    whole = from_samples([([[1, 0], [0, 1]], [[0, 1], [0, 0]]), ([[1, 0], [0, 1]], [[0, 0]] * 2)])
    graphs = Subset(whole, whole.samples)
    study = optuna.create_study(sampler=DiffusionNAGSampler(space=graphs, seed=0))
    study.optimize(lambda trial: len(str(suggest(trial, graphs))), n_trials=2)
    assert {trial.params["arch"] for trial in study.trials} == set(map(str, graphs))

    class Large:
        name, size = "large", 10**6

        def __iter__(self) -> Any:
            return iter(())

    with pytest.raises(ValueError, match="'large' has no variables"):
        codec_of(Large())


def test_distributions_of_all_kinds() -> None:
    distributions = {
        "log": FloatDistribution(1e-6, 1, log=True),
        "step": FloatDistribution(0, 1, step=0.1),
        "int": IntDistribution(-5, 5, step=5),
        "mixed": CategoricalDistribution((None, True, "1", 2.5)),
    }
    codec = ProductCodec(distributions)
    for point in codec.space.sample(30, torch.Generator().manual_seed(0)):
        params = codec.write(point)
        assert codec.read(params) == point
        assert type(params["int"]) is int
        assert params["mixed"] in distributions["mixed"].choices
    assert not representable(IntDistribution(0, 2**50))
    assert representable(IntDistribution(0, 2**30))


def test_huge_integers_are_left_to_the_independent_sampler_which_a_warning_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    study = optuna.create_study(sampler=DiffusionNAGSampler(seed=0, n_startup_trials=1))
    study.optimize(
        lambda trial: trial.suggest_int("n", 0, 2**50) / 2**50 + trial.suggest_float("x", 0, 1),
        n_trials=3,
    )
    assert len(study.trials) == 3
    assert "since high must be within -2**40 and 2**40" in caplog.text
    assert "not in every trial" not in caplog.text
