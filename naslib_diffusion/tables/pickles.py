"""Pickles from third parties, read without letting them run anything."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

_BROKEN = (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, TypeError)


class UnsafePickleError(ValueError):
    """A pickle names a class or function that a table of numbers has no use for."""


class _Unpickler(pickle.Unpickler):
    """Unpickles plain containers and numbers, and the classes that `admitted` names."""

    def __init__(self, file: BinaryIO, admitted: Mapping[tuple[str, str], type]) -> None:
        super().__init__(file)
        self._admitted = admitted

    def find_class(self, module: str, name: str) -> type:
        """Return the stand-in for a class; nothing is ever imported."""
        if (module, name) not in self._admitted:
            raise UnsafePickleError(f"it asks for {module}.{name}, which is not admitted")
        return self._admitted[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to outside the file."""
        raise UnsafePickleError(f"it refers to an outside object {pid!r}")


def read_pickle(path: Path, admitted: Mapping[tuple[str, str], type] | None = None) -> Any:
    """Read a pickle that may hold plain containers, numbers, strings and stand-ins only.

    Args:
        path: the file.
        admitted: class to build for each (module, name) that the pickle may ask for.

    Raises:
        UnsafePickleError: if the pickle asks for anything else.
        ValueError: if the file is no pickle.
    """
    with path.open("rb") as file:
        try:
            return _Unpickler(file, admitted or {}).load()
        except UnsafePickleError as error:
            raise UnsafePickleError(f"refused to read the pickle {path}: {error}") from None
        except _BROKEN as error:
            raise ValueError(f"{path} is not a readable pickle: {error}") from None
