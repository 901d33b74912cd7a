"""A Gaussian process over architectures and data sets, in closed form (paper, Eq. 10).

Two results are alike if their architectures are, and more so if their data sets are:
`k((a, s), (b, t)) = k_A(a, b) (1 + sum_i c_i k_i(s, t))`, with `k_i` on a few numbers that
describe a data set (Bonilla et al. 2007, multi-task learning with task-specific features). Each
data set has a level of its own. One that nothing is known of gets the first part alone.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from naslib_diffusion.runtime.files import read_tensors, write_atomically
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.surrogates.adapted import AdaptedSurrogate, Residual
from naslib_diffusion.surrogates.posterior import squared_distances
from naslib_diffusion.transfer.dataset import DataSet
from naslib_diffusion.transfer.task_results import DataSetSpace, Earlier, TaskResults

KEY = "naslib_diffusion_task_kernel"

LENGTH_FACTORS = (0.35, 0.7, 1.4, 2.8)
"""Length scales of architectures that are tried, in units of the median distance."""

NOISES = (0.1, 0.3, 1.0, 3.0)
"""Noise variances that are tried, for a variance of 1 that data sets share."""

SHARES = (0.0, 0.1, 0.3, 1.0, 3.0)
"""Variances `c_i` that are tried, of what data sets that are alike share beyond that."""

LEVEL = 1.0
"""Variance of a data set's own level."""

SAMPLE = 60
"""Data sets on which the evidence is maximised."""

RESIDUAL = Residual(variance=0.3, noise=0.05, lengths=(2.0, 3.7))
"""How a new data set differs from what is expected of it."""


@dataclass(frozen=True)
class Shares:
    """What the evidence chooses.

    Attributes:
        length: of architectures, in units of the median distance.
        noise: variance of one result.
        shares: the `c_i`, of facts and of image features.
    """

    length: float
    noise: float
    shares: tuple[float, float]


class TaskKernelSurrogate:
    """What results on other data sets say of architectures on a new one; see `fit`.

    Args:
        space: of the architectures.
        describe: of data sets.
        earlier: results.
        chosen: length, noise and shares; by evidence unless told.
        sees: whether data sets are told apart by what is known of them.
    """

    def __init__(
        self,
        space: Space[Any],
        describe: DataSetSpace,
        earlier: Earlier,
        chosen: Shares | None = None,
        *,
        sees: bool = True,
    ) -> None:
        self.space, self.describe, self.earlier = space, describe, earlier
        self._cells = _features(space, earlier.x)
        self._units = [_median_distance(group) for group in self._cells]
        self._sets = (earlier.facts, earlier.images)
        self._likeness_lengths = [_median_distance(group) for group in self._sets]
        self.chosen = chosen or self._maximize_evidence(sees)
        factor = self._factor(self.chosen, torch.ones_like(earlier.task, dtype=torch.bool))
        self._weights = torch.cholesky_solve(earlier.y[:, None], factor)[:, 0]

    @staticmethod
    def fit(
        space: Space[Any], tasks: Sequence[TaskResults], *, sees: bool = True
    ) -> TaskKernelSurrogate:
        """Fit to results on data sets."""
        describe = DataSetSpace.of([task.data for task in tasks])
        return TaskKernelSurrogate(space, describe, Earlier.of(tasks, describe), sees=sees)

    def for_data(self, data: DataSet | None) -> TaskKernelPrior:
        """Return what is expected on a data set, as the prior of a search."""
        likeness = torch.ones(len(self._sets[0])).double()
        if data is not None:
            groups = self.describe([data])
            likeness = self._likeness(groups, self.chosen)[0]
        weights = torch.zeros(len(self._cells[0])).double()
        weights.index_add_(0, self.earlier.which, self._weights * likeness[self.earlier.task])
        lengths = tuple(self._lengths(self.chosen))
        raw = TaskKernelPrior(self.space, tuple(self._cells), lengths, weights)
        level = raw(self.earlier.x)
        return replace(raw, center=float(level.mean()), spread=float(level.std()) or 1.0)

    def save(self, path: str | Path, facts: Mapping[str, Any] | None = None) -> None:
        """Write results and descriptions to a safetensors file; `facts` say how it was made."""
        tensors = {**vars(self.earlier), **vars(self.describe)}
        tensors["x"] = tensors["x"].to(torch.int8)  # one-hots
        tensors = {
            name: (t.float() if t.is_floating_point() else t).contiguous()
            for name, t in tensors.items()
        }
        header = {
            "space": self.space.name,
            "chosen": asdict(self.chosen),
            "facts": dict(facts or {}),
        }
        write_atomically(Path(path), safetensors.torch.save(tensors, {KEY: json.dumps(header)}))

    @staticmethod
    def load(path: str | Path, space: Space[Any]) -> TaskKernelSurrogate:
        """Read what `save` wrote.

        Raises:
            ValueError: if it is no such file, or of another space; in one line.
        """
        text, tensors = read_tensors(Path(path), KEY)
        try:
            header = json.loads(text or "{}")
            if header["space"] != space.name:
                raise ValueError(f"prior {path} is for space {header['space']!r}")
            double = {n: t.double() for n, t in tensors.items() if n not in ("which", "task")}
            double |= {name: tensors[name].long() for name in ("which", "task")}
            describe = DataSetSpace(*(double[field.name] for field in fields(DataSetSpace)))
            earlier = Earlier(*(double[field.name] for field in fields(Earlier)))
            chosen = header["chosen"]
            shares = Shares(**{**chosen, "shares": tuple(chosen["shares"])})
        except (KeyError, TypeError, RecursionError) as error:
            line = " ".join(str(error).split())[:200]
            raise ValueError(f"cannot read prior {path}: {line}") from None
        return TaskKernelSurrogate(space, describe, earlier, shares)

    def _lengths(self, chosen: Shares) -> list[float]:
        return [chosen.length * unit for unit in self._units]

    def _likeness(self, groups: Sequence[Tensor], chosen: Shares) -> Tensor:
        """Return how alike data sets are to the earlier ones, `n x tasks`."""
        total = torch.ones(len(groups[0]), len(self._sets[0])).double()
        for share, a, b, length in zip(
            chosen.shares, groups, self._sets, self._likeness_lengths, strict=True
        ):
            total = total + share * torch.exp(-0.5 * squared_distances(a, b) / length**2)
        return total

    def _factor(self, chosen: Shares, rows: Tensor) -> Tensor:
        """Return the Cholesky factor of the covariance of some results."""
        which, task = self.earlier.which[rows], self.earlier.task[rows]
        cells = _kernel(self._cells, self._cells, self._lengths(chosen))
        likeness = self._likeness(self._sets, chosen)
        covariance = cells[which][:, which] * likeness[task][:, task]
        covariance += LEVEL * (task[:, None] == task) + chosen.noise * torch.eye(len(task))
        factor: Tensor = torch.linalg.cholesky(covariance)
        return factor

    def _evidence(self, chosen: Shares, rows: Tensor) -> float:
        """Return the marginal likelihood, the scale of all variances being free."""
        factor, y = self._factor(chosen, rows), self.earlier.y[rows]
        whitened = torch.linalg.solve_triangular(factor, y[:, None], upper=False)
        scale = whitened.square().mean()
        return float(-0.5 * len(y) * scale.log() - factor.diagonal().log().sum())

    def _maximize_evidence(self, sees: bool) -> Shares:
        """Choose length and noise, then shares, on a sample of the data sets."""
        count = int(self.earlier.task[-1]) + 1
        kept = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:SAMPLE]
        rows = torch.isin(self.earlier.task, kept)
        start = (0.1, 0.1) if sees else (0.0, 0.0)
        best = max(
            (Shares(*pair, start) for pair in itertools.product(LENGTH_FACTORS, NOISES)),
            key=lambda chosen: self._evidence(chosen, rows),
        )
        if not sees:
            return best
        return max(
            (Shares(best.length, best.noise, c) for c in itertools.product(SHARES, SHARES)),
            key=lambda chosen: self._evidence(chosen, rows),
        )


