"""The official files of NAS-Bench-201 and NATS-Bench, for users who have them.

The packages `nas-bench-201` and `nats-bench` know what the records mean, but unpickle without
restriction. So the files are read here, without running anything that they may contain, and only
the records are given to the packages.
"""

from __future__ import annotations

import bz2
import importlib
import statistics
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from naslib_diffusion.spaces.nasbench201 import Cell, NASBench201
from naslib_diffusion.tables.pickles import NUMPY_NUMBERS, Admitted, Metered, load_pickle
from naslib_diffusion.tables.streams import ZIP, open_archive
from naslib_diffusion.tables.table import Table, TableError, checked_values

DATASETS = {
    "cifar10": "cifar10-valid",
    "cifar100": "cifar100",
    "imagenet16": "ImageNet16-120",
}
"""What the APIs call the data set whose validation accuracy is the objective."""

COLUMNS = {
    f"{name}_{part}_{epochs}": (epochs, dataset, split)
    for epochs in ("200", "12")
    for name, part, dataset, split in (
        ("cifar10", "val", "cifar10-valid", "x-valid"),
        ("cifar10", "test", "cifar10", "ori-test"),
        ("cifar100", "val", "cifar100", "x-valid"),
        ("cifar100", "test", "cifar100", "x-test"),
        ("imagenet16", "val", "ImageNet16-120", "x-valid"),
        ("imagenet16", "test", "ImageNet16-120", "x-test"),
    )
}
"""Accuracies by the names of columns: epochs, and what the APIs call data set and split."""

EPOCHS = "200"

Records = Iterator[tuple[str, Mapping[str, Any]]]
"""Pairs of a cell's string form and the states of its `ArchResults` by epochs."""

_ADMITTED: Admitted = {**NUMPY_NUMBERS, ("collections", "OrderedDict"): OrderedDict}


def nasbench201_api(dataset: str, file: str | Path) -> Table[Cell]:
    """Mean validation accuracy (%) after 200 epochs, of NAS-Bench-201's own `.pth` file."""
    module = _import("nas_201_api", "nas-bench-201")
    return _table(f"nasbench201-api/{dataset}", module, DATASETS[dataset], file, _torch_records)


def nats_bench(dataset: str, file: str | Path) -> Table[Cell]:
    """Mean validation accuracy (%) after 200 epochs, of NATS-Bench's topology search space.

    Args:
        dataset: a key of `DATASETS`.
        file: `NATS-tss-v1_0-3ffb9.pickle.pbz2`, or the folder `NATS-tss-v1_0-3ffb9-simple`.
    """
    module = _import("nats_bench", "nats-bench")
    records = _folder_records if Path(file).is_dir() else _pickle_records
    return _table(f"nats-bench/{dataset}", module, DATASETS[dataset], file, records)


def measurements(file: str | Path) -> Iterator[tuple[Cell, dict[str, float]]]:
    """Yield each cell with its mean accuracies (%) by `COLUMNS`, those that the file has.

    Args:
        file: NAS-Bench-201's `.pth`, or NATS-Bench's `.pbz2` or folder.

    Raises:
        TableError: if it is no such file, or the package that knows what it means is missing.
    """
    path = Path(file)
    old = path.suffix == ".pth"
    module = (
        _import("nas_201_api", "nas-bench-201") if old else _import("nats_bench", "nats-bench")
    )
    space = NASBench201()
    with _told(path):
        for arch, states in _records_of(path)(path):
            made = {
                epochs: module.ArchResults.create_from_state_dict(state)
                for epochs, state in states.items()
                if epochs in ("12", "200")
            }
            found = {
                name: statistics.fmean(_accuracies(made[epochs], dataset, split))
                for name, (epochs, dataset, split) in COLUMNS.items()
                if epochs in made and dataset in made[epochs].get_dataset_names()
            }
            yield space.parse(arch), found


def _records_of(path: Path) -> Callable[[Path], Records]:
    if path.suffix == ".pth":
        return _torch_records
    return _folder_records if path.is_dir() else _pickle_records


def _accuracies(results: Any, dataset: str, split: str) -> list[float]:
    """Return the accuracy of each training, in percent."""
    seeds = results.get_dataset_seeds(dataset)
    metrics = [results.get_metrics(dataset, split, is_random=seed) for seed in seeds]
    return [float(m["accuracy"]) for m in metrics]


@contextmanager
def _told(file: str | Path) -> Iterator[None]:
    """Turn whatever a wrong file makes the packages raise into one line."""
    try:
        yield
    except OSError as error:
        raise TableError(f"cannot read {file}: {error.strerror or error}") from None
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise TableError(f"{file} is not a file of this benchmark: {reason}") from None


def _import(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise TableError(
            f"this benchmark needs the package {package}: pip install {package}"
        ) from None


def _table(
    name: str, module: Any, dataset: str, file: str | Path, records: Callable[[Path], Records]
) -> Table[Cell]:
    space, archs, repeats = NASBench201(), [], []
    with _told(file):
        for arch, states in records(Path(file)):
            results = module.ArchResults.create_from_state_dict(states[EPOCHS])
            archs.append(space.parse(arch))
            repeats.append(_accuracies(results, dataset, "x-valid"))
    values = checked_values(name, [statistics.fmean(row) for row in repeats])
    return Table(name, space, archs, values, objective="validation accuracy (%)", repeats=repeats)


def _torch_records(path: Path) -> Records:
    """Read NAS-Bench-201's file of `torch.save`, in the format before PyTorch 1.6 or after."""
    with path.open("rb") as raw:
        file: IO[bytes] = raw
        zipped = raw.peek(4)[:4] == ZIP
        if zipped:
            archive = open_archive(raw)
            file = archive.open(next(n for n in archive.namelist() if n.endswith("/data.pkl")))
        metered = Metered(file, path.stat().st_size)
        for _ in range(0 if zipped else 3):  # a mark, the format's version, facts of the machine
            load_pickle(metered)
        data = load_pickle(metered, _ADMITTED)
    for index in sorted(data["evaluated_indexes"]):
        states = data["arch2infos"][index]
        yield data["meta_archs"][index], {"12": states["less"], EPOCHS: states["full"]}


def _pickle_records(path: Path) -> Records:
    """Read NATS-Bench's single file."""
    data = _load_bz2(path)
    for index in sorted(data["evaluated_indexes"]):
        yield data["meta_archs"][index], data["arch2infos"][index]


def _folder_records(folder: Path) -> Records:
    """Read NATS-Bench's folder, one file per architecture, of which some may be missing."""
    for index, arch in enumerate(_load_bz2(folder / "meta.pickle.pbz2")["meta_archs"]):
        path = folder / f"{index:06d}.pickle.pbz2"
        if path.exists():
            yield arch, _load_bz2(path)


def _load_bz2(path: Path) -> Any:
    with bz2.open(path) as file:
        return load_pickle(Metered(file, path.stat().st_size), _ADMITTED)
