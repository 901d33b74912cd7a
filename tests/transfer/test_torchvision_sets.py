"""Data sets by torchvision, in the folders that it keeps them in."""

import json
import sys

import pytest
import torch
from naslib_diffusion.plugins.naslib import compat
from PIL import Image

from naslib_diffusion.cli import main
from naslib_diffusion.transfer.images import ImageError
from naslib_diffusion.transfer.torchvision_sets import DATASETS, load_torchvision, named


@pytest.fixture(autouse=True)
def vision():
    """torchvision, whose binary may not fit a CPU build of PyTorch."""
    try:
        return pytest.importorskip("torchvision")
    except RuntimeError as error:
        next(fix for fix in compat.FIXES if fix.explains(error)).apply(error)
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        return pytest.importorskip("torchvision")


def write_pets(folder, per_class=6):
    """Two breeds, as torchvision lays them out."""
    base = folder / "oxford-iiit-pet"
    (base / "images").mkdir(parents=True)
    (base / "annotations").mkdir()
    lines = []
    for label, breed in enumerate(("Abyssinian", "great_pyrenees"), 1):
        for i in range(per_class):
            colour = (40 * i, 100 * label, 0)
            Image.new("RGB", (60 + i, 48), colour).save(base / "images" / f"{breed}_{i}.jpg")
            lines.append(f"{breed}_{i} {label} {label} 1")
    (base / "annotations" / "trainval.txt").write_text("\n".join(lines) + "\n")


def write_aircraft(folder, per_class=3):
    """Two variants, as torchvision lays them out."""
    base = folder / "fgvc-aircraft-2013b" / "data"
    (base / "images").mkdir(parents=True)
    names, lines = ["707-320", "A380"], []
    for label, name in enumerate(names):
        for i in range(per_class):
            number = f"{label}{i:03d}"
            Image.new("RGB", (40, 90), (0, 0, 200 * label)).save(base / "images" / f"{number}.jpg")
            lines.append(f"{number} {name}")
    (base / "variants.txt").write_text("\n".join(names) + "\n")
    (base / "images_variant_trainval.txt").write_text("\n".join(lines) + "\n")


def test_pets_become_squares_with_their_breeds(tmp_path):
    write_pets(tmp_path)
    images = load_torchvision("pets", tmp_path)
    assert images.images.shape == (12, 3, 32, 32)
    assert images.images.dtype == torch.uint8
    assert images.classes == ("Abyssinian", "Great Pyrenees")
    assert torch.bincount(images.labels).tolist() == [6, 6]
    greens = images.images[:, 1].double().mean((1, 2))
    assert torch.equal(greens > 150, images.labels == 1)


def test_aircraft_at_a_size_of_ones_own(tmp_path):
    write_aircraft(tmp_path)
    images = load_torchvision("aircraft", tmp_path, 20)
    assert images.images.shape == (6, 3, 20, 20)
    assert images.classes == ("707-320", "A380")


@pytest.mark.parametrize("name", DATASETS)
def test_what_cannot_be_fetched_is_one_line(name, tmp_path, monkeypatch):
    from torchvision.datasets import utils

    def refuse(*_args, **_kwargs):
        raise OSError("no network\nat all")

    monkeypatch.setattr(utils, "_urlretrieve", refuse)
    with pytest.raises(ImageError, match=f"^{name} is not in .* be fetched: [^\n]*$"):
        load_torchvision(name, tmp_path)


@pytest.mark.parametrize(
    ("text", "found"),
    [("cifar10:down", "cifar10"), ("pets:a:b", "pets"), ("photos", None), ("svhn:x", None),
     ("cifar10:", None), ("cifar10", None)],
)  # fmt: skip
def test_names_are_followed_by_a_folder(text, found):
    read = named(text)
    assert (read and read[0]) == found
    if read is not None:
        assert str(read[1]) == text.split(":", 1)[1]


def test_the_command_trains_on_it(tmp_path):
    write_pets(tmp_path)
    out = tmp_path / "out"
    args = ["transfer", "--data", f"pets:{tmp_path}", "--out", str(out), "--size", "8",
            "--epochs", "1", "--channels", "2", "--cells", "1", "--budget", "1", "--prior",
            "cells", "--batch-size", "4", "--crop", "0"]  # fmt: skip
    with pytest.raises(SystemExit) as end:
        main(args)
    assert not end.value.code
    summary = json.loads((out / "summary.json").read_text())
    assert summary["settings"]["data"] == f"pets:{tmp_path}"
    assert summary["images"] == 12
    assert 0 <= summary["best"]["value"] <= 100
