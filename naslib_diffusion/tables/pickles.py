"""Pickles from third parties, read without letting them run anything."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

_BROKEN = (pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError, AttributeError)


class UnsafePickleError(ValueError):
    """A pickle names a class or function that a table of numbers has no use for."""


Admitted = Mapping[tuple[str, str], Callable[..., Any]]
"""What to build for each (module, name) that a pickle may ask for."""


# NumPy moved the constructor of its scalars; files name the old place or the new one
_SCALAR: Any = np.float64(0).__reduce__()[0]
NUMPY_NUMBERS: Admitted = {
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("numpy._core.multiarray", "scalar"): _SCALAR,
    ("numpy", "dtype"): np.dtype,
}
"""Admits NumPy's numbers."""


class _Unpickler(pickle.Unpickler):
    """Unpickles plain containers and numbers, and what `admitted` names."""

    def __init__(self, file: IO[bytes], admitted: Admitted) -> None:
        super().__init__(file)
        self._admitted = admitted

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a class; nothing is ever imported."""
        if (module, name) not in self._admitted:
            raise UnsafePickleError(f"the pickle asks for {module}.{name}, which is refused")
        return self._admitted[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to outside the file."""
        raise UnsafePickleError(f"the pickle refers to an outside object {pid!r}")


def load_pickle(file: IO[bytes], admitted: Admitted | None = None) -> Any:
    """Load a pickle that may hold plain containers, numbers, strings and what is admitted.

    Raises:
        UnsafePickleError: if the pickle asks for anything else.
        ValueError: if it is no pickle.
    """
    try:
        return _Unpickler(file, admitted or {}).load()
    except UnsafePickleError:
        raise
    except _BROKEN as error:
        raise ValueError(f"not a readable pickle: {error}") from None


def read_pickle(path: Path, admitted: Admitted | None = None) -> Any:
    """Load the pickle in a file; see `load_pickle`."""
    with path.open("rb") as file:
        return load_pickle(file, admitted)
