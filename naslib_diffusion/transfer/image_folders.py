"""How folders of images are laid out: which files are of which class, and which are held out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
MAX_IMAGES = 1_000_000
"""Most files that are looked at; how many fit in memory depends on their size there."""

TRAIN = ("train", "training")
HELD_OUT = ("val", "valid", "validation")
"""Names of the part that measures accuracy; a part `test` is left alone."""
PARTS = frozenset((*TRAIN, *HELD_OUT, "test", "testing"))

LAYOUT = "it needs a subfolder for each class, with image files in it"

Classes = dict[str, list[Path]]


class ImageError(ValueError):
    """The folder cannot be used; the message is one line for the user."""


@dataclass(frozen=True)
class Layout:
    """The image files of a folder.

    Attributes:
        classes: files of each class that are to be learned from.
        held: files of each class that measure accuracy; None if the folder has no such part.
        part: name of that part.
    """

    classes: Classes
    held: Classes | None = None
    part: str = ""


def read_layout(folder: Path) -> Layout:
    """Find the images in `folder/CLASS/`, or in `folder/train/CLASS/` and `folder/val/CLASS/`.

    Images in folders inside a class's own are its images, too. Hidden files and folders, and empty
    ones, do not count.

    Raises:
        ImageError: if it is laid out in another way, or has too few classes or too many images.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder; --data names one with a subfolder per class")
    parts = {child.name.lower(): child for child in _folders(folder)}
    train = next((parts[name] for name in TRAIN if name in parts), None)
    inside = _classes(train) if train is not None else {}
    if train is not None and inside:
        part = next((parts[name] for name in HELD_OUT if name in parts), None)
        held = _classes(part) if part is not None else {}
        layout = Layout(inside, held or None, part.name if part is not None and held else "")
        folder = train
    else:
        layout = Layout(_classes(folder))
    _check(folder, layout)
    return layout


def _check(folder: Path, layout: Layout) -> None:
    found, held = layout.classes, layout.held or {}
    if found and {name.lower() for name in found} <= PARTS:
        names = " and ".join(f"{name}/" for name in found)
        if not {name.lower() for name in found} & set(TRAIN):
            raise ImageError(f"{folder} has images in {names}, but none in train/ to learn from")
        raise ImageError(
            f"{folder} has images in {names} itself; each part needs a subfolder for each class"
        )
    loose = sum(1 for _ in _images(folder))
    if not found and loose:
        raise ImageError(
            f"{folder} has {loose:,} images side by side, so that nothing tells their classes; "
            f"{LAYOUT}"
        )
    if not found:
        raise ImageError(f"{folder} has no images; {LAYOUT}")
    if len(found) < 2:
        raise ImageError(f"{folder} has images of one class only, {next(iter(found))!r}; need two")
    unknown = sorted(set(held) - set(found))
    if unknown:
        raise ImageError(
            f"{layout.part}/ has a class {unknown[0]!r} that {folder.name}/ does not have"
        )
    total = sum(map(len, (*found.values(), *held.values())))
    if total > MAX_IMAGES:
        raise ImageError(f"{folder} has {total:,} images; at most {MAX_IMAGES:,} are read")


def _classes(folder: Path) -> Classes:
    found = {child.name: sorted(_below(child)) for child in _folders(folder)}
    return {name: paths for name, paths in found.items() if paths}


def _below(folder: Path) -> Iterator[Path]:
    """Yield the images of a class; links to folders inside it are not followed, lest they turn."""
    yield from _images(folder)
    for child in _folders(folder):
        if not child.is_symlink():
            yield from _below(child)


def _folders(folder: Path) -> list[Path]:
    children = sorted(folder.iterdir())
    return [child for child in children if child.is_dir() and not child.name.startswith(".")]


def _images(folder: Path) -> Iterator[Path]:
    return (
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
