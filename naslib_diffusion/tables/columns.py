"""Users' own tables: files with a column of architectures and numeric columns."""

from __future__ import annotations

import json
import math
import re
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from naslib_diffusion.spaces.base import A, Space
from naslib_diffusion.tables.rows import Rows, open_rows
from naslib_diffusion.tables.table import Direction, Table, TableError

Missing = Literal["fail", "skip"]
"""What becomes of rows without a finite value: failed trainings, or nothing."""

MAX_ARCHS = 2**20
"""Most different architectures of a table, to bound memory."""

LARGEST = 1e300
"""Largest size of a value, so that sums stay finite; below its inverse one counts as 0."""

_ARCH_NAMES = (
    "arch",
    "archstr",
    "archstring",
    "architecture",
    "architecturestr",
    "architecturestring",
    "archindex",
    "archidx",
    "architectureindex",
)
"""Usual names of the column of architectures, the likelier first, in small letters and digits."""
_MISSING = {
    *("", "nan", "na", "n/a", "n.a.", "<na>", "#na", "#n/a", "none", "null", "missing"),
    *("inf", "+inf", "-inf", "infinity", "?", "-", "--", "\u2013", "\u2014"),
}
"""How people and programs write that there is no value, in small letters; the last are dashes."""
_NUMBER = re.compile(r"([+-]?(?:[0-9]+(?:([.,])[0-9]*)?|([.,])[0-9]+)(?:e[+-]?[0-9]+)?)\s*(%?)")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:[., '\u00a0\u202f][0-9]{3})+(?:[.,][0-9]*)?")


def load_table(
    path: str | Path,
    space: Space[A],
    objective: str | None = None,
    direction: Direction = "maximize",
    *,
    arch_column: str | None = None,
    missing: Missing = "fail",
) -> Table[A]:
    """Read a table from a file: CSV, JSON lines, JSON records or Parquet; see `open_rows`.

    Rows of one architecture are repeated measurements: their mean is its value.

    Args:
        path: the file.
        space: reads architectures, in any form that its `parse` knows.
        objective: the column of values; may be left out if there is only one.
        direction: whether larger or smaller values are better.
        arch_column: the column of architectures; usual names are known.
        missing: what becomes of an architecture without any finite value.

    Raises:
        TableError: if the file is missing, is no such table, or has a bad row; says which.
    """
    path = Path(path)
    index: dict[A, int] = {}
    rows, values = array("l"), array("d")
    with open_rows(path) as file:
        architecture = _Architectures(path, file, space, arch_column)
        objective = _objective(path, file.names, architecture.names, objective)
        number = _Numbers(objective, file.decimal_comma)
        column = file.names.index(objective)
        for where, row in file.rows:
            try:
                arch = architecture(row)
                values.append(number(row[column]))
            except ValueError as error:
                raise TableError(f"{path}, {file.unit} {where}: {_short(error)}") from None
            rows.append(index.setdefault(arch, len(index)))
            if len(index) > MAX_ARCHS:
                raise TableError(f"{path} has more than {MAX_ARCHS:,} different architectures")
    if not index:
        raise TableError(f"{path} is empty: it has no rows")
    return _table(path.name, space, list(index), rows, values, objective, direction, missing)


def load_archs(path: str | Path, space: Space[A], arch_column: str | None = None) -> list[A]:
    """Read the architectures of a table's file, with repeats.

    Raises:
        TableError: if the file is missing, has no such column, or has a bad row; says which.
    """
    path, archs = Path(path), list[A]()
    with open_rows(path) as file:
        architecture = _Architectures(path, file, space, arch_column)
        for where, row in file.rows:
            try:
                archs.append(architecture(row))
            except ValueError as error:
                raise TableError(f"{path}, {file.unit} {where}: {_short(error)}") from None
    if not archs:
        raise TableError(f"{path} is empty: it has no rows")
    return archs


def column_names(path: str | Path) -> list[str]:
    """Return the names of the columns of a table's file.

    Raises:
        TableError: if it cannot be read.
    """
    with open_rows(Path(path)) as file:
        return list(file.names)


def _table(
    name: str,
    space: Space[A],
    archs: list[A],
    rows: array[int],
    values: array[float],
    objective: str,
    direction: Direction,
    missing: Missing,
) -> Table[A]:
    """Make a table of measurements `values`, of which `rows` say the architecture."""
    which, measured = np.asarray(rows), np.asarray(values)
    which, measured = which[finite := np.isfinite(measured)], measured[finite]
    counts = np.bincount(which, minlength=len(archs))
    with np.errstate(invalid="ignore"):
        means = np.bincount(which, measured, len(archs)) / counts  # NaN where all have failed
    order, repeats = which.argsort(kind="stable"), None
    if counts.max(initial=0) > 1:
        repeats = [part.tolist() for part in np.split(measured[order], counts.cumsum()[:-1])]
    kept = np.flatnonzero(counts) if missing == "skip" else np.arange(len(archs))
    if not counts.any():
        raise TableError(f"{name} has no finite value of {objective}")
    return Table(
        name,
        space,
        [archs[i] for i in kept],
        means[kept].tolist(),
        objective=objective,
        direction=direction,
        repeats=None if repeats is None else [repeats[i] for i in kept],
    )


class _Architectures:
    """Reads the architecture of a row, from one column, or several that a space knows."""

    def __init__(self, path: Path, file: Rows, space: Space[A], column: str | None) -> None:
        self._parse: Callable[[str], Any] = space.parse
        self.names = _arch_columns(path, file.names, space, column)
        self._columns = [file.names.index(name) for name in self.names]

    def __call__(self, row: Sequence[Any]) -> Any:
        """Return the architecture; raises ValueError that says what is wrong with it."""
        fields = [row[column] for column in self._columns]
        field = fields[0] if len(fields) == 1 else dict(zip(self.names, fields, strict=True))
        return self._parse(field if isinstance(field, str) else json.dumps(field, default=str))


def _arch_columns(
    path: Path, names: Sequence[str], space: Space[Any], column: str | None
) -> Sequence[str]:
    """Return the names of the columns that hold the architecture."""
    if column is None:
        plain = {re.sub("[^a-z0-9]", "", name.casefold()): name for name in reversed(names)}
        column = next((plain[name] for name in _ARCH_NAMES if name in plain), None)
    if column is None:
        sets: Sequence[Sequence[str]] = getattr(space, "columns", ())
        for several in sets:
            if set(several) <= set(names):
                return several
    if column is None or column not in names:
        raise TableError(
            f"{path} has no column {column or 'arch'!r}; it has: {_listed(names)}; "
            "--arch-column names the one of architectures"
        )
    return [_unique(path, names, column)]


def _objective(
    path: Path, names: Sequence[str], architecture: Sequence[str], objective: str | None
) -> str:
    """Return the name of the column of values."""
    others = [name for name in names if name and name not in architecture]
    if not others:
        raise TableError(f"{path} has no column of values beside {_listed(architecture)!r}")
    if objective is None:
        if len(others) > 1:
            raise TableError(f"choose an objective among the columns of {path}: {_listed(others)}")
        objective = others[0]
    if objective not in others:
        raise TableError(
            f"objective {objective!r} is not a column of {path}; it has: {_listed(others)}"
        )
    return _unique(path, names, objective)


def _unique(path: Path, names: Sequence[str], name: str) -> str:
    if names.count(name) > 1:
        raise TableError(f"{path} has {names.count(name)} columns called {name!r}")
    return name


class _Numbers:
    """Reads the numbers of a column, which are all written in the same way."""

    def __init__(self, name: str, decimal_comma: bool) -> None:
        self._name, self._decimal_comma = name, decimal_comma
        self._mark: str | None = None
        self._percent: str | None = None

    def __call__(self, field: Any) -> float:
        """Return a number, or NaN where there is none or it is not finite.

        Raises:
            ValueError: if it is something else, or beyond `LARGEST`.
        """
        if field is None:
            return math.nan
        try:
            value = self._read(field.strip()) if isinstance(field, str) else float(field)
        except (TypeError, OverflowError):
            raise ValueError(f"{self._name} is {field!r}, which is not a number") from None
        if math.isinf(value):
            return math.nan
        if abs(value) > LARGEST:
            raise ValueError(f"{self._name} is {field}; it must be at most {LARGEST:g} in size")
        return value if not abs(value) < 1 / LARGEST else 0.0

    def _read(self, text: str) -> float:
        if text.casefold() in _MISSING:
            return math.nan
        match = _NUMBER.fullmatch(text.casefold())
        if match is None:
            hint = "; write thousands without a mark" if _GROUPED.fullmatch(text) else ""
            raise ValueError(f"{self._name} is {text!r}, which is not a number{hint}")
        number, percent = match[1], match[4]
        mark = match[2] or match[3]
        if mark == "," and not self._decimal_comma:
            raise ValueError(f"{self._name} is {text!r}; a decimal comma needs ; between columns")
        if mark and mark != (self._mark or mark):
            raise ValueError(f"{self._name} is {text!r}, where others have a {self._mark!r}")
        if percent != (percent if self._percent is None else self._percent):
            raise ValueError(f"{self._name} is {text!r}; all of it in percent, or nothing")
        self._mark, self._percent = self._mark or mark, percent
        return float(number.replace(",", "."))


def _short(error: object, limit: int = 300) -> str:
    """Return a message without the middle of what is too long for a line."""
    text = str(error)
    return text if len(text) <= limit else f"{text[: limit // 2]} ... {text[-limit // 2 :]}"


def _listed(names: Sequence[str], limit: int = 40) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > limit else ""
    return ", ".join(_short(repr(name)[1:-1], 80) for name in names[:limit]) + more
