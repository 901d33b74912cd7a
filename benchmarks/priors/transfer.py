"""What a prior from other tasks is worth (paper, Tables 1 and 2; NAS-Bench-Graph left one out)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from naslib_diffusion.benchmarks.harness.common import (
    CELLS,
    ORACLE_ROWS,
    TEST_COLUMNS,
    budget_option,
    data_option,
    load_task,
    need_files,
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
from naslib_diffusion.benchmarks.priors.meta_prior import CELL_SOURCES, train_cells, train_graphs
from torch import Tensor

from naslib_diffusion import GuidedGenerator, Search
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.nasbench201 import Cell
from naslib_diffusion.tables.nasbenchgraph import GRAPHS
from naslib_diffusion.transfer.meta import MetaSurrogate

PAPER_1 = {"cifar10_test_200": (93.13, 86.44), "cifar100_test_200": (70.34, 58.09)}
"""Mean and minimum of 1,000 guided cells in the paper."""

PAPER_2 = {"cifar10_test_200": 5, "cifar100_test_200": 5}
UNGUIDED = 10_000
CLOSE = 0.5
"""Gap to the best of a graph table that counts as found, in %."""
EARLY = (5, 10, 20)
"""Evaluations after which the mean gap is told, in %."""
DEVELOPED = ("cora", "cs", "photo", "arxiv")
"""Graph data sets that settings are chosen on, one of each family; the others only judge."""

PARTS = ("table1", "table2", "graphs")
PRIORS = ("both", "scene", "subsets")


@functools.lru_cache(maxsize=4)
def cell_prior(data: Path, seed: int, sources: str = "both") -> MetaSurrogate:
    network: MetaSurrogate = train_cells(data, seed, sources)
    return network


@functools.lru_cache(maxsize=4)
def graph_prior(seed: int, left_out: str) -> MetaSurrogate:
    network: MetaSurrogate = train_graphs(seed, left_out)
    return network


def generated_values(task: str, data: Path, seed: int) -> dict[str, list[float]]:
    """Return the values of the 1,000 cells that each method comes up with."""
    table, space, prior = load_task(task, data), NASBench201(), cell_prior(data, seed)
    random = torch.Generator().manual_seed(seed)

    def best(cells: Sequence[Cell]) -> list[Cell]:
        with torch.no_grad():
            order = prior(space.encode(cells)).argsort(descending=True, stable=True)
        return [cells[i] for i in order[:ORACLE_ROWS].tolist()]

    def guide(x: Tensor) -> Tensor:
        out: Tensor = prior(x)
        return out

    def guided(oversample: float) -> list[Cell]:
        generator = GuidedGenerator(space, seed=seed)
        return generator.generate(ORACLE_ROWS, guide, unique="exact", oversample=oversample)

    every = list(table.archs)
    cells = {
        "oracle top 1,000": sorted(every, key=table.__getitem__, reverse=True)[:ORACLE_ROWS],
        "random": space.sample(ORACLE_ROWS, random),
        "unguided 10,000 + sorting": best(list(dict.fromkeys(space.sample(UNGUIDED, random)))),
        "all 15,625 + sorting (bound)": best(every),
        "guided, no selection": guided(1.0),
        "guided, best of 2x": guided(2.0),
    }
    return {name: [table[cell] for cell in found] for name, found in cells.items()}


def evaluations_to_best(task: str, data: Path, sources: str, seed: int, budget: int) -> int:
    """Count evaluations up to the table's best value; `budget + 1` if it is missed."""
    table = load_task(task, data)
    search = Search(table.space, prior=cell_prior(data, seed, sources), seed=seed)
    best = best_so_far(search, table.__getitem__, budget, table.optimum)
    count: int = evaluations_until(best, table.optimum, budget)
    return count


def graph_gaps(graph: str, informed: bool, seed: int, budget: int) -> list[float]:
    """Return the gap of the best so far to the best of a graph table after each evaluation, in %.

    The list ends once the gap is within `CLOSE`.
    """
    table = load_task(f"nasbenchgraph/{graph}", None)
    prior = (graph_prior(seed, graph),) if informed else ()
    search = Search(table.space, prior=prior, seed=seed)
    best = best_so_far(search, table.__getitem__, budget, (1 - CLOSE / 100) * table.optimum)
    return [100 * (1 - value / table.optimum) for value in best]


