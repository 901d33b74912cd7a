"""Rows that are kept as they come, in a CSV file that any crash leaves whole."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from naslib_diffusion.runtime.closing import Closing
from naslib_diffusion.runtime.files import read_bounded, write_atomically

MAX_LOG = 2**26
"""Most bytes of a log that is read: half a million evaluations and more."""

Head = Sequence[Sequence[str]]
"""The rows with which a log starts; the last one names its columns."""


class RowLog(Closing):
    """A CSV file to which rows are appended, each whole and on the disk before the next is begun.

    Opening it makes the file if there is none, and cuts off, on the disk too, what a crash left of
    a last row. One process at a time may have it open; see `claimed`. A context manager.

    Args:
        path: of the file.
        head: rows with which it starts.
        group: how many rows belong together, and are kept only together.

    Attributes:
        rows: those that followed the head when it was opened.

    Raises:
        ValueError: if the file starts otherwise; in one line that names it.
        OSError: if it cannot be written.
    """

    def __init__(self, path: Path, head: Head, group: int = 1) -> None:
        found = read_rows(path, head)
        self.rows = found[: len(found) // group * group]
        whole = _written([*head, *self.rows])
        if not path.exists() or path.read_bytes() != whole:
            write_atomically(path, whole)
        self._file = path.open("ab", buffering=0)

    @staticmethod
    def expendable(path: Path, head: Head) -> RowLog:
        """Open a log that may begin anew where it is damaged, since nothing rests on it."""
        try:
            return RowLog(path, head)
        except ValueError:
            path.unlink()
            return RowLog(path, head)

    def append(self, *rows: Iterable[object]) -> None:
        """Write rows; raises OSError, and leaves the file as it was, if it cannot."""
        append_whole(self._file, _written(rows))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_rows(path: Path, head: Head) -> list[list[str]]:
    """Return the rows after the head, if there is a file, without a last one that was cut short.

    Raises:
        ValueError: if the file starts otherwise, or is no CSV; in one line that names it.
    """
    if not path.exists():
        return []
    text = read_bounded(path, MAX_LOG).decode(errors="surrogateescape")
    try:
        records = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if records and (not text.endswith("\n") or len(records[-1]) < len(head[-1])):
        records.pop()
    if any(found != list(row) for found, row in zip(records, head, strict=False)):
        raise ValueError(f"{path} does not start with {_written(head).decode().strip()}")
    for number, record in enumerate(records[len(head) :], start=len(head) + 1):
        if len(record) != len(head[-1]):
            raise ValueError(
                f"{path}, record {number} has {len(record)} fields for {len(head[-1])}"
            )
    return records[len(head) :]


def append_whole(file: io.FileIO, content: bytes) -> None:
    """Append to an unbuffered file, through to the disk: all of `content`, or nothing of it.

    A system that is short of space may take a part of a write without an error; the part is taken
    back.

    Raises:
        OSError: if the disk refuses.
    """
    start, rest = os.fstat(file.fileno()).st_size, memoryview(content)
    try:
        while rest:
            rest = rest[file.write(rest) or 0 :]
        os.fsync(file.fileno())
    except BaseException as error:
        if not rest and not isinstance(error, OSError):
            raise  # interrupted, but after all was written
        with contextlib.suppress(OSError):  # a device cannot be cut; the first error is the cause
            os.ftruncate(file.fileno(), start)
        if isinstance(error, OSError):
            error.filename = file.name
        raise


def _written(rows: Iterable[Iterable[object]]) -> bytes:
    buffer = io.StringIO(newline="")
    plain = csv.writer(buffer, lineterminator="\n")
    quoted = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        fields = list(map(str, row))
        # before Python 3.13 it leaves a lone return, which ends a row, without quotes
        returns = any("\r" in text for text in fields)
        (quoted if returns else plain).writerow(fields)
    return buffer.getvalue().encode(errors="surrogateescape")
