"""The official APIs of NAS-Bench-201 and NATS-Bench, for users who have their data files.

NAS-Bench-201's file is read without running anything that it may contain. NATS-Bench's are pickles
that the package `nats-bench` loads by itself, without restriction: use the authors' files only.
"""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from naslib_diffusion.spaces.nasbench201 import Cell, NASBench201
from naslib_diffusion.tables.table import Table, TableError, checked_values

DATASETS = {
    "cifar10": "cifar10-valid",
    "cifar100": "cifar100",
    "imagenet16": "ImageNet16-120",
}
"""What the APIs call the data set whose validation accuracy is the objective."""

EPOCHS = "200"


def nasbench201_api(dataset: str, file: str | Path) -> Table[Cell]:
    """Mean validation accuracy (%) after 200 epochs, by `NASBench201API` and its `.pth` file."""
    api = _create(
        "nas_201_api",
        "nas-bench-201",
        file,
        lambda m, f: m.NASBench201API(_load(f), verbose=False),
    )
    return _table(f"nasbench201-api/{dataset}", api, DATASETS[dataset])


def nats_bench(dataset: str, file: str | Path) -> Table[Cell]:
    """Mean validation accuracy (%) after 200 epochs, by NATS-Bench's topology search space.

    Args:
        dataset: a key of `DATASETS`.
        file: `NATS-tss-v1_0-3ffb9.pickle.pbz2`, or the folder `NATS-tss-v1_0-3ffb9-simple`.
    """
    api = _create(
        "nats_bench",
        "nats-bench",
        file,
        lambda m, f: m.create(f, "tss", fast_mode=Path(f).is_dir(), verbose=False),
    )
    return _table(f"nats-bench/{dataset}", api, DATASETS[dataset])


class _Borrowed(dict[str, Any]):
    """A dictionary that spares `NASBench201API` its deep copy of some gigabytes."""

    def __deepcopy__(self, memo: object) -> _Borrowed:
        return self


def _load(file: str) -> _Borrowed:
    """Read a file of `torch.save` that holds nothing but containers, tensors and numbers."""
    scalar = np.float64(0).__reduce__()[0]
    admitted: list[Any] = [np.dtype, type(np.dtype(np.float64)), type(np.dtype(np.int64))]
    # NumPy moved the constructor of its scalars; files name the old place or the new one
    admitted += [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    with torch.serialization.safe_globals(admitted):
        return _Borrowed(torch.load(file, map_location="cpu", weights_only=True))


def _create(module: str, package: str, file: str | Path, create: Callable[[Any, str], Any]) -> Any:
    """Import the API's module and open the user's file with it."""
    try:
        imported = importlib.import_module(module)
    except ImportError:
        raise TableError(
            f"this benchmark needs the package {package}: pip install {package}"
        ) from None
    if not Path(file).exists():
        raise TableError(f"the file of the API does not exist: {file}")
    try:
        return create(imported, str(file))
    except Exception as error:  # what the packages raise on a bad file is not documented
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise TableError(f"{package} cannot read {file}: {reason}") from None


def _table(name: str, api: Any, dataset: str) -> Table[Cell]:
    space = NASBench201()
    archs, repeats = [], []
    for index in _indices(api):
        archs.append(space.parse(api.meta_archs[index]))
        seeds = api.query_meta_info_by_index(index, EPOCHS).get_dataset_seeds(dataset)
        repeats.append(
            [
                api.get_more_info(index, dataset, hp=EPOCHS, is_random=seed)["valid-accuracy"]
                for seed in seeds
            ]
        )
    values = checked_values(name, [statistics.fmean(row) for row in repeats])
    return Table(name, space, archs, values, objective="validation accuracy (%)", repeats=repeats)


def _indices(api: Any) -> Iterator[int]:
    """Yield the architectures that the file holds.

    A file lists them; a NATS-Bench folder loads each on demand, and may hold only some.
    """
    archive = getattr(api, "archive_dir", None)
    if archive is None:
        yield from sorted(api.evaluated_indexes)
        return
    held = {file.name.split(".", 1)[0] for file in Path(archive).iterdir()}
    for index in range(len(api.meta_archs)):
        if f"{index:06d}" in held or str(index) in held:
            yield index
