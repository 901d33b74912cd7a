"""Commands that are killed go on, and end as if nothing had happened."""

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from naslib_diffusion.benchmarks.engine.bad_disks import look
from naslib_diffusion.benchmarks.engine.kill_cases import cases
from naslib_diffusion.benchmarks.engine.killed_study import STORAGES, facts
from naslib_diffusion.benchmarks.engine.kills import Count, measure
from naslib_diffusion.plugins.optuna.sharing import claim


@pytest.mark.slow
def test_two_kills_of_a_study_cost_nothing(tmp_path: Path) -> None:
    """Those of commands are tested beside the commands."""
    (case,) = (case for case in cases(tmp_path) if case.name == "sampler, SQLite")
    count = measure(case, tmp_path / "killed", kills=2, seed=1)
    assert count == Count(kills=count.kills, runs=count.runs)
    assert count.kills >= 2


@pytest.mark.slow
def test_trouble_with_a_folder_is_one_line_and_costs_nothing(tmp_path: Path) -> None:
    case = cases(tmp_path)[0]
    case = replace(case, args=(*case.args, "--strategy", "mutation"))
    for row in look(case, tmp_path / "disks", ["a full disk", "a folder that goes away"]):
        assert row["exit code"] == 2
        assert row["lines"] == 1, row["says"]
        assert row["same result afterwards"]


def test_a_point_that_a_dead_worker_keeps_is_seen(tmp_path: Path) -> None:
    """One that never told of itself, neither to Optuna nor by a claim, keeps none."""
    storage = STORAGES["SQLite"](tmp_path)
    study = optuna.create_study(study_name="killed", storage=storage)
    storage.create_new_trial(study._study_id)  # the worker dies before its first heartbeat
    optuna.storages.fail_stale_trials(study)
    assert study.trials[0].state == optuna.trial.TrialState.RUNNING
    assert not facts("SQLite", tmp_path)["claimed by the dead"]
    claim(study, study.trials[0], {"a": 1, "b": 2})
    assert facts("SQLite", tmp_path)["claimed by the dead"]
