"""Optuna's samplers and ours on tasks of several fields: ranks, and whether they mean anything."""

from __future__ import annotations

import csv
import importlib.util
import math
import os
import statistics
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import optuna
import torch
from naslib_diffusion.benchmarks.harness.common import (
    out_option,
    processes_option,
    run_all,
    save,
    seeds_option,
    show,
)
from naslib_diffusion.benchmarks.harness.ranks import critical_difference, mean_ranks
from naslib_diffusion.benchmarks.hosts.optuna import best_after, make
from naslib_diffusion.benchmarks.hosts.optuna_tasks import Task
from naslib_diffusion.benchmarks.hosts.referee_families import FAMILIES, Family

from naslib_diffusion import DiffusionNAGSampler, __version__
from naslib_diffusion.runtime.files import write_atomically

Row = dict[str, Any]
Job = tuple[str, str, str, int]

PEERS = ("random", "tpe-mv", "gp", "nsga2", "cmaes")
OURS = "diffusion"
INFORMED = "diffusion-earlier"
"""Ours, given studies of like objectives."""
HALVES = ("development", "held out")
COLUMNS = ("family", "task", "sampler", "seed", "trials", "quarter", "half", "whole", "failed",
           "seconds", "version")  # fmt: skip
"""Of the file of runs: the least values after a quarter, half and all of the trials, ..."""
QUICK = {"tasks": 1, "seeds": 1, "trials": 20}
"""What `--quick` takes of each half."""
PATIENCE = 5
"""Proposals for each trial, where those that break a known rule are not trials."""


