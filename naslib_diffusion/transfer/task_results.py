"""Results on many data sets as tensors, and a few numbers that tell data sets apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from naslib_diffusion.transfer.dataset import DataSet

COMPONENTS = 6
"""Principal components of image features."""


@dataclass(frozen=True)
class TaskResults:
    """Architectures that were measured on one data set.

    Attributes:
        x: encodings, `n x *shape`.
        y: results, higher is better, standardised within the data set, `n`.
        data: the data set.
    """

    x: Tensor
    y: Tensor
    data: DataSet


@dataclass(frozen=True, eq=False)
class DataSetSpace:
    """Two vectors for each data set: facts, and principal components of its image features.

    Attributes:
        center: of the facts, and `spread`.
        means: mean image features.
        axes: principal axes over their deviations, `COMPONENTS x K`.
    """

    center: Tensor
    spread: Tensor
    means: Tensor
    axes: Tensor

    @staticmethod
    def of(sets: Sequence[DataSet]) -> DataSetSpace:
        """Find centre, spread and axes on data sets."""
        facts, features = _numbers(sets)
        _, spreads, axes = torch.linalg.svd(features - features.mean(0), full_matrices=False)
        axes = axes[:COMPONENTS] * len(sets) ** 0.5 / spreads[:COMPONENTS, None]
        return DataSetSpace(facts.mean(0), facts.std(0) + 1e-6, features.mean(0), axes)

    def __call__(self, sets: Sequence[DataSet]) -> tuple[Tensor, Tensor]:
        """Describe data sets, `n x 5` and `n x COMPONENTS`."""
        facts, features = _numbers(sets)
        if features.shape[1] != len(self.means):
            raise ValueError(
                f"this prior knows images by {len(self.means)} features, not {features.shape[1]}"
            )
        return (facts - self.center) / self.spread, (features - self.means) @ self.axes.T


def _numbers(sets: Sequence[DataSet]) -> tuple[Tensor, Tensor]:
    """Return facts, with how far classes lie apart among them, and mean image features."""
    facts, means = [], []
    for data in sets:
        features = data.features.double()
        within = features.var(1, unbiased=False).mean()
        between = features.mean(1).var(0, unbiased=False).mean()
        apart = torch.log10(between.clamp(min=1e-9) / within.clamp(min=1e-9))
        facts.append(torch.cat([data.facts().double(), apart[None]]))
        means.append(features.mean((0, 1)))
    return torch.stack(facts), torch.stack(means)


@dataclass(frozen=True, eq=False)
class Earlier:
    """Results on earlier data sets. Architectures recur from one to the next: each is held once.

    Attributes:
        x: encodings of the architectures, `cells x *shape`.
        which: index of each result's architecture, `n`.
        task: index of its data set, `n`.
        y: results, `n`.
        facts: of the data sets, `tasks x 5`, and `images`, `tasks x COMPONENTS`.
    """

    x: Tensor
    which: Tensor
    task: Tensor
    y: Tensor
    facts: Tensor
    images: Tensor

    @staticmethod
    def of(tasks: Sequence[TaskResults], describe: DataSetSpace) -> Earlier:
        """Gather results."""
        x = torch.cat([task.x for task in tasks])
        distinct, which = torch.unique(x.flatten(1), dim=0, return_inverse=True)
        counts = torch.tensor([len(task.y) for task in tasks])
        index = torch.arange(len(tasks)).repeat_interleave(counts)
        y = torch.cat([task.y for task in tasks]).double()
        groups = describe([task.data for task in tasks])
        return Earlier(distinct.view(-1, *x.shape[1:]), which, index, y, *groups)
