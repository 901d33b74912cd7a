"""Pickles from third parties, read without letting them run anything or fill memory."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar, Protocol

SMALL, LARGE = 2**23, 2**26
"""Most bytes of a pickle after decompression, where less than `LARGE` are on disk."""
MOST_PER_BYTE = 16
"""Most bytes for each one on disk, where there are more: benchmarks of some GB are compressed."""

_BROKEN = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


class UnsafePickleError(ValueError):
    """A pickle names a class or function that a table of numbers has no use for."""


class Readable(Protocol):
    """What an unpickler needs of a file."""

    def read(self, count: int, /) -> bytes:
        """Return so many bytes, or what is left."""

    def readline(self) -> bytes:
        """Return a line."""


Admitted = Mapping[tuple[str, str], Callable[..., Any]]
"""What to build for each (module, name) that a pickle may ask for."""


_FORMATS = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "b1": "?"}
_ORDERS = {"<": "<", ">": ">", "=": "=", "|": "="}


class NumberType:
    """Stands in for `numpy.dtype`, of single numbers only.

    NumPy's own takes its size and flags from the file, so that a forged one reads and writes
    memory; this one knows a few types and no more.
    """

    def __init__(self, name: str, *_: Any) -> None:
        if name not in _FORMATS:
            raise ValueError(f"{str(name)[:40]!r} is not the type of a number")
        self._format, self._order = _FORMATS[name], "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._order = _ORDERS[state[1]]

    def unpack(self, data: bytes) -> float:
        """Return the number that these bytes are."""
        number: float = struct.unpack(self._order + self._format, data)[0]
        return number


def number(kind: NumberType, data: bytes) -> float:
    """Stand in for the constructor of NumPy's scalars."""
    if type(kind) is not NumberType or type(data) is not bytes:
        raise ValueError("a number needs its type and its bytes")
    return kind.unpack(data)


def latin(text: str, _: str) -> bytes:
    """Stand in for `_codecs.encode`, by which older protocols write bytes."""
    return text.encode("latin1")


NUMPY_NUMBERS: Admitted = {
    ("_codecs", "encode"): latin,
    # NumPy moved the constructor of its scalars; files name the old place or the new one
    ("numpy.core.multiarray", "scalar"): number,
    ("numpy._core.multiarray", "scalar"): number,
    ("numpy", "dtype"): NumberType,
}
"""Admits NumPy's numbers, as Python's."""


class Metered:
    """A file that lets an unpickler read so much and no more.

    An object takes some 60 times the bytes that ask for it.

    Args:
        file: may be compressed on disk.
        size: bytes on disk.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, SMALL if size < LARGE else MOST_PER_BYTE * size

    def read(self, count: int) -> bytes:
        """Return so many bytes."""
        if count > self._left:
            raise pickle.UnpicklingError("it asks for more memory than a file of its size may")
        self._left -= count
        return self._file.read(count)

    def readline(self) -> bytes:
        """Return a line, or its start where that is all that may be read."""
        line = self._file.readline(self._left)
        self._left -= len(line)
        return line


_InPython: Any = pickle._Unpickler


class _Unpickler(_InPython):  # type: ignore[misc]
    """Unpickles plain containers and numbers, and what `admitted` names.

    It is the one in Python, since that in C sets aside as much memory as a file claims to need.
    """

    def __init__(self, file: Readable, admitted: Admitted) -> None:
        super().__init__(file)
        self._admitted = admitted

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a class; nothing is ever imported."""
        if (module, name) not in self._admitted:
            asked = f"{module}.{name}"[:100]
            raise UnsafePickleError(f"the pickle asks for {asked}, which is refused")
        return self._admitted[module, name]

    def get_extension(self, code: int) -> Any:
        """Refuse what other programs of this process may have registered."""
        raise UnsafePickleError(f"the pickle asks for extension {code}, which is refused")

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to outside the file."""
        raise UnsafePickleError("the pickle refers to an outside object, which is refused")

    def load_build(self) -> None:
        """Give an object its state; anything but a stand-in has none."""
        if type(self.stack[-2]) not in self._admitted.values():
            raise UnsafePickleError("the pickle gives a state to what has none, which is refused")
        super().load_build()

    dispatch: ClassVar[dict[int, Any]] = _InPython.dispatch | {pickle.BUILD[0]: load_build}
    del dispatch[pickle.BYTEARRAY8[0]]  # takes its memory before it reads


def load_pickle(file: Readable, admitted: Admitted | None = None) -> Any:
    """Load a pickle that may hold plain containers, numbers, strings and what is admitted.

    Args:
        file: where to read; `Metered` where the file may be compressed.
        admitted: classes and functions, each with a stand-in in pure Python.

    Raises:
        UnsafePickleError: if the pickle asks for anything else.
        ValueError: if it is no pickle, or asks for more memory than it may.
    """
    try:
        return _Unpickler(file, admitted or {}).load()
    except UnsafePickleError:
        raise
    except _BROKEN as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"not a readable pickle: {reason}") from None


def read_pickle(path: Path, admitted: Admitted | None = None) -> Any:
    """Load the pickle in a file that is not compressed; see `load_pickle`."""
    return load_pickle(io.BytesIO(path.read_bytes()), admitted)
