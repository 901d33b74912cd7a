"""Optuna's samplers: hypervolume of Pareto fronts, time of a suggestion, one large study."""

from __future__ import annotations

import csv
import gzip
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import torch
from botorch.utils.multi_objective.hypervolume import Hypervolume
from naslib_diffusion.benchmarks.harness.common import CELLS, need_files
from optuna.distributions import BaseDistribution, CategoricalDistribution
from tqdm import tqdm

from naslib_diffusion import DiffusionNAGSampler
from naslib_diffusion.search.scalarisation import pareto as on_front
from naslib_diffusion.spaces.nasbench201 import OPERATIONS, Cell, NASBench201

Make = Callable[[str, int], optuna.samplers.BaseSampler]
Row = dict[str, object]

OBJECTIVES = ("cifar100_test_200", "cifar10_edgegpu_latency_ms")
SPACE: dict[str, BaseDistribution] = {
    f"op{i}": CategoricalDistribution(OPERATIONS) for i in range(6)
}


def pareto(
    data: Path | None, names: Sequence[str], make: Make, seeds: int, trials: int
) -> list[Row]:
    """Accuracy against latency of NAS-Bench-201: the share of hypervolume that is missing.

    Objectives are scaled to [0, 1] over the table; the worst values are the reference.
    """
    with gzip.open(need_files(data, CELLS) / CELLS, "rt") as file:
        rows = list(csv.DictReader(file))
    space = NASBench201()
    values = torch.tensor(
        [[float(row[OBJECTIVES[0]]), -float(row[OBJECTIVES[1]])] for row in rows]
    ).double()
    low, high = values.amin(0), values.amax(0)
    scaled = (values - low) / (high - low)
    table: dict[Cell, list[float]] = {
        space.parse(row["arch"]): value for row, value in zip(rows, scaled.tolist(), strict=True)
    }
    whole = hypervolume(scaled)

    def objective(trial: optuna.Trial) -> list[float]:
        names = [trial.suggest_categorical(name, OPERATIONS) for name in SPACE]
        return table[Cell(tuple(map(OPERATIONS.index, names)))]

    counts = (trials // 4, trials // 2, trials)
    result: list[Row] = []
    for name in names:
        if name == "cmaes":
            continue
        missing: list[list[float]] = []
        for seed in tqdm(range(seeds), desc=name):
            optuna.logging.set_verbosity(optuna.logging.ERROR)
            study = optuna.create_study(directions=["maximize"] * 2, sampler=make(name, seed))
            study.optimize(objective, n_trials=trials)
            found = torch.tensor([t.values for t in study.trials], dtype=torch.double)
            missing.append([100 * (1 - hypervolume(found[:count]) / whole) for count in counts])
        means = [round(statistics.fmean(column), 3) for column in zip(*missing, strict=True)]
        labels = [f"missing@{count} %" for count in counts]
        result.append({"sampler": name, "seeds": seeds, **dict(zip(labels, means, strict=True))})
    return result


def hypervolume(values: torch.Tensor) -> float:
    """Return the volume that points, `n x m` in [0, 1], dominate."""
    front = values[on_front(values)]
    return float(Hypervolume(torch.zeros(values.shape[1]).to(values)).compute(front))


def speed(
    names: Sequence[str], make: Make, counts: Sequence[int] = (100, 1000), runs: int = 5
) -> list[Row]:
    """CPU time of a suggestion in ms after `counts` trials of random cells."""
    random = torch.Generator().manual_seed(0)
    cells = list(dict.fromkeys(NASBench201().sample(2 * max(counts), random)))
    result: list[Row] = []
    for name in tqdm(names, desc="samplers"):
        row: Row = {"sampler": name, "runs": runs}
        for count in counts:
            study = optuna.create_study(sampler=make(name, 0))
            study.add_trials([_finished(cell) for cell in cells[:count]])
            times = []
            for _ in range(runs + 1):  # the first one warms up
                start = time.process_time()
                trial = study.ask(SPACE)
                times.append(time.process_time() - start)
                study.tell(trial, _value(list(trial.params.values())))
            row[f"median@{count}"] = round(1000 * statistics.median(times[1:]), 1)
            row[f"max@{count}"] = round(1000 * max(times[1:]), 1)
        result.append(row)
    return result


def _value(names: Sequence[str]) -> float:
    """An objective that costs nothing: order and kind of operations matter."""
    weights = [0.9, 0.1, 0.6, 0.0, 0.5]
    own = [weights[OPERATIONS.index(name)] for name in names]
    return sum((i + 1) * w for i, w in enumerate(own)) + own[0] * own[5] + own[2] * own[3]


def _finished(cell: Cell) -> optuna.trial.FrozenTrial:
    params = {f"op{i}": OPERATIONS[k] for i, k in enumerate(cell.operations)}
    value = _value(list(params.values()))
    return optuna.trial.create_trial(params=params, distributions=dict(SPACE), value=value)


def study(trials: int, workers: int) -> Row:
    """Run one study in several processes on one SQLite file, and count what is in it."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/study.db"
        optuna.create_study(study_name="large", storage=_storage(url))
        context = multiprocessing.get_context("spawn")
        processes = [
            context.Process(target=work, args=(url, seed, trials, Path(folder)))
            for seed in range(workers)
        ]
        start = time.perf_counter()
        for process in processes:
            process.start()
        with tqdm(total=trials, desc="trials") as bar:
            while any(process.is_alive() for process in processes):
                time.sleep(1)
                bar.update(_count(url) - bar.n)
        seconds = time.perf_counter() - start
        done = optuna.load_study(study_name="large", storage=_storage(url)).trials
        early, late = _peaks(Path(folder), trials // 5), _peaks(Path(folder), len(done))
    complete = [t for t in done if t.state == optuna.trial.TrialState.COMPLETE]
    return {
        "trials": len(done),
        "complete": len(complete),
        "distinct numbers": len({t.number for t in done}),
        "distinct points": len({tuple(t.params.items()) for t in complete}),
        "right values": sum(t.value == _wide_value(t.params) for t in complete),
        "workers that failed": sum(process.exitcode != 0 for process in processes),
        "seconds": round(seconds),
        "peak MB of a worker after a fifth": early,
        "at the end": late,
    }


def _peaks(folder: Path, trials: int) -> int:
    """Return the largest peak memory of a worker while the study had at most so many trials."""
    rows = [
        line.split() for path in folder.glob("memory-*") for line in path.read_text().splitlines()
    ]
    return max((int(peak) for count, peak in rows if int(count) <= trials), default=0)


def work(url: str, seed: int, trials: int, folder: Path) -> None:
    """Work on the study until it has `trials` finished ones; note the memory in `folder`."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = DiffusionNAGSampler(seed=seed, candidates=8)
    own = optuna.load_study(study_name="large", storage=_storage(url), sampler=sampler)
    limit = optuna.study.MaxTrialsCallback(trials, states=None)
    while (count := len(own.get_trials(deepcopy=False))) < trials:
        own.optimize(_wide, n_trials=25, callbacks=[limit])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        with (folder / f"memory-{seed}").open("a") as file:
            file.write(f"{count} {peak}\n")


def _wide(trial: optuna.Trial) -> float:
    for i in range(4):
        trial.suggest_categorical(f"k{i}", tuple("abcde"))
    trial.suggest_int("n", 0, 9)
    trial.suggest_float("x", 0, 1)
    return _wide_value(trial.params)


def _wide_value(params: Mapping[str, Any]) -> float:
    kinds = [ord(params[f"k{i}"]) - ord("a") for i in range(4)]
    value: float = sum(kinds) + abs(params["n"] - 4) + params["x"] ** 2
    return value


def _storage(url: str) -> optuna.storages.RDBStorage:
    return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 120}})


def _count(url: str) -> int:
    storage = _storage(url)
    try:
        return len(
            optuna.load_study(study_name="large", storage=storage).get_trials(deepcopy=False)
        )
    finally:
        storage.remove_session()
