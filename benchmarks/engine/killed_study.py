"""A worker of an Optuna study that is killed at random moments, and what is left of the study."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click
import optuna
from naslib_diffusion.plugins.optuna.sharing import claimed
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from naslib_diffusion import DiffusionNAGSampler
from naslib_diffusion.runtime.logs import RowLog

LOG = "told.csv"
"""Of the trials that a worker knows to be finished."""
HEAD = [("a", "b", "value")]
GOAL = 20
"""Trials to finish, of the 24 points that there are: some points may be killed several times."""
STARTUP = 4
SECONDS = 0.02
"""Of an evaluation."""


def _sqlite(folder: Path) -> BaseStorage:
    """Return a storage that marks trials of dead workers as failed, as soon as may be."""
    return RDBStorage(f"sqlite:///{folder}/study.db", heartbeat_interval=1, grace_period=2)


def _journal(folder: Path) -> BaseStorage:
    """Return a storage without a heartbeat."""
    return JournalStorage(JournalFileBackend(str(folder / "study.log")))


STORAGES: dict[str, Callable[[Path], BaseStorage]] = {"SQLite": _sqlite, "journal": _journal}


def objective(trial: optuna.Trial) -> float:
    """Return a smooth function of two parameters."""
    a, b = trial.suggest_int("a", 0, 5), trial.suggest_categorical("b", (0, 1, 2, 3))
    time.sleep(SECONDS)
    return float((a - 2) ** 2 + b)


def facts(kind: str, folder: Path) -> dict[str, object]:
    """Return what a study must have when it ends, whatever happened before.

    A trial whose worker died before its first heartbeat keeps running for good, as Optuna has it.
    It must not keep a point.
    """
    study = optuna.load_study(study_name=None, storage=STORAGES[kind](folder))
    complete = [t for t in study.get_trials() if t.state == TrialState.COMPLETE]
    points = {(t.params["a"], t.params["b"]): t.value for t in complete}
    with RowLog(folder / LOG, HEAD) as log:
        told = {(int(a), int(b)): float(value) for a, b, value in log.rows}
    return {
        "goal": len(complete) >= GOAL,
        "twice": len(complete) - len(points),
        "told and not kept": len(told.items() - points.items()),
        "wrong": sum(value != (a - 2) ** 2 + b for (a, b), value in points.items()),
        "claimed by the dead": kind == "SQLite"
        and any(t.state == TrialState.RUNNING and claimed(t) for t in study.get_trials()),
    }


@click.command()
@click.argument("kind", type=click.Choice(list(STORAGES)))
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(kind: str, out: Path) -> None:
    """Work on the study in a folder until enough of its trials are complete."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    out.mkdir(exist_ok=True)
    study = optuna.create_study(
        study_name="killed",
        storage=STORAGES[kind](out),
        sampler=DiffusionNAGSampler(n_startup_trials=STARTUP, candidates=8),
        load_if_exists=True,
    )

    def enough() -> bool:
        trials = study.get_trials(deepcopy=False)
        return sum(t.state == TrialState.COMPLETE for t in trials) >= GOAL

    with RowLog(out / LOG, HEAD) as log:

        def note(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            if trial.value is not None:
                log.append((trial.params["a"], trial.params["b"], trial.value))
            if enough():
                study.stop()

        if not enough():
            study.optimize(objective, callbacks=[note])


if __name__ == "__main__":
    main()
