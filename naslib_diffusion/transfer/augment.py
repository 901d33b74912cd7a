"""Random shifts and mirror images, and whether the images at hand allow them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from naslib_diffusion.runtime.threads import one_thread

SMALLEST_CROPPED = 16
"""Smaller images fill their frame, as digits do: to shift them cuts off what tells them apart."""

LOOKED_AT = 2000
"""Images that the check of mirroring compares, at most."""

LOST = 0.2
"""Share of what neighbours tell beyond chance that mirroring may lose."""


def augment(images: Tensor, *, flip: bool, crop: int, random: torch.Generator) -> Tensor:
    """Mirror each image by a coin, and shift it by up to `crop` pixels; `B x C x R x R`.

    Where the images are, which is where `random` has to be.
    """
    if flip:
        shape = (len(images), 1, 1, 1)
        mirrored = torch.rand(shape, generator=random, device=images.device) < 0.5
        images = images.flip(-1).where(mirrored, images)
    if crop:
        size, there = images.shape[-1], images.device
        padded = functional.pad(images, (crop, crop, crop, crop))
        offsets = torch.randint(2 * crop + 1, (len(images), 2), generator=random, device=there)
        rows = offsets[:, :1] + torch.arange(size, device=there)
        columns = offsets[:, 1:] + torch.arange(size, device=there)
        index = torch.arange(len(images), device=there)[:, None, None]
        picked = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
        images = picked.permute(0, 3, 1, 2)
    return images


def usual_crop(size: int) -> int:
    """Return the shift for images of `size` pixels: an eighth, 4 for CIFAR's 32."""
    return size // 8 if size >= SMALLEST_CROPPED else 0


@one_thread()
def mirror_is_harmless(images: Tensor, labels: Tensor, seed: int = 0) -> bool:
    """Whether mirror images lie among the images of their own class.

    Each image, and each mirror image, is classified by the nearest of the *other* images. Where
    mirroring changes what an image shows (digits, letters, arrows), or makes images that never
    occur (shoes that face the other way), mirror images are recognised worse. They pass if they
    keep `1 - LOST` of what the originals show beyond chance, a standard error included. Few
    images, or neighbours that tell nothing, do not pass: without evidence nothing is mirrored.

    Args:
        images: in bytes, `n x C x R x R`.
        labels: `n`.
        seed: of the choice of images, if there are more than `LOOKED_AT`.
    """
    random = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(labels), generator=random)[:LOOKED_AT]
    pixels, own = images[rows].float(), labels[rows]
    if pixels.shape[-1] > 16:
        pixels = functional.interpolate(pixels, (16, 16), mode="bilinear", antialias=True)
    known = pixels.flatten(1)
    plain = _recognised(known, known, own)
    lost = plain - _recognised(pixels.flip(-1).flatten(1), known, own)
    chance = float((torch.bincount(own).double() / len(own)).square().sum())
    error = float(lost.std()) / math.sqrt(len(own))
    return float(lost.mean()) + error <= LOST * (float(plain.mean()) - chance)


def _recognised(asked: Tensor, known: Tensor, labels: Tensor) -> Tensor:
    """Return 1 for each image whose nearest among the others is of its class, else 0; `n`."""
    distances = torch.cdist(asked, known).fill_diagonal_(math.inf)
    return (labels[distances.argmin(1)] == labels).double()
