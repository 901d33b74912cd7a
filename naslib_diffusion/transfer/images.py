"""A folder of labelled images, one subfolder per class, read without trusting it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
MAX_PIXELS = 50_000_000
"""Larger images are refused by their header, before anything is unpacked."""

MAX_IMAGES = 200_000
LARGEST_SIZE = 512


class ImageError(ValueError):
    """The folder cannot be used; the message is one line for the user."""


@dataclass(frozen=True)
class ImageSet:
    """Images in bytes and their labels.

    Attributes:
        images: `n x 3 x R x R`, unsigned bytes.
        labels: `n`.
        classes: names of the classes, in the order of the labels.
        skipped: files that could not be read, with the reason.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def split(self, share: float, seed: int) -> tuple[ImageSet, ImageSet]:
        """Split each class at random: the rest, and `share` of it (one image at least)."""
        random = torch.Generator().manual_seed(seed)
        rest, held = [], []
        for label in range(len(self.classes)):
            rows = (self.labels == label).nonzero()[:, 0]
            rows = rows[torch.randperm(len(rows), generator=random)]
            count = min(max(round(share * len(rows)), 1), len(rows) - 1)
            held.append(rows[:count])
            rest.append(rows[count:])
        return self._rows(torch.cat(rest)), self._rows(torch.cat(held))

    def _rows(self, rows: Tensor) -> ImageSet:
        return ImageSet(self.images[rows], self.labels[rows], self.classes)


def load_images(folder: Path, size: int | None = None, *, quiet: bool = True) -> ImageSet:
    """Read `folder/CLASS/*.png` and the like as RGB squares.

    Grey images, palettes and transparency become RGB. Files that are no images are left out and
    named; images of more than `MAX_PIXELS` are never unpacked.

    Args:
        folder: one subfolder for each class.
        size: height and width to scale to; unless told, the median of the shorter sides, in
            8 .. 32.
        quiet: no progress bar.

    Raises:
        ImageError: if there are not two classes with two readable images each; says what is
            wrong.
    """
    files = _listed(folder)
    size = size or usual_size(_sides([path for paths in files.values() for path in paths]))
    images, labels, skipped = [], [], []
    total = sum(map(len, files.values()))
    with tqdm(total=total, desc="images", unit="image", disable=quiet, leave=False) as bar:
        for label, paths in enumerate(files.values()):
            for path in paths:
                try:
                    images.append(_read(path, size))
                    labels.append(label)
                except ImageError as error:
                    skipped.append(str(error))
                bar.update()
    counts = torch.bincount(torch.tensor(labels, dtype=torch.long), minlength=len(files))
    for name, count in zip(files, counts.tolist(), strict=True):
        if count < 2:
            reason = f"; {skipped[0]}" if skipped else ""
            raise ImageError(
                f"class {name!r} of {folder} has {count} readable image{'s' * (count != 1)}; "
                f"it needs at least 2, one to train on and one to test{reason}"
            )
    return ImageSet(torch.stack(images), torch.tensor(labels), tuple(files), tuple(skipped))


def _listed(folder: Path) -> dict[str, list[Path]]:
    """Return the image files of each class; hidden files and empty folders do not count."""
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder; --data names one with a subfolder per class")
    found = {
        child.name: sorted(path for path in _files(child) if path.suffix.lower() in SUFFIXES)
        for child in sorted(folder.iterdir())
        if child.is_dir() and not child.name.startswith(".")
    }
    found = {name: paths for name, paths in found.items() if paths}
    if not found:
        raise ImageError(
            f"{folder} has no images; it needs a subfolder for each class, with image files in it"
        )
    if len(found) < 2:
        raise ImageError(f"{folder} has images of one class only, {next(iter(found))!r}; need two")
    total = sum(map(len, found.values()))
    if total > MAX_IMAGES:
        raise ImageError(f"{folder} has {total:,} images; at most {MAX_IMAGES:,} fit in memory")
    return found


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file())


def usual_size(sides: Sequence[int]) -> int:
    """Return the median of the shorter sides of some images, in 8 .. 32."""
    return min(max(sorted(sides)[len(sides) // 2], 8), 32) if sides else 32


def _sides(paths: list[Path], looked_at: int = 64) -> list[int]:
    """Return the shorter sides of some images, by their headers."""
    sides = []
    for path in paths[:: max(1, len(paths) // looked_at)]:
        try:
            with _open(path) as image:
                sides.append(min(image.size))
        except ImageError:
            continue
    return sides


def _open(path: Path) -> Image.Image:
    """Open an image by its header alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own warning of bombs; ours is an error
        try:
            image = Image.open(path)
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            raise ImageError(f"{path} is not a readable image ({type(error).__name__})") from None
        except Image.DecompressionBombError:
            raise ImageError(f"{path} has too many pixels; at most {MAX_PIXELS:,}") from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise ImageError(f"{path} has {width} x {height} pixels; at most {MAX_PIXELS:,}")
    return image


def _read(path: Path, size: int) -> Tensor:
    """Return an image as RGB bytes, `3 x size x size`, its middle square."""
    with _open(path) as image:
        try:
            image.draft("RGB", (2 * size, 2 * size))  # JPEG decodes to about that size
            rgb = (
                image.convert("RGBA").convert("RGB") if image.mode == "P" else image.convert("RGB")
            )
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            raise ImageError(f"{path} is damaged ({type(error).__name__})") from None
    return square(rgb, size)


def square(rgb: Image.Image, size: int) -> Tensor:
    """Return the middle square of an RGB image as bytes, scaled to `3 x size x size`."""
    side = min(rgb.size)
    left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
    middle = rgb.crop((left, top, left + side, top + side))
    pixels = torch.frombuffer(bytearray(middle.tobytes()), dtype=torch.uint8)
    pixels = pixels.view(side, side, 3).permute(2, 0, 1)
    if side != size:
        scaled = functional.interpolate(
            pixels[None].float(), (size, size), mode="bilinear", antialias=True
        )
        pixels = scaled[0].round().clamp(0, 255).to(torch.uint8)
    return pixels.contiguous()
