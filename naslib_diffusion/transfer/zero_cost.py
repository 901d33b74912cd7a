"""The zero-cost prior: what untrained networks tell of the architectures of a space.

A sample of the space is built, and scored without training (`scores.py`). The scores depend
smoothly on the structure, so that a Gaussian process on the space's features tells those of all
other architectures, and a small network learns the result: the prior holds no architectures.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from naslib_diffusion.runtime.moving import moved
from naslib_diffusion.runtime.threads import learning, one_thread
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.equality import structure
from naslib_diffusion.surrogates import make_surrogate
from naslib_diffusion.surrogates.adapted import AdaptedSurrogate, Residual
from naslib_diffusion.surrogates.posterior import squared_distances
from naslib_diffusion.transfer.meta import SHIPPED, MetaConfig, MetaSurrogate
from naslib_diffusion.transfer.scores import COMBINED
from naslib_diffusion.transfer.untrained import Measuring, combine, distinct_sample, measure

TAUGHT = 5000
"""Architectures at which the network learns the scores, most of them foretold."""

STEPS = 2000
"""Of the network's training."""

VARIANCE, NOISE = 0.1, 0.01
"""Of the residual, as of the meta-surrogate that ships beside it."""


class ZeroCost:
    """What untrained networks tell of a space: a `Prior` of searches.

    It ships for NAS-Bench-201. For other spaces, `count` untrained networks are measured first,
    which takes minutes. `naslib-diffusion zero-cost` keeps the result in a file, as `save` does.

    Example:
        search = Search(space, prior=ZeroCost(space))

    Args:
        space: a space with a method `build`, or a `Subset` of one.
        seed: determines the sample of architectures, their weights and the noise that they are
            shown. What ships was measured with seed 0.

    Raises:
        ValueError: if the space cannot build its architectures.
    """

    def __init__(self, space: Space[Any], seed: int = 0) -> None:
        shipped = shipped_file(space)
        self.space = space
        self._network = (
            MetaSurrogate.load(shipped, space)
            if seed == 0 and shipped.exists()
            else learn(structure(space), Measuring(seed=seed))
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Return the combined score, standardised over the space, `B x *shape` to `B`."""
        mean: Tensor = self._network(x)
        return mean

    def belief(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map encodings (`B x *shape`) to mean and relative deviation, `B` each."""
        return self._network.belief(x)

    def surrogate(self) -> AdaptedSurrogate:
        """Return a new surrogate that starts from this belief."""
        return self._network.surrogate()

    def to(self, device: torch.device | str) -> ZeroCost:
        """Return the same on another device."""
        other = copy.copy(self)
        other._network = moved(self._network, device)
        return other

    def save(self, path: str | Path) -> None:
        """Write it to a safetensors file."""
        self._network.save(path, self._network.facts)

    @staticmethod
    def load(path: str | Path, space: Space[Any]) -> ZeroCost:
        """Read what `save` wrote, or the command `zero-cost`.

        Raises:
            ValueError: if it is damaged, or of another space; in one line.
        """
        found = object.__new__(ZeroCost)
        found.space, found._network = space, MetaSurrogate.load(path, space)
        return found


def shipped_file(space: Space[Any]) -> Path:
    """Return where the prior of a space is if it ships."""
    return SHIPPED / f"zero_cost_{structure(space).name}.safetensors"


def learn(
    space: Space[Any],
    how: Measuring,
    log: Path | None = None,
    progress: Callable[[Sequence[Any]], Iterator[Any]] = iter,
) -> MetaSurrogate:
    """Measure untrained networks, and teach a network what they tell; see `measure`."""
    archs, scores = measure(space, how, log, progress)
    facts = {"measuring": asdict(how), "scores": COMBINED}
    return teach(space, archs, combine(scores), facts)


@one_thread()
@learning()
def teach(
    space: Space[Any], archs: Sequence[Any], levels: Tensor, facts: Mapping[str, Any]
) -> MetaSurrogate:
    """Return a network that tells the levels of all architectures of a space.

    Args:
        space: of the architectures.
        archs: that were measured.
        levels: of these, standardised, `n`.
        facts: on how they were measured, for the file.
    """
    foretold = make_surrogate("gp", space).fit(space.encode(archs), levels)
    x = space.encode(distinct_sample(space, TAUGHT, seed=1))
    with torch.no_grad():
        mean = torch.cat([foretold.posterior(part)[0] for part in torch.split(x, 1000)])
    groups = [group.detach() for group in space.features(x[: len(archs)])]
    lengths = tuple(_median_distance(group) for group in groups)
    inputs = sum(group.shape[1] for group in groups)
    network = MetaSurrogate(
        space, MetaConfig(inputs, steps=STEPS), Residual(VARIANCE, NOISE, lengths)
    )
    mean = (mean - mean.mean()) / (mean.std() if len(mean) > 1 and mean.std() > 0 else 1.0)
    error = network.distil(x, mean, torch.ones_like(mean))
    network.facts = {**facts, "count": len(archs), "squared_error": error}
    return network.eval()


def _median_distance(rows: Tensor) -> float:
    distances = squared_distances(rows, rows).sqrt()
    apart = distances[distances > 1e-6]
    return float(apart.median()) if len(apart) else 1.0
