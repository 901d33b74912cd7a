"""Labelled images, read from a folder without trusting it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from naslib_diffusion.runtime.extras import require
from naslib_diffusion.runtime.text import printable
from naslib_diffusion.transfer.image_folders import ImageError, Layout, read_layout
from naslib_diffusion.transfer.image_set import ImageSet, Levels

require("PIL", "transfer", "images")

from PIL import Image, UnidentifiedImageError  # noqa: E402

MAX_PIXELS = 50_000_000
"""Larger images are refused by their header, before anything is unpacked."""

MAX_FILE = 2**28
"""Most bytes of an image's file: some decoders read all of it."""

MAX_BYTES = 2**29
"""Most bytes of all images together, once scaled."""

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is decoded, whatever a file's name: not PostScript, for which Pillow starts a program."""

DEPTHS = (1, 8, 10, 12, 14, 16)
"""Bits of a value, as cameras, microscopes and scanners have them; 1 is for values in [0, 1]."""


def load_images(folder: Path, size: int | None = None, *, quiet: bool = True) -> ImageSet:
    """Read `folder/CLASS/*.png` and the like as RGB squares.

    `folder/train/CLASS/` and `folder/val/CLASS/` are read as such; a part `test` is left alone.
    Grey images, palettes and transparency become RGB. Images of more than eight bits, and of
    floats, are scaled by one range for all of them, the widest of theirs; see `full_range`. Files
    that are no images are left out and named; images of more than `MAX_PIXELS` are never unpacked.

    Args:
        folder: one subfolder for each class.
        size: height and width to scale to; unless told, the median of the shorter sides, in
            8 .. 32.
        quiet: no progress bar.

    Raises:
        ImageError: if there are not two classes with two readable images each; says what is
            wrong.
    """
    layout = read_layout(folder)
    files = [
        (path, label, held)
        for held, part in ((False, layout.classes), (True, layout.held or {}))
        for label, name in enumerate(layout.classes)
        for path in part.get(name, ())
    ]
    paths = [path for path, _, _ in files]
    size = size or usual_size(_sides(paths))
    check_memory(str(folder), len(paths), size)
    levels = _levels_of(paths)
    images = torch.empty(len(files), 3, size, size, dtype=torch.uint8)
    kept, skipped = list[list[int]](), list[str]()
    for path, *facts in tqdm(files, "images", unit="image", disable=quiet or None, leave=False):
        try:
            images[len(kept)] = _read(path, size, levels)
            kept.append(facts)
        except ImageError as error:
            skipped.append(str(error))
    labels, held = torch.tensor(kept, dtype=torch.long).view(-1, 2).unbind(1)
    found = ImageSet(
        images[: len(kept)],
        labels,
        tuple(map(printable, layout.classes)),
        tuple(skipped),
        None if layout.held is None else held.bool(),
        levels,
    )
    _check_counts(folder, layout, found)
    return found


def check_memory(name: str, count: int, size: int) -> None:
    """Raise ImageError for more images than fit in memory, before any is read."""
    most = MAX_BYTES // (3 * size**2)
    if count > most:
        raise ImageError(
            f"{name} has {count:,} images; at most {most:,} of {size} x {size} pixels fit in "
            "memory; choose a smaller --size"
        )


def _check_counts(folder: Path, layout: Layout, found: ImageSet) -> None:
    """Refuse classes of too few images, and a part of none."""
    reason = f"; {found.skipped[0]}" if found.skipped else ""
    apart = found.held is not None
    learned = found.labels if found.held is None else found.labels[~found.held]
    needed, why = (1, "to train on") if apart else (2, "one to train on and one to test")
    counts = torch.bincount(learned, minlength=len(found.classes)).tolist()
    for name, count in zip(found.classes, counts, strict=True):
        if count < needed:
            raise ImageError(
                f"class {name!r} of {folder} has {count} readable image{'s' * (count != 1)}; "
                f"it needs at least {needed}, {why}{reason}"
            )
    if found.held is not None and not found.held.any():
        raise ImageError(f"{folder}: {layout.part}/ has no readable image{reason}")


