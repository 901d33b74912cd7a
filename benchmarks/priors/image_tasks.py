"""Small image classification tasks: random variants of digits and Fashion-MNIST."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from torch import Tensor
from torch.nn import functional

FASHION = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package `dataset-fashion-mnist` puts it."""

fashion_option = click.option(
    "--fashion",
    type=click.Path(file_okay=False, path_type=Path),
    default=FASHION,
    show_default=True,
    help="Folder of Fashion-MNIST, where its images are needed (Debian: dataset-fashion-mnist).",
)
SOURCES = ("digits", "fashion")
RESOLUTIONS = (8, 14)
COLOURS = ("grey", "inverse", "tint", "clutter")
TEST_IMAGES = 400
"""Images that measure accuracy, at most."""


@dataclass(frozen=True)
class TaskSpec:
    """A task: which images of which classes, and what is done to them.

    Attributes:
        source: one of `SOURCES`.
        classes: labels in the source; a label's position is the task's own.
        resolution: height and width.
        colour: grey, inverse, a random tint of each image, or that on a background of noise.
        noise: standard deviation of pixel noise; pixels are in [0, 1].
        examples: training images of each class.
        seed: of the choice of images, noise and tints.
    """

    source: str
    classes: tuple[int, ...]
    resolution: int
    colour: str
    noise: float
    examples: int
    seed: int


@dataclass(frozen=True)
class ImageTask:
    """Images in [0, 1], `n x 3 x R x R`, and labels, `n`, for training and test."""

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def draw_specs(n: int, seed: int) -> list[TaskSpec]:
    """Draw `n` tasks; sources alternate, two of fashion for each of digits."""
    random = torch.Generator().manual_seed(seed)

    def pick(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=random))

    specs = []
    for index in range(n):
        classes = torch.randperm(10, generator=random)[: round(pick(2.6, 10.4))]
        specs.append(
            TaskSpec(
                source="digits" if index % 3 == 2 else "fashion",
                classes=tuple(classes.tolist()),
                resolution=RESOLUTIONS[int(pick(0, 2))],
                colour=COLOURS[int(pick(0, len(COLOURS)))],
                noise=round(max(0.0, pick(-0.2, 0.4)), 2),
                examples=round(10 ** pick(1.0, 2.4)),
                seed=index,
            )
        )
    return specs


@functools.cache
def source_images(source: str, folder: Path = FASHION) -> tuple[Tensor, Tensor]:
    """Return all images of a source, `n x R x R` in [0, 1], and their labels.

    Raises:
        FileNotFoundError: if Fashion-MNIST is not in `folder`.
    """
    if source == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        return torch.tensor(digits.images / 16, dtype=torch.float), torch.tensor(digits.target)
    images = _read_idx(folder / "train-images-idx3-ubyte.gz").float() / 255
    return images, _read_idx(folder / "train-labels-idx1-ubyte.gz").long()


def _read_idx(path: Path) -> Tensor:
    """Read an IDX file of bytes."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; name Fashion-MNIST's folder by --fashion")
    with gzip.open(path) as file:
        data = file.read()
    dimensions = data[3]
    shape = struct.unpack(f">{dimensions}I", data[4 : 4 + 4 * dimensions])
    return torch.frombuffer(bytearray(data[4 + 4 * dimensions :]), dtype=torch.uint8).view(shape)


def make_task(spec: TaskSpec, folder: Path = FASHION) -> ImageTask:
    """Make the images of a task; the same ones each time."""
    images, labels = source_images(spec.source, folder)
    random = torch.Generator().manual_seed(spec.seed)
    train, test = [], []
    for own, label in enumerate(spec.classes):
        rows = (labels == label).nonzero()[:, 0]
        rows = rows[torch.randperm(len(rows), generator=random)]
        held_out = min(TEST_IMAGES // len(spec.classes), len(rows) // 3)
        test.append((rows[:held_out], own))
        train.append((rows[held_out:][: spec.examples], own))
    return ImageTask(_variant(spec, images, train, random), _variant(spec, images, test, random))


def _variant(
    spec: TaskSpec, images: Tensor, parts: Sequence[tuple[Tensor, int]], random: torch.Generator
) -> tuple[Tensor, Tensor]:
    rows = torch.cat([rows for rows, _ in parts])
    labels = torch.cat([torch.full_like(rows, own) for rows, own in parts])
    grey = scaled(images[rows][:, None], spec.resolution)
    coloured = grey.expand(-1, 3, -1, -1)
    if spec.colour == "inverse":
        coloured = 1 - coloured
    elif spec.colour in ("tint", "clutter"):
        tint = 0.5 + 0.5 * torch.rand(len(rows), 3, 1, 1, generator=random)
        ground = 0.5 * torch.rand(len(rows), 3, 1, 1, generator=random)
        if spec.colour == "clutter":
            ground = 0.5 * torch.rand(coloured.shape, generator=random)
        coloured = coloured * tint + (1 - coloured) * ground
    noise = spec.noise * torch.randn(coloured.shape, generator=random)
    return (coloured + noise).clamp(0, 1), labels


def scaled(images: Tensor, size: int) -> Tensor:
    """Scale images, `n x C x R x R`, to `size` pixels each way."""
    if images.shape[-1] == size:
        return images
    return functional.interpolate(images, (size, size), mode="bilinear", antialias=True)


def by_resolution(specs: Sequence[TaskSpec], size: int) -> list[list[int]]:
    """Group indices of tasks of equal resolution, `size` to a group, leaving out the rest."""
    groups = []
    for resolution in RESOLUTIONS:
        rows = [i for i, spec in enumerate(specs) if spec.resolution == resolution]
        groups += [rows[i : i + size] for i in range(0, len(rows) - size + 1, size)]
    return groups


def spec_row(spec: TaskSpec) -> dict[str, object]:
    """Return a row of a CSV file."""
    return {**dataclasses.asdict(spec), "classes": " ".join(map(str, spec.classes))}


def read_spec(row: Mapping[str, str]) -> TaskSpec:
    """Return the task of which `spec_row` told."""
    return TaskSpec(
        row["source"], tuple(map(int, row["classes"].split())), int(row["resolution"]),
        row["colour"], float(row["noise"]), int(row["examples"]), int(row["seed"]),
    )  # fmt: skip
