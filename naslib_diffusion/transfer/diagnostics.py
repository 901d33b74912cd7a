"""How trainings went, and what the best network confuses: what the report shows of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from naslib_diffusion.runtime.closing import Closing
from naslib_diffusion.runtime.logs import RowLog, read_rows
from naslib_diffusion.runtime.threads import learning
from naslib_diffusion.transfer.image_set import ImageSet
from naslib_diffusion.transfer.trained import TrainedCell, classify

COLUMNS = ("step", "epoch", "loss", "seconds")


class LossLog(Closing):
    """Appends the mean loss of each epoch of each training, and its time; a context manager.

    As `PredictionLog`, the file goes with the report: a damaged one begins anew.
    """

    def __init__(self, path: Path) -> None:
        self._rows = RowLog.expendable(path, [COLUMNS])

    def append(self, step: int, epoch: int, loss: float, seconds: float) -> None:
        """Write the loss of an epoch (from 1) of the training number `step`, and its time."""
        self._rows.append((step, epoch, f"{loss:.6g}", f"{seconds:.3g}"))

    def close(self) -> None:
        """Close the file."""
        self._rows.close()


@dataclass(frozen=True)
class Course:
    """How a training went.

    Attributes:
        losses: the mean loss of each epoch, in order.
        seconds: that all epochs took together.
    """

    losses: list[float]
    seconds: float


def read_courses(path: Path) -> dict[int, Course]:
    """Return how each training went, by its number; what is damaged is left out.

    An epoch that a kill made run twice counts once.
    """
    try:
        rows = read_rows(path, [COLUMNS])
    except ValueError:
        return {}
    found: dict[int, dict[int, tuple[float, float]]] = {}
    for step, epoch, loss, seconds in rows:
        try:
            found.setdefault(int(step), {})[int(epoch)] = float(loss), float(seconds)
        except ValueError:
            continue
    return {step: _course(own) for step, own in sorted(found.items())}


def _course(epochs: Mapping[int, tuple[float, float]]) -> Course:
    losses = [epochs[epoch][0] for epoch in sorted(epochs)]
    return Course(losses, sum(seconds for _, seconds in epochs.values()))


@dataclass(frozen=True)
class Diagnosis:
    """What there is to know of a trained network beside its accuracy.

    Attributes:
        parameters: how many it has.
        counts: held-out images of each class (row) that it takes for each class (column).
    """

    parameters: int
    counts: list[list[int]]


@learning()
@torch.no_grad()
def diagnose(trained: TrainedCell, test: ImageSet) -> Diagnosis:
    """Classify the held-out images once more, on the CPU."""
    network = trained.network.cpu().eval()
    classes = len(trained.classes)
    found = classify(network, trained.normal, test.images, "cpu")
    counts = torch.bincount(test.labels * classes + found, minlength=classes**2)
    size = sum(parameter.numel() for parameter in network.parameters())
    return Diagnosis(size, counts.view(classes, classes).tolist())
