"""Reading a NASLib config as NASLib does, with errors that say what is wrong."""

from __future__ import annotations

import argparse
import ast
import math
from pathlib import Path
from typing import Any

import yaml
from naslib_diffusion.plugins.naslib import compat
from naslib_diffusion.plugins.naslib.optimizers import NAMES, ONE_SHOT
from naslib_diffusion.plugins.naslib.settings import ConfigError

REQUIRED = ("seed", "optimizer", "search_space", "dataset", "out_dir", "search")
REQUIRED_SEARCH = ("epochs", "checkpoint_freq")
MAX_BYTES, MAX_DEPTH = 2**18, 16
"""Bounds of a config; NASLib's own have some 2,000 bytes and two levels."""


def read_config(path: Path, overrides: list[str], *, resume: bool = False) -> Any:
    """Read a YAML file and overrides with NASLib's own `get_config_from_args`.

    That also makes the folder of the run, `config.save`.

    Args:
        path: NASLib's YAML, with a section `search` and perhaps `evaluation`.
        overrides: keys and values in turn; a key has one dot at most, and exists in the file.
        resume: NASLib's key of that name.

    Raises:
        ConfigError: if file, key or value cannot be used; says why.
    """
    content = _load(path)
    options = _checked_overrides(content, overrides, path)
    optimizer = dict(zip(options[::2], options[1::2], strict=True)).get(
        "optimizer", content["optimizer"]
    )
    optimizer = str(_literal(optimizer))
    if optimizer not in NAMES:
        raise ConfigError(f"unknown optimizer {optimizer!r}; known: {', '.join(NAMES)}")
    utils = compat.load("naslib.utils")
    arguments = argparse.Namespace(
        config_file=str(path),
        opts=options,
        eval_only=False,
        resume=resume,
        model_path=None,
        world_size=1,
        rank=0,
        gpu=None,
        dist_url="tcp://127.0.0.1:8888",
        dist_backend="nccl",
        multiprocessing_distributed=False,
    )
    kind = "nas" if optimizer in ONE_SHOT else "bbo-bs"
    try:
        return utils.get_config_from_args(arguments, config_type=kind)
    except (ValueError, KeyError, AttributeError, AssertionError, SyntaxError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1).decode()
        _check_events(path, text)
        content = yaml.safe_load(text)
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot read config {path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:  # a ValueError of bytes, dates or numbers
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is not a NASLib config: it has no keys")
    search = content.get("search")
    missing = [key for key in REQUIRED if key not in content]
    if isinstance(search, dict):
        missing += [f"search.{key}" for key in REQUIRED_SEARCH if key not in search]
    elif "search" in content:
        missing.append("search")
    if missing:
        raise ConfigError(f"{path} lacks {', '.join(missing)}")
    return content


def _check_events(path: Path, text: str) -> None:
    """Refuse what makes a small file large or deep: NASLib reads it again, and without bounds.

    Raises:
        ConfigError: if the file is too large or too deep, or refers to a part of itself.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{path} has more than {MAX_BYTES:,} bytes")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"{path} refers to itself by *{event.anchor}; write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ConfigError(f"{path} is nested in more than {MAX_DEPTH} levels")


def _checked_overrides(content: dict[str, Any], overrides: list[str], path: Path) -> list[str]:
    """Return the overrides with values that NASLib takes for the type that the key has."""
    if len(overrides) % 2:
        raise ConfigError(f"overrides are pairs KEY VALUE; {overrides[-1]!r} stands alone")
    options: list[str] = []
    for key, value in zip(overrides[::2], overrides[1::2], strict=True):
        section, _, name = key.rpartition(".")
        keys = content.get(section) if section else content
        if not isinstance(keys, dict) or name not in keys:
            known = keys if isinstance(keys, dict) else content
            raise ConfigError(
                f"{key!r} is not a key of {path}, so it cannot be overridden; "
                f"{section or 'the file'} has: {', '.join(map(str, known))}"
            )
        options += [key, _as_type_of(keys[name], key, value)]
    return options


def _as_type_of(current: Any, key: str, value: str) -> str:
    """Write a value so that it keeps the type of the key's present one."""
    literal = _literal(value)
    number = type(literal) in (int, float) and abs(literal) < math.inf
    if isinstance(current, bool):
        fits, written = isinstance(literal, bool), repr(literal)
    elif isinstance(current, float):
        fits, written = number, repr(float(literal)) if number else ""
    elif isinstance(current, int):
        fits, written = number and literal == int(literal), repr(int(literal)) if number else ""
    elif isinstance(current, str):
        fits, written = True, value if isinstance(literal, str) else repr(value)
    else:
        fits, written = True, value
    if not fits:
        raise ConfigError(f"{key} must be of type {type(current).__name__}, not {value!r}")
    return written


def _literal(value: Any) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two: deep brackets
        return value
