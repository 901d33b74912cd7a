"""What Optuna's users expect of a sampler, beyond its public test-suite."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import optuna
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import PartialFixedSampler, RandomSampler
from optuna.trial import TrialState, create_trial

from naslib_diffusion import DiffusionNAGSampler

optuna.logging.set_verbosity(optuna.logging.ERROR)


def mixed(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -1, 1)
    n = trial.suggest_int("n", 1, 8)
    kind = trial.suggest_categorical("kind", ("a", "b", "c"))
    return x**2 + (n - 3) ** 2 / 10 + "abc".index(kind)


def grid(trial: optuna.Trial) -> float:
    return float(trial.suggest_int("n", 0, 3) + 2 * trial.suggest_categorical("k", (0, 1, 2)))


def run(
    objective: Callable[[optuna.Trial], Any], n: int, direction: str = "minimize", **options: Any
) -> optuna.Study:
    study = optuna.create_study(
        direction=direction, sampler=DiffusionNAGSampler(candidates=8, **options)
    )
    study.optimize(objective, n_trials=n)
    return study


def points(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [tuple(trial.params.values()) for trial in study.trials]


def params(study: optuna.Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("objective", [mixed, lambda trial: mixed(trial) * 0.0])
def test_the_same_seed_gives_the_same_trials(objective: Callable[[optuna.Trial], float]) -> None:
    options = {"n_startup_trials": 3}
    first = params(run(objective, 8, seed=1, **options))
    assert first == params(run(objective, 8, seed=1, **options))
    assert first != params(run(objective, 8, seed=2, **options))


@pytest.mark.slow
def test_other_processes_give_the_same_trials_whatever_the_hash_seed(
    environment: dict[str, str],
) -> None:
    code = (
        "import test_optuna_sampler as t\n"
        "print(t.params(t.run(t.mixed, 7, seed=1, n_startup_trials=3)))"
    )
    outputs = set()
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.add(done.stdout)
    assert outputs == {f"{params(run(mixed, 7, seed=1, n_startup_trials=3))}\n"}


def test_reseeding_changes_what_is_proposed() -> None:
    def proposals(reseed: bool) -> dict[str, Any]:
        study = run(mixed, 4, seed=1, n_startup_trials=9)  # so that the proposal is a random one
        if reseed:
            study.sampler.reseed_rng()
        return study.ask({"x": FloatDistribution(-1, 1), "n": IntDistribution(1, 8)}).params

    assert proposals(False) == proposals(False)
    assert proposals(False) != proposals(True)


def test_reseeding_reaches_the_independent_sampler() -> None:
    sampler = DiffusionNAGSampler(seed=0)
    before = sampler._rng.rng.get_state()[1].tolist()
    inner = sampler._independent_sampler._rng.rng.get_state()[1].tolist()
    sampler.reseed_rng()
    assert sampler._rng.rng.get_state()[1].tolist() != before
    assert sampler._independent_sampler._rng.rng.get_state()[1].tolist() != inner


def is_small(values: dict[str, Any]) -> bool:
    return values["n"] + values["k"] <= 3


def test_a_used_sampler_can_be_pickled() -> None:
    def on(study: optuna.Study, sampler: optuna.samplers.BaseSampler) -> list[Any]:
        copied = optuna.create_study(sampler=sampler)
        copied.add_trials(study.trials)
        copied.optimize(grid, n_trials=2)
        return points(copied)[-2:]

    space = {"n": IntDistribution(0, 3), "k": CategoricalDistribution((0, 1, 2))}
    for options in ({}, {"space": space, "is_valid": is_small}):
        study = run(grid, 3, seed=0, n_startup_trials=1, **options)
        copy = pickle.loads(pickle.dumps(study.sampler))
        assert on(study, copy) == on(study, study.sampler)


def test_nothing_is_repeated_until_the_space_is_exhausted() -> None:
    study = run(grid, 14, seed=0, n_startup_trials=2)
    assert len(set(points(study)[:12])) == 12
    assert len(study.trials) == 14


def test_repeats_are_allowed_on_demand() -> None:
    study = run(grid, 16, seed=0, n_startup_trials=2, allow_repeats=True)
    assert len(set(points(study))) < 12


def test_banned_combinations_are_never_proposed() -> None:
    space = {"n": IntDistribution(0, 3), "k": CategoricalDistribution((0, 1, 2))}
    known = run(grid, 9, seed=0, n_startup_trials=2, space=space, is_valid=is_small)
    assert all(map(is_small, params(known)))
    inferred = run(grid, 9, seed=3, n_startup_trials=2, is_valid=is_small)
    assert all(map(is_small, params(inferred)[1:]))


def test_rules_see_parameters_with_a_single_value() -> None:
    seen = []

    def rule(values: dict[str, Any]) -> bool:
        seen.append(values)
        return True

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_categorical("device", ("cpu",))
        return grid(trial)

    run(objective, 3, seed=0, is_valid=rule)
    assert seen[-1]["device"] == "cpu"
    assert set(seen[-1]) == {"device", "n", "k"}


def test_finds_the_best_of_a_mixed_space() -> None:
    study = run(mixed, 25, seed=0)
    assert study.best_params["kind"] == "a"
    assert study.best_value < 0.15


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_directions(direction: str) -> None:
    sign = 1 if direction == "minimize" else -1
    study = run(lambda trial: sign * mixed(trial), 20, direction, seed=0, n_startup_trials=5)
    assert sign * study.best_value < 0.6


def test_predictions_are_readable_and_in_the_unit_of_the_objective() -> None:
    study = run(lambda trial: 1000 + 50 * grid(trial), 8, seed=0, n_startup_trials=3)
    attributes = study.trials[-1].system_attrs
    assert 900 < attributes["diffusion_nag:predicted_mean"] < 1500
    assert 0 < attributes["diffusion_nag:predicted_sd"] < 1000
    assert math.isfinite(attributes["diffusion_nag:acquisition"])
    assert "diffusion_nag:acquisition" not in study.trials[0].system_attrs


def test_predictions_can_be_made_visible_in_dashboards() -> None:
    study = run(grid, 5, seed=0, n_startup_trials=3, predictions_as_user_attrs=True)
    assert set(study.trials[-1].user_attrs) == {
        f"diffusion_nag:{key}" for key in ("acquisition", "predicted_mean", "predicted_sd")
    }


def conditional(trial: optuna.Trial) -> float:
    if trial.suggest_categorical("kind", ("flat", "deep")) == "flat":
        return trial.suggest_float("width", 0, 1)
    return 0.5 + (trial.suggest_int("depth", 1, 5) - 2) ** 2


def test_groups_search_the_branches_without_warning(caplog: pytest.LogCaptureFixture) -> None:
    study = run(conditional, 14, seed=0, n_startup_trials=4)
    space = study.sampler.infer_relative_search_space(study, study.trials[-1])
    assert list(space) == ["depth", "kind", "width"]
    assert "independently" not in caplog.text
    assert study.best_value < 0.3


def test_groups_together_repeat_no_trial() -> None:
    def objective(trial: optuna.Trial) -> float:
        if trial.suggest_categorical("kind", ("a", "b")) == "a":
            return float(trial.suggest_int("n", 0, 3))
        return float(trial.suggest_int("m", 0, 3))

    study = run(objective, 8, seed=1, n_startup_trials=2)
    space = optuna.search_space.intersection_search_space(study.trials)
    assert list(space) == ["kind"]
    known = [i for i in range(2, 8) if {"n", "m"} <= set().union(*params(study)[:i])]
    assert len(set(points(study)[known[0] :])) == 8 - known[0]


def test_what_is_not_in_every_trial_is_sampled_independently_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = []

    class Spy(RandomSampler):
        def sample_independent(self, study: Any, trial: Any, name: str, d: Any) -> Any:
            names.append(name)
            return super().sample_independent(study, trial, name, d)

    run(conditional, 8, seed=0, n_startup_trials=3, independent_sampler=Spy(seed=0), group=False)
    assert {"width", "depth"} & set(names[4:])
    assert (
        "sampled independently by Spy, since its range changes, or it is not in every"
        in caplog.text
    )
    caplog.clear()
    run(conditional, 8, seed=0, n_startup_trials=3, warn_independent_sampling=False, group=False)
    assert not caplog.text


def test_constraints_keep_proposals_feasible() -> None:
    def objective(trial: optuna.Trial) -> float:
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        if trial.number % 2:  # in any order, and not always all of them
            trial.set_constraint("upper", x - 0.5)
            trial.set_constraint("lower", 0.1 - y)
        else:
            trial.set_constraint("lower", 0.1 - y)
            trial.set_constraint("upper", x - 0.5)
        return x

    study = run(objective, 22, "maximize", seed=0, n_startup_trials=8)
    # the optimum lies on the boundary, where it is a matter of rounding who is feasible
    assert all(max(t.constraints.values()) < 0.01 for t in study.trials[12:])
    best = max(t.value for t in study.trials if all(c <= 0 for c in t.constraints.values()))
    assert best > 0.49


def test_constraints_of_older_studies_are_read() -> None:
    study = optuna.create_study(
        direction="maximize", sampler=DiffusionNAGSampler(seed=0, candidates=16)
    )
    space = {"x": FloatDistribution(0, 1)}
    for i in range(13):
        x = i / 12
        study.add_trial(
            create_trial(
                params={"x": x},
                distributions=space,
                value=x,
                system_attrs={"constraints": (x - 0.5,)},
            )
        )
    assert study.ask(space).params["x"] < 0.7


@pytest.mark.parametrize("count", [2, 3, 4])
def test_several_objectives(count: int) -> None:
    def objective(trial: optuna.Trial) -> tuple[float, ...]:
        x = [trial.suggest_float(f"x{i}", 0, 1) for i in range(2)]
        far = sum((v - 0.5) ** 2 for v in x[1:])
        return (x[0] ** 2 + far, (1 - x[0]) ** 2 + far, *(far + i for i in range(count - 2)))

    sampler = DiffusionNAGSampler(seed=0, candidates=8, n_startup_trials=6)
    study = optuna.create_study(directions=["minimize"] * count, sampler=sampler)
    study.optimize(objective, n_trials=16)
    late = [abs(trial.params["x1"] - 0.5) for trial in study.trials[6:]]
    assert sorted(late)[2] < 0.1  # on the front, x1 is a half
    assert len(study.best_trials) >= 4
    means = study.trials[-1].system_attrs.get("diffusion_nag:predicted_mean")
    assert means is None if count > 3 else len(means) == count


def test_pruned_and_failed_trials() -> None:
    def objective(trial: optuna.Trial) -> float:
        value = grid(trial)
        if trial.number % 4 == 1:
            raise ValueError("training broke")
        trial.report(value + 5, 0)
        if trial.number % 4 == 2:
            raise optuna.TrialPruned
        return value

    study = optuna.create_study(
        sampler=DiffusionNAGSampler(seed=0, candidates=8, n_startup_trials=2)
    )
    study.optimize(objective, n_trials=12, catch=(ValueError,))
    states = [trial.state for trial in study.trials]
    assert states.count(TrialState.FAIL) == states.count(TrialState.PRUNED) == 3
    assert len(set(points(study))) == 12


def test_hyperband_brackets() -> None:
    study = optuna.create_study(
        sampler=DiffusionNAGSampler(seed=0, candidates=8, n_startup_trials=1),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=4),
        study_name="brackets",
    )

    def objective(trial: optuna.Trial) -> float:
        value = mixed(trial)
        for step in range(4):
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    study.optimize(objective, n_trials=9)
    assert len(study.trials) == 9


def test_enqueued_trials_are_kept_and_not_proposed_by_others() -> None:
    study = run(grid, 3, seed=0, n_startup_trials=0)
    free = [(n, k) for n in range(4) for k in range(3) if (n, k) not in points(study)]
    study.enqueue_trial({"n": free[0][0], "k": free[0][1]})
    study.enqueue_trial({"n": free[1][0]})  # the other parameter is up to the sampler
    study.optimize(grid, n_trials=9)
    assert points(study)[3] == free[0]
    assert points(study)[4][0] == free[1][0]
    assert len(set(points(study)[:4] + points(study)[5:])) == 11


def test_ask_and_tell_treat_running_trials_as_pending() -> None:
    study = optuna.create_study(sampler=DiffusionNAGSampler(seed=0, n_startup_trials=1))
    space = {"n": IntDistribution(0, 3), "k": CategoricalDistribution((0, 1, 2))}
    trials = [study.ask(space)]
    study.tell(trials[0], 1.0)
    trials += [study.ask(space) for _ in range(11)]
    assert len({tuple(trial.params.values()) for trial in trials}) == 12
    for i, trial in enumerate(trials[1:]):
        study.tell(trial, float(i))
    assert len(study.trials) == 12


def test_claims_are_seen_before_parameters_are_suggested() -> None:
    study = run(grid, 3, seed=0, n_startup_trials=1)
    waiting = study.ask()
    waiting.suggest_int("n", 0, 3)  # decides on both
    others = [study.ask({"n": IntDistribution(0, 3), "k": CategoricalDistribution((0, 1, 2))})
              for _ in range(8)]  # fmt: skip
    waiting.suggest_categorical("k", (0, 1, 2))
    assert len({tuple(trial.params.values()) for trial in [waiting, *others]}) == 9


def test_threads() -> None:
    space = {"n": IntDistribution(0, 3), "k": CategoricalDistribution((0, 1, 2))}
    study = optuna.create_study(
        sampler=DiffusionNAGSampler(seed=0, candidates=8, n_startup_trials=3, space=space)
    )
    study.optimize(grid, n_trials=9, n_jobs=3)
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)
    assert len(set(points(study))) == 9


def test_single_values_and_changing_spaces() -> None:
    def objective(trial: optuna.Trial) -> float:
        trial.suggest_int("one", 3, 3)
        trial.suggest_categorical("only", ("x",))
        high = 5 if trial.number < 5 else 9
        value = trial.suggest_int("n", 0, high) + trial.suggest_float("y", 0, 1)
        if trial.number > 7:
            value += trial.suggest_float("late", 0, 1)
        return value

    for group, names in ((False, ["y"]), (True, ["late", "n", "y"])):
        options = {"warn_independent_sampling": False, "group": group}
        study = run(objective, 12, seed=0, n_startup_trials=2, **options)
        space = study.sampler.infer_relative_search_space(study, study.trials[-1])
        assert sorted(space) == names
    assert space["n"] == IntDistribution(0, 9)  # the latest


def test_a_sampler_may_serve_several_studies() -> None:
    sampler = DiffusionNAGSampler(seed=0, candidates=8, n_startup_trials=1)
    for objective in (grid, mixed):
        study = optuna.create_study(study_name="same name", sampler=sampler)
        study.optimize(objective, n_trials=3)
        assert len(study.trials) == 3


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_values_that_are_no_numbers(bad: float) -> None:
    def objective(trial: optuna.Trial) -> float:
        value = grid(trial)
        return bad if value > 4 else value

    study = run(objective, 12, seed=0, n_startup_trials=2)
    assert len(set(points(study))) == 12
    assert study.best_value == 0


def test_an_infinitely_good_value_is_a_good_one() -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        return -math.inf if x < 0.2 else x

    study = run(objective, 16, seed=0, n_startup_trials=8)
    late = [trial.params["x"] for trial in study.trials[10:]]
    assert sum(late) / len(late) < 0.4


def test_partially_fixed() -> None:
    study = run(mixed, 4, seed=0, n_startup_trials=1)
    study.sampler = PartialFixedSampler({"n": 5}, study.sampler)
    study.optimize(mixed, n_trials=3)
    assert [trial.params["n"] for trial in study.trials[4:]] == [5, 5, 5]


def test_default_device_of_the_user_does_not_matter() -> None:
    torch.set_default_device("meta")
    try:
        study = run(mixed, 4, seed=0, n_startup_trials=1)
    finally:
        torch.set_default_device("cpu")
    assert len(study.trials) == 4


def test_log_and_steps() -> None:
    def objective(trial: optuna.Trial) -> float:
        a = trial.suggest_float("a", 1e-5, 1, log=True)
        b = trial.suggest_float("b", 0, 1, step=0.25)
        c = trial.suggest_int("c", 1, 1024, log=True)
        d = trial.suggest_int("d", 0, 12, step=4)
        assert b in (0, 0.25, 0.5, 0.75, 1)
        assert d in (0, 4, 8, 12)
        return abs(math.log10(a) + 3) + b + abs(math.log2(c) - 5) + d

    study = run(objective, 30, seed=0)
    assert study.best_value < 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_startup_trials": -1},
        {"n_startup_trials": 2.5},
        {"candidates": 0},
        {"is_valid": 3},
        {"acquisition": "pi"},
    ],
)
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DiffusionNAGSampler(**wrong)


def test_repr_names_the_sampler() -> None:
    assert str(DiffusionNAGSampler()) == "DiffusionNAGSampler"
