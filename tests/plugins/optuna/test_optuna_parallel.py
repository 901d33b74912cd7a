"""Many processes on one study; some are killed in the middle."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import optuna
import optuna_worker as worker
import pytest
from naslib_diffusion.plugins.optuna import sampler
from optuna.trial import FrozenTrial, TrialState

from naslib_diffusion import DiffusionNAGSampler

TRIALS = 30
"""Of the 64 points that there are."""
BEFORE_THE_KILL = 8
PATIENCE = 240


@pytest.fixture(params=["journal", "sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "journal":
        return f"journal:{tmp_path}/study.log"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/study.db"
    address: str = request.getfixturevalue("postgresql_url")
    return address


def finished(log: Path) -> int:
    """Return how many trials a worker has noted."""
    return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.mark.slow
def test_killed_workers_lose_no_finished_trial(url: str, tmp_path: Path) -> None:
    study = optuna.create_study(study_name=worker.NAME, storage=worker.open_storage(url))
    logs = [tmp_path / f"{seed}.log" for seed in range(2)]
    workers = [
        subprocess.Popen(
            [sys.executable, worker.__file__, url, str(seed), str(TRIALS), str(logs[seed])]
        )
        for seed in range(2)
    ]
    try:
        deadline = time.monotonic() + PATIENCE
        while max(done := [finished(log) for log in logs]) < BEFORE_THE_KILL:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        victim = done.index(max(done))  # the other may have begun late, and has to end the study
        assert workers[victim].poll() is None
        workers[victim].kill()
        assert workers[1 - victim].wait(PATIENCE) == 0
    finally:
        for process in workers:
            process.kill()
            process.wait()
    trials = study.get_trials()
    assert [trial.number for trial in trials] == list(range(len(trials)))
    complete = {t.number: t for t in trials if t.state == TrialState.COMPLETE}
    assert len(complete) >= TRIALS - 1
    assert all(t.value == worker.value(t.params) for t in complete.values())
    lines = [line.split() for log in logs for line in log.read_text().splitlines()]
    assert {int(number): float(value) for number, value in lines}.items() <= {
        number: trial.value for number, trial in complete.items()
    }.items()
    assert len({tuple(t.params.items()) for t in complete.values()}) == len(complete)
    # at most the trial that the killed worker was at is left over
    assert len(trials) - len(complete) <= 1


def test_storages_tell_claims_that_are_long() -> None:
    space: dict[str, optuna.distributions.BaseDistribution] = {
        f"parameter_with_a_long_name_{i:03d}": optuna.distributions.FloatDistribution(0, 1)
        for i in range(120)
    }
    from naslib_diffusion.plugins.optuna.sharing import claimed

    study = optuna.create_study(
        storage="sqlite://", sampler=DiffusionNAGSampler(space=space, seed=0)
    )
    trial = study.ask()
    first = trial.suggest_float("parameter_with_a_long_name_000", 0, 1)
    claim = claimed(study.get_trials()[0])
    assert len(claim) == 120
    assert claim["parameter_with_a_long_name_000"] == first


@pytest.mark.parametrize(("offset", "planned"), [(-1, 1), (1, 2)])
def test_who_meets_rivals_again_goes_elsewhere(
    monkeypatch: pytest.MonkeyPatch, offset: int, planned: int
) -> None:
    """A rival takes every point that is planned; random ones are left alone."""
    space = {f"x{i}": optuna.distributions.CategoricalDistribution(tuple("abcde")) for i in "0123"}
    study = optuna.create_study(sampler=DiffusionNAGSampler(seed=0, n_startup_trials=2))
    for _ in range(4):
        trial = study.ask(space)
        study.tell(trial, sum(map(ord, trial.params.values())))
    asked = []

    def rivals(study: optuna.Study, trial: FrozenTrial, *_: object) -> list[int]:
        asked.append(trial.number)
        return [trial.number + offset] if len(asked) <= planned else []

    monkeypatch.setattr(sampler, "rivals", rivals)
    last = study.ask(space)
    assert len(asked) == planned + 1
    stored = study.get_trials()[-1].system_attrs
    assert "diffusion_nag:acquisition" not in stored  # drawn at random
    assert last.params not in [t.params for t in study.get_trials()[:-1]]
