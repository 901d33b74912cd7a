"""A worker of a shared study, for test_optuna_parallel: python optuna_worker.py URL SEED N LOG."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from naslib_diffusion import DiffusionNAGSampler

NAME = "shared"


def open_storage(url: str) -> BaseStorage:
    if url.startswith("journal:"):
        return JournalStorage(JournalFileBackend(url.removeprefix("journal:")))
    return RDBStorage(url)


def value(params: dict[str, Any]) -> float:
    return float(sum(params.values()))


def objective(trial: optuna.Trial) -> float:
    for i in range(3):
        trial.suggest_categorical(f"k{i}", (0, 1, 2, 3))
    time.sleep(0.02)
    return value(trial.params)


def main(url: str, seed: int, n: int, log: Path) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = {f"k{i}": optuna.distributions.CategoricalDistribution((0, 1, 2, 3)) for i in range(3)}
    sampler = DiffusionNAGSampler(seed=seed, candidates=8, space=space)
    study = optuna.load_study(study_name=NAME, storage=open_storage(url), sampler=sampler)

    def record(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        with log.open("a") as file:
            file.write(f"{trial.number} {trial.value}\n")
        if len(study.get_trials(deepcopy=False)) >= n:
            study.stop()

    study.optimize(objective, callbacks=[record])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
