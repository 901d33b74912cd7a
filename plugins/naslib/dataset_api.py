"""NASLib's `dataset_api` from a table's file, looked up when queried; test values kept apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naslib_diffusion.plugins.naslib.optimizer import UNKNOWN
from naslib_diffusion.plugins.naslib.settings import ConfigError
from naslib_diffusion.plugins.naslib.spaces import TransNASBench101Cells

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.nasbench201 import Cell
from naslib_diffusion.tables import Table, TableError, column_names, load_table

TEST_DATA = "nb201_test_data"
"""Key of the test accuracies beside NASLib's own "nb201_data"; see `split`."""

_NASLIB_DATASETS = ("cifar10-valid", "cifar100", "ImageNet16-120", "ninapro")


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table: accuracies in percent, training time in seconds."""

    validation: str | None
    test: str | None = None
    train_time: str | None = None


class Measurements:
    """Columns of a table by what NASLib calls them, each read when it is first asked for."""

    def __init__(self, path: Path, space: NASBench201, columns: Columns) -> None:
        self.path, self.space, self.columns = path, space, columns
        self._tables: dict[str, Table[Cell]] = {}

    def validation(self, cell: Cell) -> float:
        """Return the validation accuracy."""
        return self._look_up(self.columns.validation, cell)

    def test(self, cell: Cell) -> float:
        """Return the test accuracy; -1 if the table has none."""
        return self._look_up(self.columns.test, cell)

    def train_time(self, cell: Cell) -> float:
        """Return the training time in seconds; -1 if the table has none."""
        return self._look_up(self.columns.train_time, cell)

    def _look_up(self, column: str | None, cell: Cell) -> float:
        if column is None:
            return float(UNKNOWN)
        if column not in self._tables:
            try:
                self._tables[column] = load_table(self.path, self.space, column, missing="skip")
            except TableError as error:
                raise ConfigError(str(error)) from None
        try:
            return self._tables[column][cell]
        except KeyError:
            raise ConfigError(f"{self.path} has no row for the architecture {cell}") from None


class _Entries(Mapping[str, Any]):
    """What NASLib reads of NAS-Bench-201: `[arch string][data set]` to accuracies and costs."""

    def __init__(self, measured: Measurements, *, test: bool) -> None:
        self._measured = measured
        self._accuracy = measured.test if test else measured.validation

    def __getitem__(self, text: str) -> dict[str, Any]:
        cell = self._measured.space.parse(text)
        entry = {
            "train_acc1es": [UNKNOWN],
            "eval_acc1es": [self._accuracy(cell)],
            "cost_info": {"train_time": self._measured.train_time(cell)},
        }
        return dict.fromkeys(_NASLIB_DATASETS, entry)  # a table is of one data set

    def __iter__(self) -> Iterator[str]:
        return map(str, self._measured.space)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Tasks:
    """What NASLib asks of TransNAS-Bench-101's own interface."""

    def __init__(self, measured: Measurements, task: str) -> None:
        self._measured, self._task = measured, task

    def get_single_metric(self, arch: str, task: str, metric: str, mode: str = "final") -> float:
        """Return a metric by its name there, such as "valid_top1"; -1 if it is not known."""
        cell = self._measured.space.parse(arch)
        kind, _, what = metric.partition("_")
        if metric == "time_elapsed":
            return self._measured.train_time(cell)
        if kind == "train" or what in ("loss", "l1_loss"):
            return float(UNKNOWN)
        return self._measured.test(cell) if kind == "test" else self._measured.validation(cell)

    def get_arch_result(self, arch: str) -> _Result:
        """Return all that is known of an architecture."""
        cell = self._measured.space.parse(arch)
        return _Result(self._task, self._measured.validation(cell), self._measured.test(cell))


@dataclass(frozen=True)
class _Result:
    """All that is known of an architecture on one task."""

    task: str
    valid: float
    test: float

    def query_all_results(self) -> dict[str, dict[str, float]]:
        """Return the numbers by task."""
        return {self.task: {"valid": self.valid, "test": self.test}}


def table_api(
    path: str | Path,
    search_space: str,
    dataset: str,
    *,
    validation: str | None = None,
    test: str | None = None,
    train_time: str | None = None,
) -> dict[str, Any]:
    """Return a `dataset_api` that looks up what is queried in a table's file.

    Args:
        path: the table, with a column of architectures; see docs/naslib.md.
        search_space: "nasbench201" or "transbench101_micro".
        dataset: of the config: what the columns are guessed from, or the task of TransNAS-Bench.
        validation: column of the accuracies that are optimised; guessed unless told, as
            "cifar10_val_200" for "cifar10".
        test: column of the accuracies that are only reported; guessed likewise.
        train_time: column of the training seconds; guessed likewise.

    Raises:
        ConfigError: if the table or a column is missing, or the search space has no tables.
    """
    path = Path(path)
    try:
        names = column_names(path)
    except TableError as error:
        raise ConfigError(str(error)) from None
    kind = dataset.lower().removesuffix("-120").replace("-", "")
    guesses = {part: (f"{kind}_{part}_200", f"{kind}_{part}") for part in ("val", "test")}
    columns = Columns(
        _column(path, names, validation, (*guesses["val"], dataset), "--validation"),
        _column(path, names, test, guesses["test"]),
        _column(path, names, train_time, (f"{kind}_train_seconds_200",)),
    )
    if search_space == "nasbench201":
        measured = Measurements(path, NASBench201(), columns)
        return {
            "nb201_data": _Entries(measured, test=False),
            TEST_DATA: _Entries(measured, test=True),
        }
    if search_space == "transbench101_micro":
        return {
            "api": _Tasks(Measurements(path, TransNASBench101Cells(), columns), dataset),
            "task": dataset,
        }
    raise ConfigError(
        f"--table works for the search spaces nasbench201 and transbench101_micro, "
        f"not for {search_space!r}"
    )


def _column(
    path: Path,
    names: list[str],
    wanted: str | None,
    guesses: tuple[str, ...],
    option: str | None = None,
) -> str | None:
    """Return the wanted column or the first guess there is; None if there is none.

    Raises:
        ConfigError: if the wanted column is missing, or there is none and `option` demands it.
    """
    if wanted is None:
        found = next((guess for guess in guesses if guess in names), None)
        if found is not None or option is None:
            return found
        problem = f"{path} has no column {' or '.join(guesses)}; name one with {option}"
    elif wanted in names:
        return wanted
    else:
        problem = f"{wanted!r} is not a column of {path}"
    others = ", ".join(name for name in names if name)
    raise ConfigError(f"{problem}; it has: {others}")
