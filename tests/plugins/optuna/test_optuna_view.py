"""Stored studies, read for a report."""

import optuna
import pytest
from naslib_diffusion.plugins.optuna.view import read_study
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from naslib_diffusion import DiffusionNAGSampler


def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    if trial.number == 2:
        raise optuna.TrialPruned
    return x


def fill(storage, name, **options):
    sampler = DiffusionNAGSampler(seed=0, n_startup_trials=3, **options)
    study = optuna.create_study(study_name=name, storage=storage, sampler=sampler)
    study.optimize(objective, n_trials=6)
    return study


@pytest.mark.parametrize("visible", [False, True])
def test_values_states_and_predictions_are_read(tmp_path, visible):
    url = f"sqlite:///{tmp_path / 'a study%.db'}"
    study = fill(url, "s", predictions_as_user_attrs=visible)
    before = (tmp_path / "a study%.db").read_bytes()
    found = read_study(url)
    assert (found.name, found.directions, found.objectives) == ("s", ("minimize",), ("value",))
    assert [t.values for t in found.trials if t.state == "complete"] == [
        tuple(t.values) for t in study.trials if t.values
    ]
    assert [t.state for t in found.trials].count("pruned") == 1
    assert not any(t.predictions for t in found.trials[:2])
    ((mean, deviation),) = found.trials[-1].predictions
    assert abs(mean) < 10
    assert deviation > 0
    assert (tmp_path / "a study%.db").read_bytes() == before


def test_a_journal_is_read_and_names_choose(tmp_path):
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "log")))
    fill(storage, "one")
    fill(storage, "two")
    url = f"journal:{tmp_path / 'log'}"
    assert read_study(url, "two").name == "two"
    with pytest.raises(ValueError, match="there are: one, two"):
        read_study(url)
    with pytest.raises(ValueError, match="no study 'three'"):
        read_study(url, "three")


def test_what_is_no_storage_is_refused_and_nothing_is_made(tmp_path):
    for scheme in ("sqlite:///", "journal:"):
        with pytest.raises(ValueError, match="there is no file"):
            read_study(f"{scheme}{tmp_path / 'missing'}")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "text").write_text("no database")
    with pytest.raises(ValueError, match="cannot open"):
        read_study(f"sqlite:///{tmp_path / 'text'}")
    with pytest.raises(
        ValueError, match=r"study\.db is no storage; name a file as sqlite:///FILE"
    ):
        read_study("study.db")
    with pytest.raises(ValueError, match="cannot open") as failed:
        read_study("nosuchdriver://user:secret@host/name")
    assert "secret" not in str(failed.value)


def test_constraints_and_the_space_that_trials_share_are_read(tmp_path):
    url = f"sqlite:///{tmp_path / 's.db'}"
    study = optuna.create_study(storage=url, sampler=optuna.samplers.RandomSampler(seed=0))

    def limited(trial):
        x, kind = trial.suggest_float("x", 0, 1), trial.suggest_categorical("kind", ["a", "b"])
        if trial.number % 2:
            trial.suggest_int("sometimes", 1, 3)
        trial.set_constraint("wide", x - 0.5)
        return x + (kind == "a")

    study.optimize(limited, n_trials=6)
    found = read_study(url)
    assert found.space is not None
    assert [dict(found.decide(t.arch)) for t in found.trials] == [
        {"kind": t.params["kind"], "x": t.params["x"]} for t in study.trials
    ]
    assert [t.feasible for t in found.trials] == [t.params["x"] <= 0.5 for t in study.trials]
