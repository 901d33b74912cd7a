"""Priors by name: the meta-surrogate that ships, another one, or tables of other tasks."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.equality import structure, whole
from naslib_diffusion.surrogates import gaussian_process
from naslib_diffusion.surrogates.prior import EarlierSearch, Prior
from naslib_diffusion.tables import Direction, TableError, load_table
from naslib_diffusion.transfer.dataset import describe, has_image_encoder, image_encoder
from naslib_diffusion.transfer.meta import SHIPPED, MetaSurrogate
from naslib_diffusion.transfer.task_kernel import TaskKernelSurrogate
from naslib_diffusion.transfer.untrained import buildable
from naslib_diffusion.transfer.zero_cost import ZeroCost, shipped_file

if TYPE_CHECKING:
    from naslib_diffusion.transfer.image_set import ImageSet

IMAGES = SHIPPED / "images.safetensors"
"""What cells do on small image data sets; see `task_kernel`."""


def load_priors(
    names: Sequence[str], space: Space[Any], direction: Direction = "maximize"
) -> tuple[Prior, ...]:
    """Return the priors of a search.

    Args:
        names: "tasks" for the meta-surrogate that ships for the space, "zero-cost" for what
            untrained networks tell, "default" for all that ships; a `.safetensors` file with a
            prior of your own; or tables of other tasks, as FILE or FILE:COLUMN.
        space: of the search.
        direction: of tables.

    Raises:
        ValueError: if one cannot be read, or is of another space; in one line.
    """
    return tuple(_load(name, space, direction) for name in _written_out(names, space))


def fingerprint(names: Sequence[str], space: Space[Any]) -> str:
    """Return a short digest of the files of priors, by the names of `load_priors`; "" for none.

    Raises:
        ValueError: if one cannot be read; in one line.
    """
    if not names:
        return ""
    digest = hashlib.sha256()
    for name in _written_out(names, space):
        try:
            with _file(name, space).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise ValueError(f"cannot read prior {name}: {error.strerror}") from None
    return digest.hexdigest()[:16]


def image_prior_fingerprint(names: Sequence[str]) -> str:
    """Return a short digest of the files of priors, by the names of `load_image_priors`."""
    return fingerprint(names, NASBench201())


def _file(name: str, space: Space[Any]) -> Path:
    """Return the file that a prior is read from."""
    if name in ("tasks", "cells"):
        return SHIPPED / f"{structure(space).name}.safetensors"
    if name == "images":
        return IMAGES
    if name == "zero-cost":
        return shipped_file(space)
    return Path(name if Path(name).exists() else name.partition(":")[0])


def _written_out(names: Sequence[str], space: Space[Any]) -> list[str]:
    """Put all that ships in place of "default"."""
    parts = [_shipped(space) if name == "default" else [name] for name in names]
    return list(dict.fromkeys(itertools.chain.from_iterable(parts)))


def _shipped(space: Space[Any]) -> list[str]:
    """Return the names of all that ships for a space; what other tasks tell, if nothing does."""
    return ["tasks", "zero-cost"] if shipped_file(space).exists() else ["tasks"]


def image_prior_names(names: Sequence[str]) -> tuple[str, ...]:
    """Write "default" out: "cells", and "images" where the image encoder is installed."""
    found = list[str]()
    for name in names:
        both = ["cells", "images"] if has_image_encoder() else ["cells"]
        found += both if name == "default" else [name]
    return tuple(dict.fromkeys(found))


def load_image_priors(names: Sequence[str], train: ImageSet, seed: int) -> tuple[Prior, ...]:
    """Return the priors of a search on images.

    Args:
        names: "cells" for the meta-surrogate that ships, "images" for what cells do on small data
            sets that look alike, or as in `load_priors`.
        train: training images.
        seed: of the choice of images that are looked at.

    Raises:
        ValueError: if one cannot be read, or the image encoder is missing; in one line.
    """
    space, found = NASBench201(), list[Prior]()
    for name in names:
        if name == "images":
            data = describe(train.images, train.labels, image_encoder(), seed=seed)
            found.append(TaskKernelSurrogate.load(IMAGES, space).for_data(data))
        else:
            found.append(_load("tasks" if name == "cells" else name, space, "maximize"))
    return tuple(found)


def _zero_cost(space: Space[Any]) -> ZeroCost:
    """Return what ships; measuring takes minutes, so that another space has to be told to."""
    name = structure(space).name
    if not shipped_file(space).exists():
        buildable(structure(space))
        raise ValueError(
            f"no zero-cost prior ships for space {name!r}; make one by "
            f"naslib-diffusion zero-cost --space {name} --out FILE.safetensors"
        )
    return ZeroCost(space)


def _load(name: str, space: Space[Any], direction: Direction) -> Prior:
    if name == "tasks":
        return MetaSurrogate.load("default", space)
    if name.endswith(".safetensors"):
        return MetaSurrogate.load(name, space)
    if name == "zero-cost":
        return _zero_cost(space)
    space, path = whole(space), _file(name, space)
    column = name.partition(":")[2] if str(path) != name else ""
    try:
        table = load_table(path, space, column or None, direction)
    except TableError as error:
        raise ValueError(str(error)) from None
    sign = 1 if direction == "maximize" else -1
    values = [sign * value for value in table.values.tolist()]
    return EarlierSearch(gaussian_process(space), space, table.archs, values)
