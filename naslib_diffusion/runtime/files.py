"""Files that are whole at any time, and tensors that are read within bounds."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor

PART = ".part"
"""How the names of files end that are being written."""


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that at any time it is either the old one or the new one.

    Text is written in UTF-8; what has no place in it, such as parts of names of files that are in
    another encoding, as escapes.

    Raises:
        OSError: if it cannot be written; it names the file.
    """
    if isinstance(content, str):
        content = content.encode(errors="backslashreplace")
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        # `os.open` leaves the permissions to the user's umask, which cannot be read safely
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the new name without its content
        part.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise


def _sync_folder(folder: Path) -> None:
    """Bring a folder's new names to the disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


MAX_JSON = 2**20
"""Most bytes of a JSON file that is read."""


def read_bounded(path: Path, most: int) -> bytes:
    """Return the content of a file.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it cannot be read or has more than `most` bytes; in one line that names it.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > most:
        raise ValueError(f"{path} has more than {most:,} bytes")
    return content


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it cannot be read, or holds something else; in one line that names it.
    """
    content = read_bounded(path, MAX_JSON)
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {_line(error)}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no JSON object")
    return found


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
