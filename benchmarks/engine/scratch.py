"""Search from scratch: evaluations until the best cell of a table (paper, Section 3.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from naslib_diffusion.benchmarks.harness.common import (
    TEST_COLUMNS,
    VALIDATION_TASKS,
    budget_option,
    data_option,
    load_task,
    need_tables,
    out_option,
    processes_option,
    run_all,
    save,
    seeds_option,
    several,
    show,
)
from naslib_diffusion.benchmarks.harness.searching import best_so_far, evaluations_until

from naslib_diffusion.search import Search
from naslib_diffusion.tables import Table

METHODS = ("guided", "enumerate", "mutation", "random", "ensemble", "optuna-tpe", "optuna-gp")


def evaluations_to_best(task: str, data: Path | None, method: str, seed: int, budget: int) -> int:
    """Count evaluations up to the table's best value; `budget + 1` if it is missed."""
    table = load_task(task, data)
    if method.startswith("optuna-"):
        return _optuna(table, method, seed, budget)
    surrogate, strategy = ("ensemble", "guided") if method == "ensemble" else ("gp", method)
    search = Search(table.space, surrogate, strategy, seed=seed)
    sign = 1.0 if table.direction == "maximize" else -1.0
    enough = sign * table.optimum
    best = best_so_far(search, lambda arch: sign * table[arch], budget, enough)
    count: int = evaluations_until(best, enough, budget)
    return count


def _optuna(table: Table[Any], method: str, seed: int, budget: int) -> int:
    """Let a sampler of Optuna choose the six operations; 10 random trials, as for the others."""
    import optuna

    from naslib_diffusion.spaces.nasbench201 import OPERATIONS, Cell

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = {"optuna-tpe": optuna.samplers.TPESampler, "optuna-gp": optuna.samplers.GPSampler}
    study = optuna.create_study(
        direction=table.direction, sampler=samplers[method](seed=seed, n_startup_trials=10)
    )

    def objective(trial: optuna.Trial) -> float:
        names = [trial.suggest_categorical(f"op{i}", OPERATIONS) for i in range(6)]
        value = table[Cell(tuple(OPERATIONS.index(name) for name in names))]
        if table.gap(value) <= 0:
            trial.study.stop()
        return value

    study.optimize(objective, n_trials=budget)
    return len(study.trials) if table.gap(study.best_value) <= 0 else budget + 1


@click.command()
@data_option
@out_option
@click.option(
    "--task",
    "tasks",
    multiple=True,
    help="Benchmark, or test column of --data; may be given several times.  [default: all]",
)
@several("--method", METHODS, "Method to compare", "guided, mutation and random")
@seeds_option(default=20)
@budget_option(default=150)
@processes_option
def main(
    data: Path | None,
    out: Path | None,
    tasks: tuple[str, ...],
    methods: tuple[str, ...],
    seeds: int,
    budget: int,
    processes: int,
) -> None:
    """Count the evaluations until a search finds the best cell of a table.

    Each search starts with 10 random cells, and then evaluates one cell at a time.
    """
    tasks = tasks or (*(TEST_COLUMNS if data else ()), *VALIDATION_TASKS)
    methods = methods or ("guided", "mutation", "random")
    need_tables(tasks, data)
    jobs = [
        (task, data, method, seed, budget)
        for task in tasks
        for method in methods
        for seed in range(seeds)
    ]
    counts = run_all(evaluations_to_best, jobs, processes, "searches")
    runs = [
        {"task": task, "method": method, "seed": seed, "evaluations": count}
        for (task, _, method, seed, _), count in zip(jobs, counts, strict=True)
    ]
    rows = []
    for task in tasks:
        for method in methods:
            found = [
                run["evaluations"]
                for run in runs
                if (run["task"], run["method"]) == (task, method)
            ]
            low, median, high = np.quantile(found, [0.25, 0.5, 0.75])
            rows.append(
                {
                    "task": task,
                    "method": method,
                    "median": float(median),
                    "quartiles": f"{low:.0f}-{high:.0f}",
                    "mean": float(np.mean(found)),
                    "worst": max(found),
                    "missed": sum(count > budget for count in found),
                }
            )
    show(
        f"Evaluations until the best cell of the table, {seeds} seeds",
        rows,
        [f"A run that missed the best cell counts as {budget + 1}."],
    )
    save(out, "scratch_runs", runs, seeds=seeds, budget=budget)
    save(out, "scratch", rows, seeds=seeds, budget=budget)


if __name__ == "__main__":
    main()
