"""Labelled images in memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Levels = tuple[float, float]
"""The values that become black and white."""


@dataclass(frozen=True)
class ImageSet:
    """Images in bytes and their labels.

    Attributes:
        images: `n x 3 x R x R`, unsigned bytes.
        labels: `n`.
        classes: names of the classes, in the order of the labels.
        skipped: files that could not be read, with the reason.
        held: `n`, true for images that their source sets aside to measure accuracy; None if it
            does not.
        levels: values that became black and white, of images with more than eight bits; None if
            there are none.
        mirrored: mirror images are known to show the same.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    held: Tensor | None = None
    levels: Levels | None = None
    mirrored: bool = False

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def split(self, share: float, seed: int) -> tuple[ImageSet, ImageSet]:
        """Return the images to learn from, and those that measure accuracy.

        The latter are those that the source sets aside; otherwise `share` of each class at
        random, one image at least.
        """
        if self.held is not None:
            return self._rows(~self.held), self._rows(self.held)
        random = torch.Generator().manual_seed(seed)
        rest, held = [], []
        for label in range(len(self.classes)):
            rows = (self.labels == label).nonzero()[:, 0]
            rows = rows[torch.randperm(len(rows), generator=random)]
            count = min(max(round(share * len(rows)), 1), len(rows) - 1)
            held.append(rows[:count])
            rest.append(rows[count:])
        return self._rows(torch.cat(rest)), self._rows(torch.cat(held))

    def sample(self, count: int, seed: int) -> ImageSet:
        """Return at most `count` of the images, at random."""
        random = torch.Generator().manual_seed(seed)
        return self._rows(torch.randperm(len(self), generator=random)[:count])

    def _rows(self, rows: Tensor) -> ImageSet:
        return ImageSet(self.images[rows], self.labels[rows], self.classes, mirrored=self.mirrored)
