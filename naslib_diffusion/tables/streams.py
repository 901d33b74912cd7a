"""The bytes of a table's file, compressed or not, within bounds of size and line length."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from naslib_diffusion.tables.table import TableError

MAX_BYTES = 2**29
"""Most bytes of a table's file, after decompression: about four million rows."""
MAX_LINES = 2**22
"""Most lines of a text, blank ones and comments included."""
MAX_TEXT = 2**20
"""Most characters of a line, or of a JSON record."""

ZIP = b"PK\x03\x04"
"""How a zip starts."""

_GZIP, _XZ, _BZ2 = b"\x1f\x8b", b"\xfd7zXZ\x00", b"BZh"
_WESTERN = "naslib_diffusion.western"  # what decodes bytes that are not UTF-8 or UTF-16
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"
_ZIP_END = b"PK\x05\x06"
_WORKBOOK = "it is an Excel workbook; save its sheet as CSV"
_MAX_DIRECTORY = 2**16  # bytes of a zip's list of members: an archive of a table has one member
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNREADABLE = (
    csv.Error,
    EOFError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,  # of a zip that is encrypted
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file, plain or compressed by gzip, bzip2, xz or zip, which its first bytes tell.

    Raises:
        TableError: if it cannot be read, is damaged or too large; also for such errors while it
            is read.
    """
    with ExitStack() as stack:
        try:
            raw = stack.enter_context(path.open("rb"))
            content = stack.enter_context(_decompressed(raw))
            yield stack.enter_context(io.BufferedReader(_Bounded(content), 2**16))
        except _UNREADABLE as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise TableError(f"cannot read table {path}: {reason}") from None


def as_text(file: io.BufferedReader) -> tuple[io.TextIOWrapper, str]:
    """Return a file as text, and how it starts: UTF-8, or UTF-16 with or without a mark.

    Bytes that are no text in its encoding are taken as Windows' Western one, in which older
    spreadsheets write, and those of neither become escapes such as `\\x81`: they may stand in
    columns that nobody asks for.
    """
    start = file.peek(256)[:256]
    name = _encoding(start)
    text = io.TextIOWrapper(file, name, errors=_WESTERN, newline="")
    return text, start.decode(name, errors="ignore").lstrip()


def lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines of a text with their ends.

    Raises:
        csv.Error: if a line is longer than `MAX_TEXT`, or there are more than `MAX_LINES`.
    """
    for number, line in enumerate(iter(lambda: text.readline(MAX_TEXT), "")):
        if number == MAX_LINES:
            raise csv.Error(f"it has more than {MAX_LINES:,} lines")
        if len(line) == MAX_TEXT:
            raise csv.Error(f"a line has more than {MAX_TEXT:,} characters")
        yield line


def _as_western(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return bad.decode("cp1252", errors="backslashreplace"), error.end


codecs.register_error(_WESTERN, _as_western)


def _encoding(start: bytes) -> str:
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    if len(start) > 1 and (start[0] == 0) != (start[1] == 0):
        return "utf-16-be" if start[0] == 0 else "utf-16-le"
    return "utf-8"


def open_archive(raw: io.BufferedReader) -> zipfile.ZipFile:
    """Open a zip of a few files; one of many is refused before its list fills memory.

    Raises:
        zipfile.BadZipFile: if it is no such zip.
    """
    raw.seek(-22, io.SEEK_END)
    end = raw.read(22)
    if end[:4] != _ZIP_END or int.from_bytes(end[12:16], "little") > _MAX_DIRECTORY:
        raise zipfile.BadZipFile("it is no zip of a few files")
    return zipfile.ZipFile(raw)


class _Bounded(io.RawIOBase):
    """Reads another file, up to `MAX_BYTES`."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content, self._left = content, MAX_BYTES

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into `buffer`."""
        data = self._content.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise OSError(f"it holds more than {MAX_BYTES // 2**20} MiB")
        buffer[: len(data)] = data
        return len(data)


def _decompressed(raw: io.BufferedReader) -> Any:
    start = raw.peek(8)[:8]
    if start.startswith(_GZIP):
        return gzip.open(raw)
    if start.startswith(_BZ2):
        return bz2.open(raw)
    if start.startswith(_XZ):
        return lzma.open(raw)
    if start.startswith(_OLD_EXCEL):
        raise OSError(_WORKBOOK)
    return _member(raw) if start.startswith(ZIP) else raw


def _member(raw: io.BufferedReader) -> IO[bytes]:
    """Open the only file in a zip."""
    archive = open_archive(raw)
    files = [
        info
        for info in archive.infolist()
        if not info.is_dir() and not info.filename.startswith("__MACOSX/")
    ]
    if any(info.filename == "[Content_Types].xml" for info in files):
        raise zipfile.BadZipFile(_WORKBOOK)
    if len(files) != 1:
        raise zipfile.BadZipFile(f"a zip of a table holds one file, this one {len(files)}")
    return archive.open(files[0])
