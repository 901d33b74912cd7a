"""Optuna's samplers side by side: same tasks, seeds and number of trials."""

from __future__ import annotations

import fnmatch
import importlib.util
import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import optuna
import torch
from naslib_diffusion.benchmarks.harness.common import (
    CELLS,
    need_files,
    processes_option,
    run_all,
    save,
    seeds_option,
    show,
)
from naslib_diffusion.benchmarks.harness.kept import kept
from naslib_diffusion.benchmarks.hosts.optuna_extra import pareto, speed, study
from naslib_diffusion.benchmarks.hosts.optuna_peers import EngineSampler
from naslib_diffusion.benchmarks.hosts.optuna_tasks import STARTUP, TASKS, load

from naslib_diffusion import DiffusionNAGSampler

Run = dict[str, Any]

Sampler = optuna.samplers.BaseSampler


def make(name: str, seed: int, startup: int = STARTUP) -> Sampler:
    """Return a sampler by name; model-based ones draw `startup` points at random first."""
    return SAMPLERS[name](seed, startup)


SAMPLERS: dict[str, Callable[[int, int], Sampler]] = {
    "diffusion": lambda seed, startup: DiffusionNAGSampler(seed=seed, n_startup_trials=startup),
    "random": lambda seed, _: optuna.samplers.RandomSampler(seed=seed),
    "tpe": lambda seed, startup: optuna.samplers.TPESampler(
        seed=seed, multivariate=False, n_startup_trials=startup
    ),
    "tpe-mv": lambda seed, startup: optuna.samplers.TPESampler(
        seed=seed, multivariate=True, n_startup_trials=startup
    ),
    "gp": lambda seed, startup: optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup),
    "nsga2": lambda seed, _: optuna.samplers.NSGAIISampler(seed=seed, population_size=20),
    "cmaes": lambda seed, _: optuna.samplers.CmaEsSampler(seed=seed),
    "smac": lambda seed, startup: EngineSampler("smac", seed, startup),
    "hebo": lambda seed, startup: EngineSampler("hebo", seed, startup),
}
"""By name; "diffusion-space" is ours with the space that a task's parameters spell."""

WHERE = {"cmaes": "numeric", "diffusion-space": "space"}
"""Samplers that only some tasks are for, by what a task must have."""


EXTRAS = {
    "cmaes": "[bench]",
    "smac": "[peers]",
    "hebo": "[peers], then pip install --no-deps HEBO==0.3.6",
}
"""Samplers that need a package of their own name, and the extra that brings it."""


def one_run(name: str, sampler: str, seed: int, trials: int, out: Path | None) -> Run:
    """Run one study, or read it where it is on disk already; values are to be minimised."""
    path = None if out is None else out / f"{name.replace('/', '-')}__{sampler}__{seed}.json"
    asked = {"task": name, "sampler": sampler, "seed": seed}

    def measure() -> Run:
        values, seconds = optimize(name, sampler, seed, trials)
        return {"values": values, "seconds": seconds}

    found: Run = kept(path, asked, measure, lambda found: len(found["values"]) >= trials)
    return found


