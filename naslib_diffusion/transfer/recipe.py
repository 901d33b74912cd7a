"""How a cell is trained: every figure an option, and defaults that come from the images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from naslib_diffusion.transfer.augment import mirror_is_harmless, usual_crop
from naslib_diffusion.transfer.image_set import ImageSet

Preset = Literal["quick", "standard", "paper"]

PRESETS: dict[Preset, dict[str, int]] = {
    "quick": {"epochs": 20, "channels": 8, "cells": 1},
    "standard": {"epochs": 60, "channels": 16, "cells": 2},
    "paper": {"epochs": 200, "channels": 16, "cells": 5},
}
"""Length of a training and size of its network; "paper" is NAS-Bench-201's."""

BATCHES = (16, 256)
"""Smallest and largest batch; NAS-Bench-201 has 256 for the 25,000 images and more of CIFAR."""

STEPS_PER_EPOCH = 16
"""Fewest steps that an epoch should have."""


@dataclass(frozen=True)
class Recipe:
    """How a cell is trained; the defaults are those of NAS-Bench-201 on CIFAR.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step.
        lr: learning rate at the start; it falls to zero along a cosine.
        momentum: of Nesterov's kind.
        weight_decay: L2 penalty.
        channels: of the first stage.
        cells: in each of the three stages.
        flip: mirror images at random.
        crop: pixels of padding, of which a random crop is taken.
        seed: of weights, batches and augmentation.
    """

    epochs: int = 200
    batch_size: int = 256
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    channels: int = 16
    cells: int = 5
    flip: bool = True
    crop: int = 4
    seed: int = 0

    def optimizer(self, network: nn.Module) -> torch.optim.SGD:
        """Return what takes the steps of `network`; on a card such that they can be recorded."""
        parameters = list(network.parameters())
        card = parameters[0].is_cuda
        return torch.optim.SGD(
            parameters,
            torch.tensor(self.lr, device=parameters[0].device) if card else self.lr,
            momentum=self.momentum,
            nesterov=self.momentum > 0,
            weight_decay=self.weight_decay,
            fused=card,
        )

    def set_rate(self, optimizer: torch.optim.Optimizer, progress: float) -> None:
        """Set the learning rate after a share `progress` of the training, in 0 .. 1."""
        rate = 0.5 * self.lr * (1 + math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)  # recorded steps read it where it is
            else:
                group["lr"] = rate


def recipe_for(
    images: ImageSet,
    preset: Preset = "quick",
    *,
    seed: int = 0,
    given: Mapping[str, Any] | None = None,
) -> Recipe:
    """Return the recipe that suits some training images.

    Batch and crop follow from number and size of the images. They are mirrored where that is
    known to be harmless, or where the images say so; see `mirror_is_harmless`.

    Args:
        images: to train on.
        preset: epochs, channels and cells, by name.
        seed: of the trainings.
        given: fields of `Recipe` that are settled already; None stands for the default.
    """
    settled = {name: value for name, value in (given or {}).items() if value is not None}
    found: dict[str, Any] = {
        **PRESETS[preset],
        "batch_size": usual_batch(len(images)),
        "crop": usual_crop(images.images.shape[-1]),
        **settled,
    }
    if "flip" not in found:
        found["flip"] = images.mirrored or mirror_is_harmless(images.images, images.labels)
    return Recipe(**found, seed=seed)


def usual_batch(images: int) -> int:
    """Return the largest power of two in `BATCHES` that leaves an epoch `STEPS_PER_EPOCH`."""
    smallest, largest = BATCHES
    wanted = max(images // STEPS_PER_EPOCH, 1)
    return min(max(1 << (wanted.bit_length() - 1), smallest), largest)
