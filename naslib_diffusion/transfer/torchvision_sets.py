"""Data sets that torchvision knows, as images to train on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from naslib_diffusion.transfer.image_folders import ImageError
from naslib_diffusion.transfer.image_set import ImageSet
from naslib_diffusion.transfer.images import check_memory, square, usual_size

DATASETS: dict[str, Callable[[Any, str, bool], Any]] = {
    "cifar10": lambda sets, root, new: sets.CIFAR10(root, train=True, download=new),
    "cifar100": lambda sets, root, new: sets.CIFAR100(root, train=True, download=new),
    "aircraft": lambda sets, root, new: sets.FGVCAircraft(root, split="trainval", download=new),
    "pets": lambda sets, root, new: sets.OxfordIIITPet(root, split="trainval", download=new),
}
"""What makes the training part of each: of torchvision.datasets, the folder, whether to fetch.

All are photographs of things that have no side, so that mirror images show the same.
"""


def named(text: str) -> tuple[str, Path] | None:
    """Read `NAME:FOLDER`; None if `text` does not begin with a name of `DATASETS`."""
    name, colon, folder = text.partition(":")
    return (name, Path(folder).expanduser()) if colon and folder and name in DATASETS else None


def load_torchvision(
    name: str, folder: Path, size: int | None = None, *, quiet: bool = True
) -> ImageSet:
    """Read the training part of a data set by torchvision, fetched where it is not there yet.

    Its test part is left alone, so that the final network can be measured on it.

    Args:
        name: one of `DATASETS`.
        folder: where torchvision keeps it.
        size: height and width to scale to; see `load_images`.
        quiet: no progress bar.

    Raises:
        ImageError: if torchvision is not installed, or the data set is neither there nor can be
            fetched.
    """
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:
        raise ImageError(
            f"--data {name}:{folder} needs torchvision beside your PyTorch ({error})"
        ) from None
    try:
        data = _open(datasets, name, folder)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(
            f"{name} is not in {folder}, and could not be fetched: {reason}"
        ) from None
    # a peek at some sizes; CIFAR's images are all alike
    size = size or usual_size([min(data[i][0].size) for i in range(0, len(data), 997)])
    check_memory(name, len(data), size)
    images = torch.empty(len(data), 3, size, size, dtype=torch.uint8)
    labels = list[int]()
    for image, label in tqdm(data, desc=name, unit="image", disable=quiet or None, leave=False):
        images[len(labels)] = square(image.convert("RGB"), size)
        labels.append(label)
    return ImageSet(images, torch.tensor(labels), tuple(map(str, data.classes)), mirrored=True)


def _open(datasets: Any, name: str, folder: Path) -> Any:
    """Open what is there; fetch it otherwise."""
    make = DATASETS[name]
    try:
        return make(datasets, str(folder), False)
    except RuntimeError:  # not found or damaged, says torchvision
        folder.mkdir(parents=True, exist_ok=True)
        return make(datasets, str(folder), True)