def optimize(name: str, sampler: str, seed: int, trials: int) -> tuple[list[float | None], float]:
    """Return the values, None for failures, and the CPU seconds of the whole study."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    torch.set_num_threads(1)
    task = load(name)
    if sampler == "diffusion-space":
        assert task.space is not None
        chosen: Any = DiffusionNAGSampler(
            seed=seed, n_startup_trials=task.startup, space=task.space()
        )
    else:
        chosen = make(sampler, seed, task.startup)
    study = optuna.create_study(sampler=chosen)
    start = time.process_time()
    study.optimize(task.objective, n_trials=trials)
    values = [t.value if t.values else None for t in study.trials]
    return values, time.process_time() - start


def best_after(values: Sequence[float | None], count: int) -> float:
    """Return the least of the first `count` values."""
    return min((v for v in values[:count] if v is not None), default=math.inf)


def summarise(runs: Sequence[Run], trials: int) -> list[dict[str, object]]:
    """Return for each task and sampler the regrets after half and all trials, and first hits."""
    rows: list[dict[str, object]] = []
    for name in dict.fromkeys(run["task"] for run in runs):
        own = [run for run in runs if run["task"] == name]
        task = load(name)
        best = task.best
        typical = task.typical
        if best is None or typical is None:  # unknown: from all that these runs saw
            finite = [v for run in own for v in run["values"] if v is not None]
            starts = [v for run in own for v in run["values"][: task.startup] if v is not None]
            best, typical = min(finite), statistics.median(starts)
        for sampler in dict.fromkeys(run["sampler"] for run in own):
            mine = [run["values"][:trials] for run in own if run["sampler"] == sampler]
            row: dict[str, object] = {"task": name, "sampler": sampler, "seeds": len(mine)}
            for count in (trials // 2, trials):
                regrets = [(best_after(v, count) - best) / (typical - best) for v in mine]
                row[f"regret@{count} %"] = round(100 * statistics.fmean(regrets), 3)
            hits = [first_hit(v, best, trials) for v in mine]
            row["to best"] = statistics.median(hits)
            row["missed"] = sum(hit > trials for hit in hits)
            rows.append(row)
    return rows


def first_hit(values: Sequence[float | None], best: float, trials: int) -> int:
    """Return the number of trials up to the best value; one more than there were if missed."""
    tolerance = 1e-9 * max(abs(best), 1.0)
    hits = (i for i, v in enumerate(values, 1) if v is not None and v <= best + tolerance)
    return next(hits, trials + 1)


def by_suite(rows: Sequence[dict[str, Any]]) -> list[dict[str, object]]:
    """Average over the tasks of a suite: regrets, and ranks by the last regret (1 is best)."""
    columns = [key for key in rows[0] if key.startswith("regret@")]
    result: list[dict[str, object]] = []
    for suite in dict.fromkeys(row["task"].split("/")[0] for row in rows):
        own = [row for row in rows if row["task"].startswith(f"{suite}/")]
        ranks: dict[str, list[int]] = {}
        for name in dict.fromkeys(row["task"] for row in own):
            group = [row for row in own if row["task"] == name]
            for row in group:
                better = sum(other[columns[-1]] < row[columns[-1]] for other in group)
                ranks.setdefault(row["sampler"], []).append(1 + better)
        for sampler, places in ranks.items():
            mine = [row for row in own if row["sampler"] == sampler]
            means = {c: round(statistics.fmean(row[c] for row in mine), 3) for c in columns}
            result.append(
                {"suite": suite, "sampler": sampler, "tasks": len(mine), **means,
                 "mean rank": round(statistics.fmean(places), 2), "worst rank": max(places)}
            )  # fmt: skip
    return result


def jobs_of(
    tasks: Iterable[str], samplers: Iterable[str], seeds: int
) -> list[tuple[str, str, int]]:
    """Return which runs there are: tasks that a sampler is not for are left out."""
    return [
        (name, sampler, seed)
        for name in tasks
        for sampler in samplers
        if sampler not in WHERE or getattr(load(name), WHERE[sampler])
        for seed in range(seeds)
    ]


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for one file per run and the tables; runs that are there are not repeated.",
)
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(("quality", "pareto", "speed", "study")),
    help="What to measure; may be given several times.  [default: quality]",
)
@click.option(
    "--task",
    "patterns",
    multiple=True,
    help="Pattern of names of tasks, such as 'hpo*'.  [default: all]",
)
@click.option(
    "--sampler",
    "samplers",
    multiple=True,
    type=click.Choice((*SAMPLERS, "diffusion-space")),
    help="Sampler to compare; may be given several times.  [default: all]",
)
@seeds_option(default=20)
@click.option("--trials", default=100, show_default=True, help="Number of trials of each run.")
@click.option(
    "--workers",
    default=8,
    show_default=True,
    help="Number of processes that share the large study.",
)
@processes_option
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="NASLIB_DIFFUSION_DATA",
    help="Folder with nasbench201.csv.gz, which part pareto needs.",
)
def main(
    out: Path | None,
    parts: tuple[str, ...],
    patterns: tuple[str, ...],
    samplers: tuple[str, ...],
    seeds: int,
    trials: int,
    workers: int,
    processes: int,
    data: Path | None,
) -> None:
    """Compare Optuna's samplers with ours on tables, functions and a small training.

    Regret is the gap to the best value, in % of the gap of a median random point. Part pareto
    compares hypervolumes, part speed times a suggestion, and part study runs one study of
    `--trials` trials in `--workers` processes on one SQLite file.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    missing = {n: extra for n, extra in EXTRAS.items() if importlib.util.find_spec(n) is None}
    for name in missing.keys() & set(samplers):
        raise click.UsageError(f"{name} is not installed: it comes with {missing[name]}")
    if missing and not samplers:
        names = ", ".join(f"{name} ({extra})" for name, extra in missing.items())
        click.echo(f"left out, since they are not installed: {names}")
    parts = parts or ("quality",)
    if "pareto" in parts:
        need_files(data, CELLS)
    samplers = samplers or (*(n for n in SAMPLERS if n not in missing), "diffusion-space")
    if "quality" in parts:
        quality(out, patterns, samplers, seeds, trials, processes)
    if "pareto" in parts:
        rows = pareto(data, [s for s in samplers if s in SAMPLERS], make, seeds, trials)
        show(f"Hypervolume that is missing, in % of the table's, {seeds} seeds", rows)
        save(out, "optuna_pareto", rows, seeds=seeds)
    if "speed" in parts:
        rows = speed([s for s in samplers if s in SAMPLERS], make)
        show("CPU time of a suggestion in ms, NAS-Bench-201 as six categorical parameters", rows)
        save(out, "optuna_speed", rows)
    if "study" in parts:
        rows = [study(trials, workers)]
        show(f"One study of {trials} trials in {workers} processes", rows)
        save(out, "optuna_study", rows)


def quality(
    out: Path | None,
    patterns: Sequence[str],
    samplers: Sequence[str],
    seeds: int,
    trials: int,
    processes: int,
) -> None:
    """Run what is not there yet, and show the tables."""
    tasks = [t for t in TASKS if any(fnmatch.fnmatch(t, p) for p in patterns or ("*",))]
    if not tasks:
        raise click.UsageError(f"no task matches {', '.join(patterns)}; there are: "
                               f"{', '.join(TASKS)}")  # fmt: skip
    jobs = [(*job, trials, out) for job in jobs_of(tasks, samplers, seeds)]
    runs = run_all(one_run, jobs, processes, "studies")
    rows = summarise(runs, trials)
    suites = by_suite(rows)
    show(f"Tasks, {seeds} seeds", rows, [f"A run that missed the best counts as {trials + 1}."])
    show("Means over the tasks of a suite; ranks by the last regret", suites)
    save(out, "optuna_tasks", rows, seeds=seeds, trials=trials)
    save(out, "optuna_suites", suites, seeds=seeds, trials=trials)


if __name__ == "__main__":
    main()