def table1_rows(data: Path, seeds: int, processes: int) -> list[dict[str, object]]:
    jobs = [(task, data, seed) for seed in range(seeds) for task in TEST_COLUMNS]
    results = run_all(generated_values, jobs, processes, "generations")
    rows: list[dict[str, object]] = []
    for task in TEST_COLUMNS:
        mine = [r for job, r in zip(jobs, results, strict=True) if job[0] == task]
        for method in mine[0]:
            values = torch.tensor([r[method] for r in mine], dtype=torch.double)
            means = values.mean(1)
            spread = float(means.std()) if seeds > 1 else 0.0
            rows.append(_row_1(task, method, float(values.amax(1).mean()), float(means.mean()),
                               spread, float(values.amin(1).mean()),
                               float(values.min())))  # fmt: skip
        mean, least = PAPER_1[task]
        rows.append(_row_1(task, "paper", "", mean, "", least, ""))
    return rows


def _row_1(task: str, method: str, *figures: object) -> dict[str, object]:
    names = ("max", "mean", "sd of mean", "min", "least min")
    return {"task": task, "method": method, **dict(zip(names, figures, strict=True))}


def table2_rows(
    data: Path, priors: Sequence[str], seeds: int, budget: int, processes: int
) -> list[dict[str, object]]:
    jobs = [
        (task, data, sources, seed, budget)
        for sources in priors
        for seed in range(seeds)
        for task in TEST_COLUMNS
    ]
    counts = run_all(evaluations_to_best, jobs, processes, "searches")
    rows = []
    for task in TEST_COLUMNS:
        for sources in priors:
            found = [
                count
                for job, count in zip(jobs, counts, strict=True)
                if (job[0], job[2]) == (task, sources)
            ]
            rows.append({"task": task, "prior": sources, **_spread(found, budget),
                         "paper": PAPER_2[task]})  # fmt: skip
    return rows


def graph_rows(
    graphs: Sequence[str], seeds: int, budget: int, processes: int
) -> list[dict[str, object]]:
    jobs = [
        (graph, informed, seed, budget)
        for graph in graphs
        for seed in range(seeds)
        for informed in (True, False)
    ]
    found = run_all(graph_gaps, jobs, processes, "graph searches")
    rows = []
    for graph in graphs:
        gaps: dict[bool, list[list[float]]] = {True: [], False: []}
        for (name, informed, *_), run in zip(jobs, found, strict=True):
            if name == graph:
                gaps[informed].append(run)
        counts = {
            informed: [len(g) if g[-1] <= CLOSE else budget + 1 for g in runs]
            for informed, runs in gaps.items()
        }
        ratio = float(np.mean(counts[True]) / np.mean(counts[False]))
        for informed, runs in gaps.items():
            early = {
                f"gap after {n}": float(np.mean([g[:n][-1] for g in runs]))
                for n in EARLY if n <= budget
            }  # fmt: skip
            rows.append({"data set": graph, "prior": "eight others" if informed else "none",
                         **_spread(counts[informed], budget),
                         "ratio of means": ratio if informed else "", **early})  # fmt: skip
    return rows


def _spread(found: Sequence[int], budget: int) -> dict[str, object]:
    low, median, high = np.quantile(found, [0.25, 0.5, 0.75])
    return {
        "median": float(median),
        "quartiles": f"{low:.0f}-{high:.0f}",
        "mean": float(np.mean(found)),
        "worst": max(found),
        "missed": sum(count > budget for count in found),
    }


@click.command()
@data_option
@out_option
@several("--part", PARTS, "What to measure")
@several("--prior", PRIORS, "Prior to compare in table2")
@several("--graph", GRAPHS, "Data set of NAS-Bench-Graph to search for")
@seeds_option(default=10)
@budget_option(default=100)
@processes_option
def main(
    data: Path | None,
    out: Path | None,
    parts: tuple[str, ...],
    priors: tuple[str, ...],
    graphs: tuple[str, ...],
    seeds: int,
    budget: int,
    processes: int,
) -> None:
    """Generate and search with meta-surrogates that are trained anew for each seed."""
    parts = parts or PARTS
    if set(parts) & {"table1", "table2"}:
        data = need_files(data, CELLS, *CELL_SOURCES)
    if "graphs" in parts:
        need_tables([f"nasbenchgraph/{graph}" for graph in GRAPHS], None)
    if "table2" in parts and data is not None:
        rows = table2_rows(data, priors or PRIORS, seeds, budget, processes)
        show(f"Evaluations until the best cell of the table, {seeds} seeds", rows)
        save(out, "transfer_table2", rows, seeds=seeds, budget=budget)
    if "table1" in parts and data is not None:
        rows = table1_rows(data, seeds, processes)
        show(f"1,000 cells each, guided by the meta-surrogate, {seeds} seeds", rows)
        save(out, "transfer_table1", rows, seeds=seeds)
    if "graphs" in parts:
        rows = graph_rows(graphs or GRAPHS, seeds, budget, processes)
        show(f"Evaluations to within {CLOSE:g} % of the best, {seeds} seeds", rows)
        save(out, "transfer_graphs", rows, seeds=seeds, budget=budget)


if __name__ == "__main__":
    main()
