"""Files that are whole at any time."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from pathlib import Path


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
        with contextlib.suppress(OSError):  # a device cannot be cut; the first error is the cause
            os.ftruncate(file.fileno(), start)
        if isinstance(error, OSError):
            error.filename = file.name
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at any time it is either the old one or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the new name without its content
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