@dataclass(frozen=True)
class TaskKernelPrior:
    """A `TaskKernelSurrogate` for one data set: an `AdaptivePrior` of searches.

    Attributes:
        space: of the architectures.
        cells: features of the distinct architectures that were measured, `cells x K_i` each.
        lengths: length scale for each group of features.
        weights: of the architectures, `cells`.
        center: of the mean over the architectures, and `spread`.
    """

    space: Space[Any]
    cells: tuple[Tensor, ...]
    lengths: tuple[float, ...]
    weights: Tensor
    center: float = 0.0
    spread: float = 1.0

    def to(self, device: torch.device | str) -> TaskKernelPrior:
        """Return the same on another device."""
        cells = tuple(group.to(device) for group in self.cells)
        return replace(self, cells=cells, weights=self.weights.to(device))

    def __call__(self, x: Tensor) -> Tensor:
        """Return the expected result, standardised, `B x *shape` to `B`."""
        kernel = _kernel(_features(self.space, x), self.cells, self.lengths)
        return (kernel @ self.weights - self.center) / self.spread

    def belief(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map encodings (`B x *shape`) to mean and relative deviation, `B` each."""
        mean = self(x)
        return mean, torch.ones_like(mean)

    def surrogate(self) -> AdaptedSurrogate:
        """Return a new surrogate that starts from this belief."""
        return AdaptedSurrogate(self.space, self, RESIDUAL)


def _features(space: Space[Any], x: Tensor) -> list[Tensor]:
    """Return the groups of features that the kernel sees."""
    return list(space.features(x))[: len(RESIDUAL.lengths)]


def _kernel(a: Sequence[Tensor], b: Sequence[Tensor], lengths: Sequence[float]) -> Tensor:
    """Return the mean of one RBF for each group of features, `n x m`."""
    parts = [
        torch.exp(-0.5 * squared_distances(left, right) / length**2)
        for left, right, length in zip(a, b, lengths, strict=True)
    ]
    return torch.stack(parts).mean(0)


def _median_distance(rows: Tensor) -> float:
    squares = squared_distances(rows, rows)
    distances = squares[~torch.eye(len(rows), dtype=torch.bool)].sqrt()
    return float(distances[distances > 1e-6].median()) if (distances > 1e-6).any() else 1.0
