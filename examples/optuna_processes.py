"""Many processes on one study, which may die and be started again at any time.

Run it as often as you like, at the same time, on all machines that reach the storage:

    python examples/optuna_processes.py journal:shared/study.log 30
    python examples/optuna_processes.py sqlite:///study.db 30
    python examples/optuna_processes.py postgresql+psycopg2://user@host/database 30
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from naslib_diffusion import DiffusionNAGSampler

OPERATIONS = ("conv", "skip", "pool", "none")
FILES = ("journal:", "sqlite:///")
"""How the names of storages begin that are files."""


def open_storage(url: str) -> BaseStorage:
    """Return the storage; a journal is a file, also on a network file system."""
    for scheme in FILES:
        if url.startswith(scheme):
            Path(url.removeprefix(scheme)).parent.mkdir(parents=True, exist_ok=True)
    if url.startswith("journal:"):
        return JournalStorage(JournalFileBackend(url.removeprefix("journal:")))
    # a worker that stops to report is given up after a minute: its trial counts as failed
    return RDBStorage(url, heartbeat_interval=20, grace_period=60)


def objective(trial: optuna.Trial) -> float:
    """Stand in for a training."""
    operations = [trial.suggest_categorical(f"op{i}", OPERATIONS) for i in range(4)]
    rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
    return operations.count("none") + operations.count("pool") + abs(math.log10(rate) + 3)


def main(url: str, trials: int) -> None:
    """Work until the study has so many trials."""
    study = optuna.create_study(
        study_name="shared",
        storage=open_storage(url),
        sampler=DiffusionNAGSampler(),  # no seed: workers must differ
        load_if_exists=True,
    )
    study.optimize(objective, callbacks=[optuna.study.MaxTrialsCallback(trials)])
    points = {tuple(trial.params.items()) for trial in study.trials}
    print(f"{len(study.trials)} trials, {len(points)} distinct, best {study.best_value:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("storage", help="journal:FILE, or a database as SQLAlchemy names it")
    parser.add_argument("trials", type=int, nargs="?", default=30)
    arguments = parser.parse_args()
    main(arguments.storage, arguments.trials)
