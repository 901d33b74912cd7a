"""Untrained networks of a sample of a space, measured by their scores, and kept as they come."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from naslib_diffusion.runtime.logs import RowLog
from naslib_diffusion.runtime.threads import learning, one_thread
from naslib_diffusion.spaces.base import Buildable, Space
from naslib_diffusion.transfer.scores import COMBINED, SCORES

SMALL: Mapping[str, Mapping[str, int]] = {"nasbench201": {"channels": 8, "cells": 1}}
"""What makes networks of a space small: they order its architectures much as large ones do."""

LOWEST = -3.0
"""Least standardised score, so that networks that no signal passes do not stretch the scale."""


@dataclass(frozen=True)
class Measuring:
    """Which untrained networks are measured, and on what.

    Attributes:
        count: architectures of the sample, distinct; all of a smaller space.
        batch: noise images, standard normal.
        size: height and width of these.
        inputs: channels of these.
        outputs: of the networks.
        seed: of sample, weights and noise.
    """

    count: int = 1000
    batch: int = 32
    size: int = 16
    inputs: int = 3
    outputs: int = 10
    seed: int = 0


def distinct_sample(space: Space[Any], count: int, seed: int) -> list[Any]:
    """Return up to `count` architectures of different canonical forms, drawn at random."""
    random = torch.Generator().manual_seed(seed)
    found: dict[Any, Any] = {}
    wanted = count if space.size is None else min(count, space.size)
    for _ in range(100):  # more do not find the rarest forms of a small space any sooner
        for arch in space.sample(count, random):
            found.setdefault(space.canonical(arch), arch)
        if len(found) >= wanted:
            break
    return list(found.values())[:wanted]


@one_thread()
@learning()
def score(space: Space[Any], arch: Any, how: Measuring) -> list[float]:
    """Return the `COMBINED` scores of one architecture.

    Raises:
        ValueError: if the space cannot build its architectures.
    """
    builder = buildable(space)
    images = torch.randn(
        how.batch,
        how.inputs,
        how.size,
        how.size,
        generator=torch.Generator().manual_seed(how.seed),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(how.seed)
        network = builder.build(
            arch, inputs=how.inputs, outputs=how.outputs, **SMALL.get(space.name, {})
        )
        return [SCORES[name](network, images) for name in COMBINED]


def buildable(space: Space[Any]) -> Buildable:
    """Return the space itself.

    Raises:
        ValueError: if it has no method `build`, or one of networks that take no images; in one
            line.
    """
    if not isinstance(space, Buildable) or not _takes_images(space):
        raise ValueError(
            f"space {space.name!r} has no zero-cost scores: it needs a method "
            "build(arch, inputs=..., outputs=...) that returns a torch.nn.Module"
        )
    return space


def _takes_images(space: Buildable) -> bool:
    parameters = inspect.signature(space.build).parameters.values()
    free = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    return free or {"inputs", "outputs"} <= {p.name for p in parameters}


def combine(scores: Sequence[Sequence[float]]) -> Tensor:
    """Return the mean of the standardised scores, standardised, `n`, of `n x K`.

    A score that is not finite counts as the lowest.
    """
    table = torch.tensor(scores, dtype=torch.double)
    finite = table.isfinite()
    least = table.where(finite, torch.full_like(table, math.inf)).amin(0)
    table = _standardise(table.where(finite, least)).clamp(min=LOWEST)
    return _standardise(table.mean(1))


def _standardise(values: Tensor) -> Tensor:
    spread = values.std(0)
    return (values - values.mean(0)) / spread.where(spread > 0, torch.ones_like(spread))


class ScoreLog:
    """Scores in a CSV file, a row at a time, so that measuring goes on where it stopped.

    Args:
        path: of the file; None to keep nothing.
        space: of the architectures.
        how: they are measured; the first row says so.

    Raises:
        ValueError: if the file holds scores that were measured otherwise, or something else.
    """

    def __init__(self, path: Path | None, space: Space[Any], how: Measuring) -> None:
        self.known: dict[str, list[float]] = {}
        self._rows: RowLog | None = None
        if path is None:
            return
        head = [[json.dumps({"space": space.name, **asdict(how)})], ["arch", *COMBINED]]
        try:
            self._rows = RowLog(path, head)
            for arch, *scores in self._rows.rows:
                self.known[arch] = [float(value) for value in scores]
        except ValueError:
            raise ValueError(
                f"{path} holds scores of other settings or something else; remove it first"
            ) from None

    def add(self, arch: Any, scores: Sequence[float]) -> None:
        """Append one row."""
        self.known[str(arch)] = list(scores)
        if self._rows is not None:
            self._rows.append([arch, *map(repr, scores)])

    def close(self) -> None:
        """Close the file."""
        if self._rows is not None:
            self._rows.close()


def measure(
    space: Space[Any],
    how: Measuring,
    log: Path | None = None,
    progress: Callable[[Sequence[Any]], Iterator[Any]] = iter,
) -> tuple[list[Any], list[list[float]]]:
    """Return a sample of the space, and the scores of each, `n x K`.

    Args:
        space: whose architectures can be built.
        how: to measure.
        log: file in which scores are kept meanwhile, and read from if an earlier run was stopped.
        progress: iterates over the sample, such as `tqdm`.

    Raises:
        ValueError: if the space cannot build its architectures, or the log is of something else.
    """
    buildable(space)
    with closing(ScoreLog(log, space, how)) as kept:
        archs = distinct_sample(space, how.count, how.seed)
        for arch in progress(archs):
            if str(arch) not in kept.known:
                kept.add(arch, score(space, arch, how))
    return archs, [kept.known[str(arch)] for arch in archs]
