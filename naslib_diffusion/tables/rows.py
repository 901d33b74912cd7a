"""The rows of a table's file, whatever its form: CSV, JSON lines, JSON records or Parquet."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naslib_diffusion.tables.streams import MAX_BYTES, MAX_TEXT, as_text, lines, open_bytes
from naslib_diffusion.tables.table import TableError

Row = tuple[int, Sequence[Any]]
"""Number of a line or record, and a field for each column: text, or what JSON and Parquet hold."""

_DELIMITERS = ",;\t"
_EXCEL = re.compile(r"sep=(.)\s*", re.IGNORECASE)
"""A first line by which Excel tells the delimiter."""
_PARQUET = b"PAR1"
_PEEKED = 10  # JSON records whose keys make the columns
_BETWEEN = re.compile(r"[\s,\[\]]*")
_CHUNK = 2**16


@dataclass(frozen=True)
class Rows:
    """What a file holds.

    Attributes:
        names: of the columns.
        rows: in order, to be read once.
        unit: what `Row` numbers.
        decimal_comma: whether a comma can be a decimal mark.
    """

    names: Sequence[str]
    rows: Iterator[Row]
    unit: str = "line"
    decimal_comma: bool = True


@contextmanager
def open_rows(path: Path) -> Iterator[Rows]:
    """Open a table's file; what it holds tells its form.

    CSV has commas, semicolons or tabs between columns, perhaps lines that start with #, and is in
    UTF-8 or UTF-16. All but Parquet may be compressed; see `open_bytes`.

    Raises:
        TableError: if it cannot be read; also for errors while rows are read.
    """
    with open_bytes(path) as file:
        if file.peek(4)[:4] == _PARQUET:
            yield _parquet(path)
            return
        text, start = as_text(file)
        yield _json(path, text) if start[:1] in ("{", "[") else _csv(path, text)


def _csv(path: Path, text: io.TextIOWrapper) -> Rows:
    found, skipped, delimiter = lines(text), 0, ""
    for header in found:
        if excel := _EXCEL.fullmatch(header):
            delimiter = excel[1]
        elif header.strip() and not header.startswith("#"):
            break
        skipped += 1
    else:
        raise TableError(f"{path} is empty")
    delimiter = delimiter or _delimiter(header)
    reader = csv.reader(itertools.chain([header], found), delimiter=delimiter)
    names = [name.strip() for name in next(reader)]
    return Rows(
        names,
        _csv_rows(path, reader, len(names), skipped),
        decimal_comma=delimiter != ",",
    )


def _delimiter(header: str) -> str:
    """Return the delimiter that gives the most columns; a comma if none gives two."""
    return max(_DELIMITERS, key=lambda mark: len(next(csv.reader([header], delimiter=mark))))


def _csv_rows(path: Path, reader: Any, width: int, skipped: int) -> Iterator[Row]:
    for row in reader:
        line = skipped + reader.line_num
        if not any(map(str.strip, row)) or row[0].startswith("#"):
            continue
        if len(row) < width or any(row[width:]):
            raise TableError(
                f"{path}, line {line}: {len(row)} fields for {width} columns; a field that "
                "contains what parts columns needs quotes"
            )
        yield line, row


def _json(path: Path, text: io.TextIOWrapper) -> Rows:
    records = _records(path, text)
    peeked = list(itertools.islice(records, _PEEKED))
    names = list(dict.fromkeys(itertools.chain.from_iterable(peeked)))
    rows = (
        (number, [record.get(name) for name in names])
        for number, record in enumerate(itertools.chain(peeked, records), start=1)
    )
    return Rows(names, rows, unit="record")


def _records(path: Path, text: io.TextIOWrapper) -> Iterator[dict[str, Any]]:
    """Yield JSON objects, one after the other or in an array, without holding the whole file."""
    decoder, buffer, position, number = json.JSONDecoder(), text.read(_CHUNK), 0, 1
    while True:
        position = _BETWEEN.match(buffer, position).end()  # type: ignore[union-attr]
        try:
            record, position = decoder.raw_decode(buffer, position)
        except ValueError as error:
            rest = buffer[position:]
            more = text.read(max(_CHUNK, len(rest))) if len(rest) < MAX_TEXT else ""
            if not more and not rest:
                return
            if not more:
                raise TableError(f"{path}, record {number} is not JSON: {error}") from None
            buffer, position = rest + more, 0
            continue
        if not isinstance(record, dict):
            raise TableError(f"{path}, record {number} is no JSON object with columns as keys")
        yield record
        number += 1


def _parquet(path: Path) -> Rows:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise TableError(f"{path} is Parquet, which needs pyarrow: pip install pyarrow") from None
    try:
        file = parquet.ParquetFile(path, thrift_string_size_limit=MAX_TEXT)
        groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
        if sum(group.total_byte_size for group in groups) > MAX_BYTES:
            raise TableError(f"{path} holds more than {MAX_BYTES // 2**20} MiB")
        names = list(file.schema_arrow.names)
    except (ArrowException, OSError) as error:
        raise TableError(f"cannot read table {path}: {' '.join(str(error).split())}") from None
    return Rows(names, _parquet_rows(path, file), unit="row")


def _parquet_rows(path: Path, file: Any) -> Iterator[Row]:
    from pyarrow import ArrowException

    number = itertools.count(1)
    try:
        for batch in file.iter_batches(batch_size=1024):
            for row in zip(*batch.to_pydict().values(), strict=True):
                yield next(number), row
    except (ArrowException, OSError) as error:
        raise TableError(f"cannot read table {path}: {' '.join(str(error).split())}") from None
