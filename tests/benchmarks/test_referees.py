"""The referee: its tasks and halves, what counts as a trial, its file and its ranks."""

from __future__ import annotations

import csv
import gzip
import math
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner
from naslib_diffusion.benchmarks.harness.ranks import critical_difference, mean_ranks
from naslib_diffusion.benchmarks.hosts import referees
from naslib_diffusion.benchmarks.hosts.optuna_tasks import Task
from naslib_diffusion.benchmarks.hosts.referee_families import FAMILIES, kernel

JUDGES = {"5889", "5970", "5971", "6766", "6767", "6794", "7607", "7609"}


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Return a folder with a small table: 6 of 8 settings are allowed, of which one fails."""
    rows = ["a,b,time_ms", "1,0,4", "2,0,2", "4,0,1", "8,0,", "1,1,3", "2,1,5"]
    with gzip.open(tmp_path / "kernel_convolution_A100.csv.gz", "wt") as file:
        file.write("\n".join(rows) + "\n")
    return tmp_path


def value(task: Task, **params: int) -> float:
    return task.objective(optuna.trial.FixedTrial(params))  # type: ignore[arg-type]


def test_mean_ranks_are_shared_by_equals() -> None:
    assert mean_ranks({"a": [0.1, 0.5], "b": [0.3, 0.5], "c": [0.2, 0.9]}) == {
        "a": 1.25, "b": 2.25, "c": 2.5,
    }  # fmt: skip


def test_critical_difference() -> None:
    """Of five classifiers on thirty data sets: q = 2.728 (Demsar, 2006, table 5a)."""
    assert math.isclose(critical_difference(5, 30), 2.728 * math.sqrt(1 / 6), rel_tol=1e-3)
    assert critical_difference(1, 30) == 0


def test_no_task_is_in_both_halves_and_judges_are_left_alone() -> None:
    for family in FAMILIES.values():
        assert len(referees.tasks_of(family)) == len(family.development) + len(family.held_out)
    assert not {name.split("_")[0] for name in referees.tasks_of(FAMILIES["hpob"])} & JUDGES


def test_what_is_not_in_the_table_fails(tables: Path) -> None:
    task = kernel("convolution_A100", tables, ruled=True)
    assert value(task, a=2, b=0) == task.best == 1
    assert value(task, a=1, b=1) == 5
    assert math.isnan(value(task, a=3, b=0))  # it failed on the card
    assert math.isnan(value(task, a=3, b=1))  # it breaks a restriction
    assert task.rule is not None
    assert task.rule({"a": 3, "b": 0})
    assert not task.rule({"a": 3, "b": 1})


def test_proposals_that_break_a_known_rule_are_no_trials(tables: Path) -> None:
    task = kernel("convolution_A100", tables, ruled=True)
    study = optuna.create_study(sampler=optuna.samplers.BruteForceSampler(seed=0))
    assert len(referees.evaluate(study, task, 6)) == 6
    assert len(study.trials) > 6


@pytest.mark.parametrize("name", ["Hartmann6", "Levy8", "Ackley10", "StyblinskiTang6"])
def test_shifted_functions_are_best_inside(name: str) -> None:
    task = FAMILIES["continuous"].load(name, None)
    assert task.best is not None
    assert task.typical is not None
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(task.objective, n_trials=30)
    values = sorted(trial.values[0] for trial in study.trials)
    assert task.best < values[0] < task.typical < values[-1]


def test_the_nearest_member_of_a_pool_is_taken_once() -> None:
    pytest.importorskip("bocode")
    task = FAMILIES["hpob"].load("4796_23", None)
    assert task.space is not None
    (first, second) = task.space().archs[:2]
    params = dict(zip(("x0", "x1", "x2"), first.values, strict=True))
    values = {value(task, **params) for _ in range(300)}
    assert task.best in values
    assert second != first


def test_a_search_of_a_pool_starts_with_the_points_of_the_protocol(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("bocode")
    asked: list[int] = []
    monkeypatch.setattr(referees, "make", lambda name, seed, startup: asked.append(startup))
    referees._sampler(FAMILIES["hpob"].load("4796_23", None), "gp", 0)
    referees._sampler(FAMILIES["continuous"].load("Levy8", None), "gp", 0)
    assert asked == [5, 10]


def test_earlier_studies_are_of_the_other_pools_of_a_space() -> None:
    pytest.importorskip("bocode")
    task = FAMILIES["hpob"].load("4796_23", None)
    assert task.earlier is not None
    studies = task.earlier(0)
    assert [len(study.trials) for study in studies] == [100] * 5
    others = {tuple(study.trials[0].params.values()) for study in studies}
    assert len(others) == 5  # each data set has settings of its own choosing
    assert referees.fits(referees.INFORMED, task)
    assert not referees.fits(referees.INFORMED, FAMILIES["continuous"].load("Levy8", None))
    row = referees.run("hpob", "4796_23", referees.INFORMED, 0, 3, None)
    assert row["whole"] <= row["half"]
    assert row["failed"] == 0


def test_runs_are_rows_and_not_repeated(tmp_path: Path) -> None:
    arguments = ["--family", "continuous", "--half", "held out", "--sampler", "random",
                 "--sampler", "tpe-mv", "--seeds", "2", "--trials", "8",
                 "--out", str(tmp_path)]  # fmt: skip
    result = CliRunner().invoke(referees.main, arguments)
    assert result.exit_code == 0, result.output
    path = tmp_path / "referees_runs.csv"
    text = path.read_text()
    assert text.count("\n") == 1 + 3 * 2 * 2
    path.write_text(text[: text.rindex("continuous")] + "continuous,StyblinskiTang6,t")  # killed
    assert CliRunner().invoke(referees.main, arguments).exit_code == 0
    rows = list(csv.DictReader(path.open()))
    assert sum(row["whole"] is not None for row in rows) == 12
    with (tmp_path / "referees.csv").open() as file:
        table = list(csv.DictReader(file))
    *ranked, last = [row["sampler"] for row in table]
    assert (sorted(ranked), last) == (["random", "tpe-mv"], "critical difference")
    assert float(table[0]["rank whole"]) + float(table[1]["rank whole"]) == 3


def test_families_that_lack_something_are_named() -> None:
    result = CliRunner().invoke(referees.main, ["--quick", "--family", "kernel"],
                                env={"NASLIB_DIFFUSION_DATA": ""})  # fmt: skip
    assert result.exit_code == 2
    assert "family kernel is left out: name the folder of kernel_" in result.output
