"""Earlier studies warm a sampler."""

from __future__ import annotations

import pickle
import random
from typing import Any

import optuna
import pytest
import torch
from naslib_diffusion.plugins.optuna import suggest

from naslib_diffusion import DiffusionNAGSampler
from naslib_diffusion.spaces import NASBench201, ProductSpace
from naslib_diffusion.spaces.numbers import Real
from naslib_diffusion.spaces.point import Point
from naslib_diffusion.spaces.subset import Subset
from naslib_diffusion.transfer import ZeroCost

optuna.logging.set_verbosity(optuna.logging.ERROR)


def shifted(scale: float, offset: float):  # type: ignore[no-untyped-def]
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        kinds = [trial.suggest_categorical(f"k{i}", ("a", "b", "c", "d")) for i in range(4)]
        return offset + scale * ((x - 0.3) ** 2 + sum("abcd".index(kind) for kind in kinds))

    return objective


@pytest.fixture(scope="module")
def before() -> optuna.Study:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(shifted(1.0, 0.0), n_trials=50)
    return study


def run(n: int, **options: object) -> optuna.Study:
    sampler = DiffusionNAGSampler(seed=0, candidates=8, **options)  # type: ignore[arg-type]
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(shifted(-100.0, 7.0), n_trials=n)
    return study


def test_the_first_trials_are_good(before: optuna.Study) -> None:
    cold, warm = run(5), run(5, prior_studies=[before])
    assert warm.trials[0].value > 7 - 300
    assert warm.best_value > 7 - 150
    assert warm.best_value > cold.best_value
    assert len({tuple(t.params.items()) for t in warm.trials}) == 5


def test_a_warm_sampler_is_reproducible_and_can_be_pickled(before: optuna.Study) -> None:
    sampler = DiffusionNAGSampler(seed=0, candidates=8, prior_studies=[before])
    copy = pickle.loads(pickle.dumps(sampler))
    found = []
    for own in (sampler, copy):
        study = optuna.create_study(direction="maximize", sampler=own)
        study.optimize(shifted(-1.0, 0.0), n_trials=2)
        found.append([trial.params for trial in study.trials])
    assert found[0] == found[1]


def test_startup_trials_can_be_asked_for(before: optuna.Study) -> None:
    study = run(3, prior_studies=[before], n_startup_trials=3)
    assert all("diffusion_nag:acquisition" not in t.system_attrs for t in study.trials)


def test_studies_of_other_spaces_are_no_harm_and_are_told_of(
    before: optuna.Study, caplog: pytest.LogCaptureFixture
) -> None:
    other = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    other.optimize(lambda trial: trial.suggest_float("y", 0, 1), n_trials=5)
    study = run(3, prior_studies=[other, before])
    assert len(study.trials) == 3
    silent = [r.getMessage() for r in caplog.records if "says nothing of" in r.getMessage()]
    assert sum("prior_studies[0] says nothing of k0, k1, k2, k3, x: " in m for m in silent) == 1
    assert len(silent) == len(set(silent))


@pytest.mark.parametrize("kinds", [("d", "c", "b", "a"), ("a", "b", "z"), ("y", "z"), (1, None)])
@pytest.mark.parametrize("low", [0, -1, 0.29])
def test_ranges_and_choices_may_have_changed(
    before: optuna.Study, kinds: tuple[object, ...], low: float
) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", low, 1)
        return (x - 0.3) ** 2 + sum(
            kinds.index(trial.suggest_categorical(f"k{i}", kinds)) for i in range(4)
        )

    sampler = DiffusionNAGSampler(seed=0, candidates=8, prior_studies=[before])
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=3)
    assert all(trial.params["x"] >= low for trial in study.trials)
    if set(kinds) >= set("abcd"):
        assert study.trials[0].params["k0"] == "a"


def test_a_parameter_may_have_become_another_kind(before: optuna.Study) -> None:
    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_int("x", 3, 9) + trial.suggest_float("k0", 0, 1)

    study = optuna.create_study(sampler=DiffusionNAGSampler(seed=0, prior_studies=[before]))
    study.optimize(objective, n_trials=3)
    assert {type(trial.params["x"]) for trial in study.trials} == {int}


def test_studies_that_say_nothing_leave_the_random_start() -> None:
    study = run(12, prior_studies=[optuna.create_study()])
    told = ["diffusion_nag:acquisition" in trial.system_attrs for trial in study.trials]
    assert told == [False] * 10 + [True] * 2


def bowl(trial: optuna.Trial) -> float:
    x, y = (trial.suggest_float(name, 0, 1) for name in "xy")
    return (x - 0.3) ** 2 + (y - 0.8) ** 2


def a_list() -> Subset[Point]:
    space = ProductSpace([Real(0, 1, name="x"), Real(0, 1, name="y")])
    return Subset(space, space.sample(300, torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("options", [
    {"space": a_list()},
    {"is_valid": lambda params: round(100 * params["x"]) % 2 == 0},
])  # fmt: skip
def test_what_may_not_be_proposed_here_informs_too(options: dict[str, Any]) -> None:
    other = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    rule = options.get("is_valid", lambda params: False)
    draw = random.Random(0)
    points = [{name: draw.random() for name in "xy"} for _ in range(100)]
    for point in points:
        if not rule(point):
            other.enqueue_trial(point)
    other.optimize(bowl, n_trials=sum(not rule(point) for point in points))
    sampler = DiffusionNAGSampler(seed=0, prior_studies=[other], **options)
    study = optuna.create_study(sampler=sampler)
    study.optimize(bowl, n_trials=2)
    assert study.trials[0].value < 0.02  # a random point is that good in one of sixteen


def test_several_objectives(before: optuna.Study) -> None:
    def objective(trial: optuna.Trial) -> tuple[float, float]:
        value = shifted(1.0, 0.0)(trial)
        return value, trial.params["x"]

    earlier = optuna.create_study(
        directions=["minimize"] * 2, sampler=optuna.samplers.RandomSampler(seed=1)
    )
    earlier.optimize(objective, n_trials=40)
    sampler = DiffusionNAGSampler(seed=0, candidates=8, prior_studies=[earlier])
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
    study.optimize(objective, n_trials=4)
    assert min(trial.values[0] for trial in study.trials[1:]) < 3


def test_the_number_of_objectives_must_agree(before: optuna.Study) -> None:
    sampler = DiffusionNAGSampler(prior_studies=[before])
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
    with pytest.raises(ValueError, match="prior study has 1 objectives, this study has 2"):
        study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 0.0), n_trials=1)


def test_what_is_known_of_a_space_proposes_from_the_first() -> None:
    space = NASBench201()
    sampler = DiffusionNAGSampler(seed=0, candidates=8, space=space, prior=ZeroCost(space))
    study = optuna.create_study(sampler=pickle.loads(pickle.dumps(sampler)))
    study.optimize(lambda trial: -suggest(trial, space).operations.count(3), n_trials=2)
    assert study.trials[0].value <= -3  # mostly 3 x 3 convolutions


def test_a_prior_needs_its_space() -> None:
    with pytest.raises(ValueError, match="prior needs space"):
        DiffusionNAGSampler(prior=ZeroCost(NASBench201()))
