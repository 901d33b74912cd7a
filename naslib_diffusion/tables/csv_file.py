"""Users' own tables: CSV files with a column `arch` and numeric columns."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from naslib_diffusion.spaces.base import A, Space
from naslib_diffusion.tables.table import Direction, Table, TableError

_GZIP_MAGIC = b"\x1f\x8b"
_UNREADABLE = (csv.Error, UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error)


def load_csv(
    path: str | Path,
    space: Space[A],
    objective: str | None = None,
    direction: Direction = "maximize",
) -> Table[A]:
    """Read a table from a CSV file, gzipped or not.

    Args:
        path: the file; its first line names the columns, one of them `arch`.
        space: reads the strings of the column `arch`.
        objective: the column of values; may be left out if there is only one.
        direction: whether larger or smaller values are better.

    Raises:
        TableError: if the file is missing, is no such table, or has a bad row; says which.
    """
    path = Path(path)
    archs: dict[A, int] = {}
    values: list[float] = []
    with _open(path) as file:
        try:
            reader = csv.reader(file)
            arch_column, value_column, objective = _columns(path, next(reader, []), objective)
            for line, row in _rows(path, reader, max(arch_column, value_column) + 1):
                arch = _arch(path, line, row[arch_column], space)
                if arch in archs:
                    raise TableError(
                        f"{path}, line {line}: architecture {row[arch_column]} "
                        f"is already on line {archs[arch]}"
                    )
                archs[arch] = line
                values.append(_value(path, line, row[value_column], objective))
        except _UNREADABLE as error:
            raise TableError(f"{path} is not a readable CSV file: {error}") from None
    if not values:
        raise TableError(f"{path} is empty: it has no rows")
    return Table(path.name, space, list(archs), values, objective=objective, direction=direction)


def load_archs(path: str | Path, space: Space[A]) -> list[A]:
    """Read the column `arch` of a CSV file, gzipped or not, with repeats.

    Raises:
        TableError: if the file is missing, has no such column, or has a bad row; says which.
    """
    path = Path(path)
    with _open(path) as file:
        try:
            reader = csv.reader(file)
            names = [name.strip() for name in next(reader, [])]
            if names.count("arch") != 1:
                raise TableError(f"{path} needs one column 'arch'; it has: {_listed(names)}")
            column = names.index("arch")
            rows = _rows(path, reader, column + 1)
            archs = [_arch(path, line, row[column], space) for line, row in rows]
        except _UNREADABLE as error:
            raise TableError(f"{path} is not a readable CSV file: {error}") from None
    if not archs:
        raise TableError(f"{path} is empty: it has no rows")
    return archs


def _open(path: Path) -> TextIO:
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == _GZIP_MAGIC
        raw = gzip.open(path, "rb") if zipped else path.open("rb")  # noqa: SIM115 - the caller closes
    except OSError as error:
        raise TableError(f"cannot read table {path}: {error.strerror}") from None
    return io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")


def _columns(path: Path, header: list[str], objective: str | None) -> tuple[int, int, str]:
    """Return the positions of `arch` and of the objective, and the name of the latter."""
    if not header:
        raise TableError(f"{path} is empty")
    names = [name.strip() for name in header]
    others = [name for name in names if name != "arch"]
    if "arch" not in names:
        raise TableError(f"{path} has no column 'arch'; it has: {_listed(names)}")
    if not others:
        raise TableError(f"{path} has no column of values beside 'arch'")
    if objective is None:
        if len(others) > 1:
            raise TableError(f"choose an objective among the columns of {path}: {_listed(others)}")
        objective = others[0]
    if objective not in others:
        raise TableError(
            f"objective {objective!r} is not a column of {path}; it has: {_listed(others)}"
        )
    for name in ("arch", objective):
        if names.count(name) > 1:
            raise TableError(f"{path} has {names.count(name)} columns called {name!r}")
    return names.index("arch"), names.index(objective), objective


def _rows(path: Path, reader: Iterator[list[str]], width: int) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of each row that is not blank."""
    for line, row in enumerate(reader, start=2):
        if not row:
            continue
        if len(row) < width:
            raise TableError(f"{path}, line {line}: only {len(row)} of at least {width} fields")
        yield line, row


def _arch(path: Path, line: int, text: str, space: Space[A]) -> A:
    try:
        return space.parse(text)
    except ValueError as error:
        raise TableError(f"{path}, line {line}: {error}") from None


def _value(path: Path, line: int, text: str, objective: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise TableError(
            f"{path}, line {line}: {objective} is {text.strip()!r}, which is not a number"
        ) from None
    if not math.isfinite(value):
        raise TableError(
            f"{path}, line {line}: {objective} is {text.strip()}; "
            "leave out the rows without a finite value"
        )
    return value


def _listed(names: list[str], limit: int = 40) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > limit else ""
    return ", ".join(repr(name)[1:-1] for name in names[:limit]) + more
