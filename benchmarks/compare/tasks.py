"""What is searched: a table, and the table that judges what was chosen."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from naslib_diffusion.benchmarks.harness.common import CELLS, load_task

from naslib_diffusion.spaces import SPACES
from naslib_diffusion.tables import (
    Direction,
    Table,
    TableError,
    column_names,
    load_table,
    with_equality,
)

PAPER = ("cifar10_test_200", "cifar100_test_200")
"""The paper's protocol: test accuracy is what is searched."""
HONEST = ("cifar10_val_200", "cifar100_val_200")
"""Validation accuracy is searched, the test accuracy of the chosen cell is reported."""
WHOLE, BRIEF = "_200", "_12"
"""Ends of columns that hold accuracies after so many epochs."""
BRIEF_COST = 12 / 200
"""Of a short training, in whole ones."""
EMBEDDED = ("nasbench201/cifar10", "nasbench201/cifar100", "nasbench201/imagenet16")
"""Validation accuracy, where nothing is to be downloaded."""


@dataclass(frozen=True)
class Task:
    """A table to search.

    Attributes:
        name: of a benchmark, or of a column.
        file: of the column; None for a benchmark, or for a column of `data`.
        data: folder of nasbench201.csv.gz.
        space: of `file`.
        direction: of `file`.
        report: column that judges the chosen architecture; for columns of `data` that hold
            `_val_` it is that with `_test_` in its place, unless told.
    """

    name: str
    file: Path | None = None
    data: Path | None = None
    space: str = "nasbench201"
    direction: Direction = "maximize"
    report: str | None = None

    @property
    def searched(self) -> Table[Any]:
        """The table that is searched."""
        if self.file is None:
            table: Table[Any] = load_task(self.name, self.data)
            return table
        return _column(self.file, self.space, self.name, self.direction)

    @property
    def reported(self) -> Table[Any] | None:
        """The table that judges; None if that is the one that is searched."""
        if self.report is not None and self.file is not None:
            return _column(self.file, self.space, self.report, self.direction)
        other = self.name.replace("_val_", "_test_")
        if self.file is not None or "/" in self.name or other == self.name:
            return None
        known = self.data is not None and other in _names(self.data / CELLS)
        return load_task(other, self.data) if known else None

    @property
    def brief(self) -> Table[Any] | None:
        """The table of values after short trainings; None if there is none."""
        other = self.name.removesuffix(WHOLE) + BRIEF
        if self.file is not None or not self.name.endswith(WHOLE) or self.data is None:
            return None
        return load_task(other, self.data) if other in _names(self.data / CELLS) else None


@functools.cache
def _names(path: Path) -> tuple[str, ...]:
    return tuple(column_names(path))


@functools.cache
def _column(path: Path, space: str, name: str, direction: Direction) -> Table[Any]:
    if space not in SPACES:
        raise click.UsageError(f"unknown space {space!r}; known: {', '.join(SPACES)}")
    try:
        return with_equality(load_table(path, SPACES[space](), name, direction))
    except TableError as error:
        raise click.UsageError(str(error)) from None


def signed(table: Table[Any], values: Any) -> Any:
    """Return values that are to be maximised, or turn them back."""
    return np.asarray(values, dtype=float) * (1.0 if table.direction == "maximize" else -1.0)
