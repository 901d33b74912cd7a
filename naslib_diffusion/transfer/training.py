"""Train cells for real, in NAS-Bench-201's skeleton: one, or several side by side."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from naslib_diffusion.runtime.threads import learning
from naslib_diffusion.spaces.nasbench201 import Cell
from naslib_diffusion.transfer.image_set import ImageSet
from naslib_diffusion.transfer.recipe import Recipe
from naslib_diffusion.transfer.trained import Normal, TrainedCell, classify
from naslib_diffusion.transfer.trainer import Trainer


def train_cell(
    cell: Cell,
    train: ImageSet,
    test: ImageSet,
    recipe: Recipe,
    *,
    device: str = "cpu",
    checkpoint: Path | None = None,
    callback: Callable[[int, float], None] | None = None,
) -> TrainedCell:
    """Train `cell` and measure it; on a GPU in mixed precision.

    Args:
        cell: the architecture.
        train: images to learn from.
        test: images that measure accuracy, once, at the end.
        recipe: of the training.
        device: where.
        checkpoint: file that is written after each epoch, and from which a training that was cut
            off goes on. It stays at the end, so that a finished training whose result was lost
            is only measured again; who has kept the result removes it.
        callback: called after each epoch with its number and the mean loss.
    """
    (trained,) = train_cells(
        [cell],
        train,
        test,
        recipe,
        device=device,
        checkpoints=[] if checkpoint is None else [checkpoint],
        callback=callback and (lambda _, epoch, loss: callback(epoch, loss)),
    )
    return trained


@learning()
def train_cells(
    cells: Sequence[Cell],
    train: ImageSet,
    test: ImageSet,
    recipe: Recipe,
    *,
    device: str = "cpu",
    checkpoints: Sequence[Path] = (),
    callback: Callable[[int, int, float], None] | None = None,
) -> list[TrainedCell]:
    """Train several cells side by side, and measure them.

    Each is trained as `train_cell` would. They take their steps in turns: on a GPU, which one
    cell does not fill, several together take less time than one after the other.

    Args:
        cells: the architectures.
        train: images to learn from.
        test: images that measure accuracy, once, at the end.
        recipe: of each training.
        device: where.
        checkpoints: a file for each cell, see `train_cell`; none to keep nothing.
        callback: called after each epoch of a cell with the cell's index, the epoch's number and
            the mean loss.

    Returns:
        The trained cells, in the order of `cells`.
    """
    there, normal = torch.device(device), Normal.of(train.images)
    data = _on(train, there)
    trainers = [Trainer(cell, data, normal, recipe, there) for cell in cells]
    for trainer, path in zip(trainers, checkpoints, strict=False):
        trainer.resume(path)
    while running := [index for index, trainer in enumerate(trainers) if not trainer.finished]:
        for _ in itertools.zip_longest(*(trainers[index].epoch() for index in running)):
            pass
        for index in running:
            trainer = trainers[index]
            trainer.end_epoch()
            if callback is not None:
                callback(index, trainer.epochs, trainer.loss)
            if checkpoints and math.isfinite(trainer.loss):
                trainer.store(checkpoints[index])
    return [_measured(trainer, normal, test, there) for trainer in trainers]


@learning()
def time_step(cell: Cell, train: ImageSet, recipe: Recipe, device: str) -> float:
    """Return the seconds that one step of a training takes, the second of two."""
    there = torch.device(device)
    few = train.sample(recipe.batch_size, 0)
    trainer = Trainer(cell, _on(few, there), Normal.of(few.images), recipe, there)
    rows = torch.arange(recipe.batch_size, device=there) % len(few)
    for _ in range(2):
        start = time.perf_counter()
        trainer.step(rows)
        if there.type == "cuda":
            torch.cuda.synchronize(there)
    return time.perf_counter() - start


def _on(data: ImageSet, device: torch.device) -> ImageSet:
    """Return images that lie on a device."""
    return dataclasses.replace(
        data, images=data.images.to(device), labels=data.labels.to(device), held=None
    )


def _measured(
    trainer: Trainer, normal: Normal, test: ImageSet, device: torch.device
) -> TrainedCell:
    """Measure the accuracy of what has been trained, on images that were held out."""
    network, accuracy = trainer.network.eval(), math.nan
    if math.isfinite(trainer.loss):
        right = classify(network, normal, test.images, device) == test.labels
        accuracy = 100 * int(right.sum()) / len(test)
    size = test.images.shape[-1]
    return TrainedCell(trainer.cell, network, trainer.recipe, normal, test.classes, size, accuracy)