def usual_size(sides: Sequence[int]) -> int:
    """Return the median of the shorter sides of some images, in 8 .. 32."""
    return min(max(sorted(sides)[len(sides) // 2], 8), 32) if sides else 32


def full_range(values: Tensor) -> Levels:
    """Return what becomes black and white in an image with more than eight bits, or of floats.

    Whole numbers: zero, and the largest value of the fewest bits that hold all, so that twelve
    bits in a file of sixteen are not all but black. Fractions up to one: zero and one. Otherwise,
    as in tomography, the extremes.
    """
    low, high = float(values.min()), float(values.max())
    white = next((2.0**bits - 1 for bits in DEPTHS if high <= 2**bits - 1), high)
    whole = high <= 1 or bool((values == values.round()).all())
    return (0.0, white) if low >= 0 and whole else (min(low, 0.0), high)


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


def _levels_of(paths: list[Path]) -> Levels | None:
    """Return the range of all images with more than eight bits; None without such images."""
    ranges = []
    for path in paths:
        try:
            with _open(path) as image:
                if _is_deep(image):
                    ranges.append(full_range(_deep_values(path, image)))
        except ImageError:
            continue  # named when it is read
    if not ranges:
        return None
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _open(path: Path) -> Image.Image:
    """Open an image by its header alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own warning of bombs; ours is an error
        try:
            length = path.stat().st_size
            image = Image.open(path, formats=FORMATS) if length <= MAX_FILE else None
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            raise ImageError(f"{path} is not a readable image ({type(error).__name__})") from None
        except Image.DecompressionBombError:
            raise ImageError(f"{path} has too many pixels; at most {MAX_PIXELS:,}") from None
    if image is None:
        raise ImageError(f"{path} has {length:,} bytes; at most {MAX_FILE:,}")
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise ImageError(f"{path} has {width} x {height} pixels; at most {MAX_PIXELS:,}")
    return image


def _is_deep(image: Image.Image) -> bool:
    """Whether its values are 16-bit or longer integers, or floats."""
    return image.mode == "F" or image.mode.startswith("I")


def _read(path: Path, size: int, levels: Levels | None = None) -> Tensor:
    """Return an image as RGB bytes, `3 x size x size`, its middle square.

    Args:
        path: of the file.
        size: height and width to scale to.
        levels: what becomes black and white in an image of more than eight bits; its own full
            range unless told.
    """
    with _open(path) as image:
        if _is_deep(image):
            values = _deep_values(path, image)
            black, white = levels or full_range(values)
            bytes_ = _middle(values).sub_(black).mul_(255 / max(white - black, 1e-30))
            return _scaled(bytes_[None], size).expand(3, -1, -1)
        try:
            image.draft("RGB", (2 * size, 2 * size))  # JPEG decodes to about that size
            rgb = (
                image.convert("RGBA").convert("RGB") if image.mode == "P" else image.convert("RGB")
            )
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            raise ImageError(f"{path} is damaged ({type(error).__name__})") from None
    return square(rgb, size)


def _deep_values(path: Path, image: Image.Image) -> Tensor:
    """Return the values of an image of more than eight bits, `H x W`."""
    try:
        values = torch.from_numpy(np.array(image, dtype=np.float32))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} is damaged ({type(error).__name__})") from None
    if not values.isfinite().all():
        raise ImageError(f"{path} has values that are no numbers")
    return values


def square(rgb: Image.Image, size: int) -> Tensor:
    """Return the middle square of an RGB image as bytes, scaled to `3 x size x size`."""
    pixels = torch.from_numpy(np.array(rgb)).permute(2, 0, 1)
    return _scaled(_middle(pixels), size)


def _middle(pixels: Tensor) -> Tensor:
    """Return the middle square, `... x H x W`."""
    height, width = pixels.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[..., top : top + side, left : left + side]


def _scaled(pixels: Tensor, size: int) -> Tensor:
    """Scale a square, `C x S x S` in 0 .. 255, to bytes, `C x size x size`."""
    channels = []
    for channel in pixels:  # one at a time: large images need four bytes for each of theirs
        scaled = channel[None, None].float()
        if channel.shape[-1] != size:
            scaled = functional.interpolate(scaled, (size, size), mode="bilinear", antialias=True)
        channels.append(scaled[0, 0].round().clamp(0, 255).to(torch.uint8))
    return torch.stack(channels)
