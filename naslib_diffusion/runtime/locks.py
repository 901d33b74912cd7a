"""One process at a time writes a folder or a file."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from naslib_diffusion.runtime.files import PART


class Busy(ValueError):  # noqa: N818 - it says what is the case
    """Another process is writing there; the message is one line for the user."""


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Keep other processes from writing a folder, or a file in one, inside the block.

    The system takes the claim back when the process ends, however it ends; the hidden file that
    carries it stays. What killed processes left half-written there is removed.

    Raises:
        Busy: if another process has claimed it.
        OSError: if the folder cannot be written.
    """
    folder, name = (path, "") if path.is_dir() else (path.absolute().parent, path.name)
    lock = FileLock(folder / f".{name}.lock" if name else folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise Busy(f"another process is writing {path}; wait for it, or choose another") from None
    try:
        for left in folder.glob(f".{glob.escape(name)}*{PART}"):
            left.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
