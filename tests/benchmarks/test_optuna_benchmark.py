"""The benchmark of Optuna's samplers: its tasks, files and tables."""

from __future__ import annotations

import json
import math
from pathlib import Path

import optuna
import pytest
import torch
from click.testing import CliRunner
from naslib_diffusion.benchmarks.hosts import optuna as bench
from naslib_diffusion.benchmarks.hosts.optuna_extra import hypervolume
from naslib_diffusion.benchmarks.hosts.optuna_tasks import TASKS, load

CHEAP = ("nasbench201/cifar10", "hpobench/car", "hpolib/naval_propulsion", "mixed/branin",
         "mixed/hartmann6", "mixed/ackley13", "mixed/labs20")  # fmt: skip


def test_there_are_the_tasks_that_the_comparison_needs() -> None:
    suites = [name.split("/")[0] for name in TASKS]
    assert [suites.count(suite) for suite in dict.fromkeys(suites)] == [3, 8, 4, 9, 5]


@pytest.mark.parametrize("name", CHEAP)
def test_no_value_is_better_than_the_best(name: str) -> None:
    task = load(name)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(task.objective, n_trials=40)
    values = sorted(trial.value for trial in study.trials)
    assert task.best is not None
    assert task.typical is not None
    assert task.best <= values[0]
    assert values[2] < task.typical < values[-3]


def test_runs_are_kept_and_not_repeated(tmp_path: Path) -> None:
    arguments = ["--task", "mixed/branin", "--sampler", "random", "--sampler", "tpe-mv",
                 "--seeds", "2", "--trials", "6", "--out", str(tmp_path)]  # fmt: skip
    result = CliRunner().invoke(bench.main, arguments)
    assert result.exit_code == 0, result.output
    path = tmp_path / "mixed-branin__random__1.json"
    run = json.loads(path.read_text())
    assert len(run["values"]) == 6
    run["values"][5] = -1000.0  # would be lost if it ran again
    path.write_text(json.dumps(run))
    assert CliRunner().invoke(bench.main, arguments).exit_code == 0
    assert json.loads(path.read_text())["values"][5] == -1000.0
    assert (tmp_path / "optuna_tasks.csv").read_text().count("mixed/branin") == 2


def test_samplers_run_where_they_apply() -> None:
    jobs = bench.jobs_of(["mixed/branin", "nasbench201/cifar10"], ["cmaes", "diffusion-space"], 1)
    assert jobs == [("mixed/branin", "cmaes", 0), ("nasbench201/cifar10", "diffusion-space", 0)]


def test_summary() -> None:
    task = load("mixed/branin")
    assert task.best is not None
    assert task.typical is not None
    half = (task.best + task.typical) / 2
    runs = [
        {"task": "mixed/branin", "sampler": "a", "values": [None, half, half, task.best]},
        {"task": "mixed/branin", "sampler": "b", "values": [half, half, half, half]},
    ]
    a, b = bench.summarise(runs, 4)
    assert a["regret@2 %"] == b["regret@4 %"] == 50
    assert a["regret@4 %"] == 0
    assert (a["to best"], b["to best"], b["missed"]) == (4, 5, 1)
    assert [row["mean rank"] for row in bench.by_suite([a, b])] == [1, 2]


def test_unknown_tasks_are_an_error() -> None:
    result = CliRunner().invoke(bench.main, ["--task", "nothing/*"])
    assert result.exit_code == 2
    assert "no task matches nothing/*" in result.output


def test_hypervolume() -> None:
    points = torch.tensor([[0.5, 1.0], [1.0, 0.5], [0.2, 0.2]], dtype=torch.double)
    assert math.isclose(hypervolume(points), 0.75)