def run(family: str, name: str, sampler: str, seed: int, trials: int, data: Path | None) -> Row:
    """Run one study, and return its row."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    torch.set_num_threads(1)
    task = FAMILIES[family].load(name, data)
    study = optuna.create_study(sampler=_sampler(task, sampler, seed))
    start = time.process_time()
    values = evaluate(study, task, trials)
    quarter, half, whole = (best_after(values, n) for n in (trials // 4, trials // 2, trials))
    return {
        "family": family, "task": name, "sampler": sampler, "seed": seed, "trials": trials,
        "quarter": quarter, "half": half, "whole": whole, "failed": values.count(None),
        "seconds": round(time.process_time() - start, 2), "version": __version__,
    }  # fmt: skip


def evaluate(study: optuna.Study, task: Task, trials: int) -> list[float | None]:
    """Return the values of the trials, None for failures.

    Where a rule is known, proposals that break it fail, but are no trials: the rule is free.
    """
    values: list[float | None] = []

    def count(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if task.rule is None or task.rule(trial.params):
            values.append(trial.values[0] if trial.values else None)
        if len(values) == trials:
            study.stop()

    patience = 1 if task.rule is None else PATIENCE
    study.optimize(task.objective, n_trials=patience * trials, callbacks=[count])
    return values


def _sampler(task: Task, name: str, seed: int) -> optuna.samplers.BaseSampler:
    """Return a sampler; only ours can be told a rule, or which points there are."""
    chosen: optuna.samplers.BaseSampler
    if name in (OURS, INFORMED):
        space = task.space() if task.closed and task.space is not None else None
        earlier = task.earlier(seed) if name == INFORMED and task.earlier is not None else ()
        chosen = DiffusionNAGSampler(
            seed=seed,
            n_startup_trials=None if earlier else task.startup,
            space=space,
            is_valid=task.rule,
            prior_studies=earlier,
        )
    else:
        chosen = make(name, seed, task.startup)
    return chosen


def append(path: Path | None, row: Row) -> None:
    """Append a row in one write, so that processes can share the file."""
    if path is not None:
        line = ",".join(str(row[column]) for column in COLUMNS) + "\n"
        handle = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)


def run_and_append(job: Job, trials: int, data: Path | None, path: Path | None) -> Row:
    """Run one study and keep its row."""
    row = run(*job, trials, data)
    append(path, row)
    return row


def read_rows(path: Path, trials: int) -> dict[Job, Row]:
    """Return the runs of so many trials that a file has; begin the file if there is none."""
    text = path.read_text() if path.exists() else ""
    if not text.endswith("\n"):  # new, or its last row was cut short; others may be appending
        whole = text[: text.rfind("\n") + 1] or ",".join(COLUMNS) + "\n"
        write_atomically(path, whole.encode())
    found: dict[Job, Row] = {}
    with path.open(newline="") as file:
        for raw in csv.DictReader(file):
            if int(raw["trials"]) != trials:
                continue
            row: Row = dict(raw)
            for column in ("quarter", "half", "whole", "seconds"):
                row[column] = float(row[column])
            for column in ("seed", "trials", "failed"):
                row[column] = int(row[column])
            found[row["family"], row["task"], row["sampler"], row["seed"]] = row
    return found


def tasks_of(family: Family, limit: int | None = None) -> dict[str, str]:
    """Return the half that each task belongs to."""
    halves = (family.development[:limit], family.held_out[:limit])
    return {name: half for half, names in zip(HALVES, halves, strict=True) for name in names}


def fits(sampler: str, task: Task) -> bool:
    """Whether a sampler is for a task: CMA-ES for numbers, NSGA-II for the rest."""
    if sampler == INFORMED:
        return task.earlier is not None
    return sampler not in ("cmaes", "nsga2") or (sampler == "cmaes") == task.numeric


def with_regret(rows: Sequence[Row], data: Path | None) -> list[Row]:
    """Return the rows with `regret@...` after half and all trials, and the half of their task.

    An unknown best value is the best of these runs; no value at all counts as a regret of 1.
    """
    result = []
    for family, name in dict.fromkeys((row["family"], row["task"]) for row in rows):
        own = [row for row in rows if (row["family"], row["task"]) == (family, name)]
        task = FAMILIES[family].load(name, data)
        known = [row["whole"] for row in own if math.isfinite(row["whole"])]
        best = min(known, default=0.0) if task.best is None else task.best
        typical = max(known, default=1.0) if task.typical is None else task.typical
        half = tasks_of(FAMILIES[family])[name]
        result += [
            {**row, "where": half,
             **{column: _regret(row[column], best, typical, task.logarithmic)
                for column in ("half", "whole")}}
            for row in own
        ]  # fmt: skip
    return result


def _regret(value: float, best: float, typical: float, logarithmic: bool) -> float:
    if not math.isfinite(value):
        return 1.0
    if logarithmic:
        value, best, typical = map(math.log, (value, best, typical))
    return (value - best) / (typical - best)


def ranking(rows: Sequence[Row], title: str) -> list[dict[str, object]]:
    """Rank the samplers that ran on all tasks of `rows`, by mean regret on each.

    The last row holds the critical difference of mean ranks.
    """
    tasks = list(dict.fromkeys((row["family"], row["task"]) for row in rows))
    losses: dict[str, dict[tuple[str, str], list[Row]]] = {}
    for row in rows:
        own = losses.setdefault(row["sampler"], {})
        own.setdefault((row["family"], row["task"]), []).append(row)
    everywhere = {s: own for s, own in losses.items() if len(own) == len(tasks)}
    half, whole = (
        {
            s: [statistics.fmean(r[column] for r in own[task]) for task in tasks]
            for s, own in everywhere.items()
        }
        for column in ("half", "whole")
    )
    ranks = [mean_ranks(half), mean_ranks(whole)]
    table: list[dict[str, object]] = []
    for sampler, own in everywhere.items():
        runs = [run for group in own.values() for run in group]
        table.append({
            "tasks": title, "sampler": sampler,
            "regret half": f"{statistics.fmean(half[sampler]):.4f}",
            "regret whole": f"{statistics.fmean(whole[sampler]):.4f}",
            "rank half": round(ranks[0][sampler], 2), "rank whole": round(ranks[1][sampler], 2),
            "failed": round(statistics.fmean(run["failed"] for run in runs), 1),
            "CPU s": round(statistics.fmean(run["seconds"] for run in runs), 1),
        })  # fmt: skip
    gap = round(critical_difference(len(everywhere), len(tasks)), 2)
    blank: dict[str, object] = dict.fromkeys(table[0], "")
    note = {"tasks": f"{len(tasks)} tasks", "sampler": "critical difference"}
    return [*table, {**blank, **note, "rank half": gap, "rank whole": gap}]


def available(names: Iterable[str], data: Path | None) -> list[str]:
    """Return the families whose package and files are there; say what the others lack."""
    found = []
    for name in names:
        family = FAMILIES[name]
        if family.package is not None and importlib.util.find_spec(family.package) is None:
            lacks = f"{family.package} is not installed: pip install 'naslib-diffusion[referees]'"
        elif family.files and data is None:
            lacks = f"name the folder of {family.files[0]}, ..., by --data"
        elif lost := [f for f in family.files if data is not None and not (data / f).is_file()]:
            lacks = f"--data {data} has no {lost[0]}"
        else:
            found.append(name)
            continue
        click.echo(f"family {name} is left out: {lacks}", err=True)
    return found


@click.command()
@click.option(
    "--family",
    "families",
    multiple=True,
    type=click.Choice(tuple(FAMILIES)),
    help="Family of tasks; may be given several times.  [default: all]",
)
@click.option(
    "--sampler",
    "samplers",
    multiple=True,
    type=click.Choice((OURS, INFORMED, *PEERS)),
    help="Sampler to compare; may be given several times. diffusion-earlier is given studies "
    "of HPO-B's other data sets.  [default: all others]",
)
@click.option(
    "--half",
    "halves",
    type=click.Choice(HALVES),
    help="Only the tasks on which settings are chosen, or only the others.",
)
@click.option("--quick", is_flag=True, help="One task of each half, one seed, 20 trials.")
@seeds_option(default=5)
@click.option("--trials", default=100, show_default=True, help="Number of trials of each run.")
@processes_option
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="NASLIB_DIFFUSION_DATA",
    help="Folder with kernel_*.csv.gz, for the families of kernels.",
)
@out_option
def main(
    families: tuple[str, ...],
    samplers: tuple[str, ...],
    halves: str | None,
    quick: bool,
    seeds: int,
    trials: int,
    processes: int,
    data: Path | None,
    out: Path | None,
) -> None:
    """Compare Optuna's samplers with ours on tasks of many fields, by mean ranks.

    Families: tuning of GPU kernels, where settings fail (with and without a known rule), HPO-B's
    pools, continuous functions, pseudo-Boolean problems, and the tasks of `bench optuna`. Half of
    each family is named for development, half is held out. With --out, each run is a row of
    referees_runs.csv, and runs that are there are not repeated.
    """
    limit = None
    if quick:
        limit, seeds, trials = QUICK["tasks"], QUICK["seeds"], QUICK["trials"]
    chosen = available(families or FAMILIES, data)
    if not chosen:
        raise click.UsageError("no family is left")
    tasks = [
        (family, name, half)
        for family in chosen
        for name, half in tasks_of(FAMILIES[family], limit).items()
        if halves in (None, half)
    ]
    jobs = [
        (family, name, sampler, seed)
        for family, name, _ in tasks
        for sampler in _fitting(samplers or (OURS, *PEERS), family, name, data)
        for seed in range(seeds)
    ]
    path = None if out is None else out / "referees_runs.csv"
    known = {} if path is None else read_rows(path, trials)
    missing = [(job, trials, data, path) for job in jobs if job not in known]
    new = run_all(run_and_append, missing, processes, "studies")
    done = {**known, **dict(zip([job for job, *_ in missing], new, strict=True))}
    rows = with_regret([done[job] for job in jobs], data)
    _report(rows, out, seeds, trials)


def _fitting(names: Iterable[str], family: str, task: str, data: Path | None) -> list[str]:
    loaded = FAMILIES[family].load(task, data)
    installed = importlib.util.find_spec("cmaes") is not None
    return [n for n in names if fits(n, loaded) and (n != "cmaes" or installed)]


def _report(rows: Sequence[Row], out: Path | None, seeds: int, trials: int) -> None:
    """Show for each half the ranks in each family and over all."""
    table: list[dict[str, object]] = []
    for half in HALVES:
        own = [row for row in rows if row["where"] == half]
        found = list(dict.fromkeys(row["family"] for row in own))
        parts = [ranking([r for r in own if r["family"] == f], f) for f in found]
        if len(found) > 1:
            parts.append(ranking(own, "all"))
        if parts:
            lines = [line for part in parts for line in part]
            show(f"{half.capitalize()}: after {trials // 2} and {trials} trials, {seeds} seeds",
                 lines)  # fmt: skip
            table += [{"half": half, **line} for line in lines]
    save(out, "referees", table, seeds=seeds, trials=trials)


if __name__ == "__main__":
    main()
