"""What ruined studies: equal choices, brackets, many choices, fixed values, lost workers."""

from __future__ import annotations

import itertools
import math
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import PartialFixedSampler
from optuna.trial import TrialState, create_trial

from naslib_diffusion import DiffusionNAGSampler

optuna.logging.set_verbosity(optuna.logging.ERROR)


def study_of(**options: Any) -> optuna.Study:
    sampler = DiffusionNAGSampler(seed=0, candidates=8, n_startup_trials=2, **options)
    return optuna.create_study(sampler=sampler)


def stored(study: optuna.Study) -> set[str]:
    return {repr(list(trial.params.values())) for trial in study.trials}


@pytest.mark.parametrize(
    "choices",
    [(0, 1, False, True, 2), (1, 1.0, True, "1", None), (math.nan, float("nan"), 0.0, 0, "nan")],
)
def test_choices_that_are_equal_for_python_are_one(choices: tuple[Any, ...]) -> None:
    def objective(trial: optuna.Trial) -> float:
        return choices.index(trial.suggest_categorical("c", choices)) + trial.suggest_int(
            "n", 0, 2
        )

    study = study_of()
    study.optimize(objective, n_trials=9)
    assert len(stored(study)) == 9  # three choices that differ


def test_no_point_is_repeated_across_brackets() -> None:
    def objective(trial: optuna.Trial) -> float:
        value = trial.suggest_int("n", 0, 3) + trial.suggest_categorical("k", (0, 1, 2))
        for step in range(1, 10):
            trial.report(value + 1 / step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(value)

    study = study_of()
    study.pruner = optuna.pruners.HyperbandPruner(1, 9, 3)
    study.optimize(objective, n_trials=12)
    assert len(stored(study)) == 12


def test_a_parameter_may_have_very_many_choices() -> None:
    choices = [f"c{i}" for i in range(20_000)]
    study = study_of(space={"c": CategoricalDistribution(choices), "x": FloatDistribution(0, 1)})

    def objective(trial: optuna.Trial) -> float:
        name = trial.suggest_categorical("c", choices)
        return trial.suggest_float("x", 0, 1) + int(name[1:]) % 10

    study.optimize(objective, n_trials=14)
    assert len(stored(study)) == 14
    late = [trial.params["c"] for trial in study.trials[6:]]
    assert any(name in {trial.params["c"] for trial in study.trials[:6]} for name in late)
    assert not all(name in {trial.params["c"] for trial in study.trials[:6]} for name in late)


def difference(trial: optuna.Trial) -> float:
    y = trial.suggest_float("y", -5, 5)
    return (y - trial.suggest_float("x", -5, 5)) ** 2


def test_proposals_go_with_what_is_fixed() -> None:
    study = study_of()
    study.optimize(difference, n_trials=16)
    study.sampler = PartialFixedSampler({"x": 4.0}, study.sampler)
    study.optimize(difference, n_trials=3)
    assert [trial.params["x"] for trial in study.trials[16:]] == [4.0] * 3
    assert min(abs(trial.params["y"] - 4) for trial in study.trials[16:]) < 1


def test_proposals_go_with_what_is_enqueued() -> None:
    study = study_of()
    study.optimize(difference, n_trials=16)
    for _ in range(3):
        study.enqueue_trial({"x": 4.0})
    study.optimize(difference, n_trials=3)
    assert min(abs(trial.params["y"] - 4) for trial in study.trials[16:]) < 1


@pytest.mark.parametrize(("deaths", "left"), [(0, 4), (1, 4), (2, 3)])
def test_a_point_whose_worker_died_is_tried_again_but_not_for_ever(deaths: int, left: int) -> None:
    space = {"a": IntDistribution(0, 3)}
    study = study_of(space=space)
    claim = {"diffusion_nag:params:0": '{"a": 2}'}  # and no word of how it ended
    dead = {"state": TrialState.FAIL, "params": {"a": 2}, "system_attrs": claim}
    study.add_trials([create_trial(**dead, distributions=space) for _ in range(deaths)])
    study.optimize(lambda trial: float(trial.suggest_int("a", 0, 3)), n_trials=left)
    done = [trial.params["a"] for trial in study.trials[deaths:]]
    assert sorted(done) == [a for a in range(4) if a != 2 or left == 4]


def test_a_failure_that_its_worker_saw_is_not_tried_again() -> None:
    def objective(trial: optuna.Trial) -> float:
        value = trial.suggest_int("a", 0, 5)
        if value % 2:
            raise ValueError
        return float(value)

    study = study_of()
    study.optimize(objective, n_trials=6, catch=(ValueError,))
    assert len(stored(study)) == 6


@pytest.mark.parametrize("early", [False, True])
def test_the_border_of_failures_is_approached_with_few_of_them(early: bool) -> None:
    """Also where trials fail before they ask for all parameters."""

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        y = None if early and x > 0.5 else trial.suggest_float("y", 0, 1)
        if x > 0.5:
            raise ValueError
        assert y is not None
        return -x + (y - 0.3) ** 2

    study = optuna.create_study(sampler=DiffusionNAGSampler(seed=0))
    study.optimize(objective, n_trials=50, catch=(ValueError,))
    failed = [trial.state == TrialState.FAIL for trial in study.trials]
    assert sum(failed[25:]) <= 12
    assert study.best_value < -0.49


@pytest.mark.parametrize("seed", [0, 2])
def test_choices_of_conditional_groups_are_not_repeated(seed: int) -> None:
    """Where many groups do not take part in what repeats."""

    def objective(trial: optuna.Trial) -> float:
        kind = trial.suggest_categorical("kind", ["forest", "svm", "net"])
        if kind == "forest":
            return 2 - trial.suggest_int("depth", 1, 20) / 20
        if kind == "svm":
            c = abs(math.log10(trial.suggest_float("c", 1e-5, 1e5, log=True)))
            if trial.suggest_categorical("kernel", ["linear", "rbf"]) == "linear":
                return 1 + c
            return c + abs(math.log10(trial.suggest_float("gamma", 1e-6, 1, log=True)) + 3)
        layers = trial.suggest_int("layers", 1, 3)
        return 0.5 + sum(trial.suggest_int(f"units{i}", 8, 512) for i in range(layers)) / 500

    sampler = DiffusionNAGSampler(seed=seed, warn_independent_sampling=False)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=60)
    assert len({repr(sorted(trial.params.items())) for trial in study.trials}) == 60


@pytest.mark.parametrize("count", [4, 5])
def test_a_rule_may_leave_very_little(count: int) -> None:
    names = [f"w{i}" for i in range(count)]

    def ascending(params: dict[str, Any]) -> bool:
        values = [params[name] for name in names]
        return all(a < b for a, b in itertools.pairwise(values))

    study = study_of(space={n: IntDistribution(1, 32) for n in names}, is_valid=ascending)
    study.optimize(lambda t: float(sum(t.suggest_int(n, 1, 32) for n in names)), n_trials=5)
    assert all(ascending(trial.params) for trial in study.trials)
