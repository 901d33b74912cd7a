"""The file of a search: JSON, nothing that runs code when it is read."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naslib_diffusion.runtime.files import write_atomically
from naslib_diffusion.spaces import SPACES, Space
from naslib_diffusion.spaces.base import A

FORMAT = "naslib-diffusion search"
VERSION = 1
MAX_BYTES = 256 * 2**20
"""Size of a file from which on it is not read."""

OBJECT = "object"
"""Stands for a setting that is no name or number, which whoever reads the file hands in."""

SETTINGS = {
    "surrogate": str,
    "strategy": str,
    "seed": int,
    "initial": int,
    "direction": str,
    "directions": list,
    "acquisition": str,
    "candidates": int,
    "repeats": bool,
    "distinct": str,
    "denoiser": str,
    "prior": str,
    "priors": str,
}
"""Settings that a file may have, and their types; the last three are always an `OBJECT`."""
MAX_INTEGER = 2**53


@dataclass(frozen=True)
class Row:
    """One finished evaluation: the string form of the architecture, and what was told of it."""

    arch: str
    value: float | tuple[float, ...]
    constraints: tuple[float, ...]


@dataclass(frozen=True)
class Saved:
    """All that decides what a search asks next.

    Attributes:
        kind: name of the class.
        space: name and shape of its space.
        settings: arguments of the class; `OBJECT` for those that cannot be written.
        asked: string forms of what was asked or told, oldest first.
        trials: what was told, oldest first.
        predicted: of each that was asked, the numbers of `Prediction` by objective; may be empty.
    """

    kind: str
    space: tuple[str, tuple[int, ...]]
    settings: Mapping[str, Any]
    asked: tuple[str, ...]
    trials: tuple[Row, ...]
    predicted: tuple[tuple[tuple[float, ...], ...], ...] = ()

    def arguments(
        self, kind: str, space: Space[A] | None, objects: Mapping[str, Any]
    ) -> tuple[Space[A], dict[str, Any]]:
        """Return the space and the settings with which a search of `kind` is made again.

        Args:
            kind: name of the class that reads.
            space: that the user hands in; one that needs no arguments may be left out.
            objects: settings that no file can hold.

        Raises:
            ValueError: if kind or space differ, or an object is missing.
        """
        name, shape = self.space
        if self.kind != kind:
            raise ValueError(f"the file holds a {self.kind}; read it with {self.kind}.load")
        if space is None and name not in SPACES:
            raise ValueError(f"space {name!r} cannot be made from its name; hand in `space`")
        found: Space[Any] = SPACES[name]() if space is None else space
        if (name, shape) != (found.name, tuple(found.shape)):
            raise ValueError(f"the file is of space {name!r}, {shape}, not of {found.name!r}")
        settings = {**self.settings, **objects}
        missing = [key for key, value in settings.items() if value == OBJECT]
        if missing:
            raise ValueError(f"a file cannot hold the argument {missing[0]!r}; hand it in again")
        return found, settings

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all; values that are not finite become strings."""
        content = {"format": FORMAT, "version": VERSION, **_strict(dataclasses.asdict(self))}
        write_atomically(path, json.dumps(content, allow_nan=False) + "\n")

    @staticmethod
    def read(path: Path) -> Saved:
        """Read what `write` wrote.

        Raises:
            ValueError: if the file is missing or is no such file; in one line.
        """
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ValueError(f"it is larger than {MAX_BYTES // 2**20} MiB")
            content = json.loads(path.read_bytes())
            if not isinstance(content, dict) or content.get("format") != FORMAT:
                raise ValueError("it is not the file of a search")
            if content["version"] != VERSION:
                raise ValueError(f"its version is {content['version']!r}, not {VERSION}")
            return _parsed(content)
        except OSError as error:
            raise ValueError(f"cannot read {path}: {error.strerror}") from None
        except RecursionError:
            raise ValueError(f"cannot read {path}: it is nested too deeply") from None
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"cannot read {path}: it is damaged ({error})") from None
        except ValueError as error:
            raise ValueError(f"cannot read {path}: {error}") from None


def _parsed(content: Mapping[str, Any]) -> Saved:
    name, shape = content["space"]
    rows = [
        Row(_text(row["arch"]), _numbers(row["value"]), tuple(map(float, row["constraints"])))
        for row in content["trials"]
    ]
    asked = tuple(map(_text, content["asked"]))
    predicted = tuple(
        tuple(tuple(map(float, numbers)) for numbers in each)
        for each in content.get("predicted", ())  # files of earlier versions have none
    )
    if len(predicted) not in (0, len(asked)):
        raise ValueError(f"it predicts {len(predicted)} of {len(asked)} architectures")
    return Saved(
        kind=_text(content["kind"]),
        space=(_text(name), tuple(map(int, shape))),
        settings={name: _setting(name, value) for name, value in content["settings"].items()},
        asked=asked,
        trials=tuple(rows),
        predicted=predicted,
    )


def _strict(value: Any) -> Any:
    """Replace numbers that JSON does not have by their names."""
    if isinstance(value, dict):
        return {key: _strict(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(own) for own in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _setting(name: str, value: Any) -> Any:
    kind = SETTINGS.get(name)
    if type(value) is not kind and value != OBJECT:
        raise ValueError(f"its setting {name!r} cannot be {value!r}")
    if kind is int and not 0 <= value <= MAX_INTEGER:
        raise ValueError(f"its setting {name!r} is {value}, out of range")
    return value


def _numbers(value: Any) -> float | tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, list) else float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value


def writable(**settings: Any) -> dict[str, Any]:
    """Return settings as a file holds them: `OBJECT` for objects, and none that are not set."""
    return {
        name: value if isinstance(value, str | int | list) else OBJECT
        for name, value in settings.items()
        if value is not None and value != ()
    }
