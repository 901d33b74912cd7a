"""Files that are whole at any time, and tensors that are read within bounds."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor


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


MAX_TENSORS = 2**28
"""Most bytes of the tensors of a file, which a sparse one claims without holding them."""


def read_tensors(path: Path, key: str) -> tuple[str | None, dict[str, Tensor]]:
    """Return one entry of the metadata and all tensors of a safetensors file.

    Raises:
        ValueError: if it is no such file, is too large, or holds values that are not finite; in
            one line that names it.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a safetensors file")
    try:
        size = path.stat().st_size
        if size > MAX_TENSORS:
            raise ValueError(
                f"{path} has {size:,} bytes; at most {MAX_TENSORS:,} are read of such a file"
            )
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(key)
            # copies lie aligned in memory: else the last bits of products would depend on the file
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file (cut off, or something else): {_line(error)}"
        ) from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or _line(error)}") from None
    broken = [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise ValueError(f"{path} is damaged: {broken[0]} holds values that are not finite")
    return text, tensors


def parse_header(path: Path, text: str, newest: int) -> dict[str, Any]:
    """Return the JSON object that a file's metadata hold.

    Args:
        path: for messages.
        text: the JSON.
        newest: format that is known, beside the older ones.

    Raises:
        ValueError: if it is damaged or of a newer format; in one line that names the file.
    """
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {_line(error)}") from None
    version = header.get("format") if isinstance(header, dict) else None
    if type(version) is not int or version < 1:
        raise ValueError(f"{path} is damaged: its header has no format number")
    if version > newest:
        raise ValueError(
            f"{path} has format {version}, newer than {newest}, which this version reads; "
            "upgrade naslib-diffusion"
        )
    return header  # type: ignore[no-any-return]


def _line(error: BaseException) -> str:
    """Return the message of an error, in one line of moderate length."""
    return " ".join(str(error).split())[:200] or type(error).__name__
