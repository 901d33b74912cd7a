"""HEBO and SMAC3 as Optuna samplers: they see what was evaluated, and propose from the space."""

from __future__ import annotations

import importlib.util
import math

import optuna
import pytest
from naslib_diffusion.benchmarks.hosts.optuna_peers import ENGINES, EngineSampler


class Recorder:
    """An engine that proposes its own numbers and keeps what it is told."""

    def __init__(self, space, seed, startup):
        self.space, self.told = space, []

    def ask(self):
        return {"kind": 1, "x": 9.0, "n": 2.0}

    def tell(self, params, value):
        self.told.append((params, value))


def objective(trial):
    kind = trial.suggest_categorical("kind", ("a", "b"))
    x = trial.suggest_float("x", 0, 1)
    n = trial.suggest_int("n", 1, 4)
    return math.nan if trial.number == 2 else ("ab".index(kind) + 1) * x + n


def test_engines_are_told_everything_once_and_answers_are_put_into_the_space(monkeypatch):
    monkeypatch.setitem(ENGINES, "smac", Recorder)
    sampler = EngineSampler("smac", 0, 3)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=5)
    assert all(t.params == {"kind": "b", "x": 1.0, "n": 2} for t in study.trials[1:])
    told = sampler._engine.told
    assert len(told) == 4
    assert told[0][0]["kind"] in (0, 1)
    assert told[2][1] == max(t.value for t in study.trials[:2])  # a failure is the worst so far


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hebo", "smac"])
def test_engines_run(name):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: extra [peers]")
    study = optuna.create_study(sampler=EngineSampler(name, 0, 4))
    study.optimize(objective, n_trials=8)
    assert len({tuple(t.params.items()) for t in study.trials}) > 4
