"""NAS-Bench-Graph: graph neural networks on nine graphs, from the package `nas-bench-graph`."""

from __future__ import annotations

from typing import Any

from naslib_diffusion.spaces.nasbenchgraph import WIRINGS, GraphNet, NASBenchGraph
from naslib_diffusion.tables.nasbench201 import package_folder
from naslib_diffusion.tables.pickles import NUMPY_NUMBERS, read_pickle
from naslib_diffusion.tables.table import Table, checked_values

GRAPHS = (
    "cora",
    "citeseer",
    "pubmed",
    "cs",
    "physics",
    "photo",
    "computers",
    "arxiv",
    "proteins",
)
"""Data sets: all 26,206 architectures on each, but on `proteins` the 2,021 of five operations."""

OBJECTIVE = "valid_perf"


def nasbenchgraph(dataset: str) -> Table[GraphNet]:
    """Validation performance, from 0 to 1, on one of `GRAPHS`: accuracy, or ROC-AUC on proteins.

    The keys of the file are numbers whose decimal digits are the index of the wiring and those of
    the four operations.
    """
    folder = package_folder("nas_bench_graph", "nas-bench-graph", "[bench]")
    path = folder / "light" / f"{dataset}.bench"
    data: dict[int, dict[str, Any]] = read_pickle(path, NUMPY_NUMBERS)
    name = f"nasbenchgraph/{dataset}"
    return Table(
        name,
        NASBenchGraph(),
        [_arch(key) for key in data],
        checked_values(name, [row[OBJECTIVE] for row in data.values()]),
        objective=OBJECTIVE,
    )


def _arch(key: int) -> GraphNet:
    wiring, *operations = map(int, f"{key:05d}")
    return GraphNet(WIRINGS[wiring], tuple(operations))
