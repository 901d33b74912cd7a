"""Image folders are read without trusting them."""

import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from naslib_diffusion.transfer.image_folders import ImageError
from naslib_diffusion.transfer.images import load_images


def write(folder, name, count=3, mode="RGB", size=(12, 10), colour=None):
    (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new(mode, size, colour or 0).save(folder / name / f"{i}.png")


def bomb(path):
    """Write the header of a PNG of 60,000 x 60,000 pixels."""

    def chunk(kind, data):
        code = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", code)

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = (
        chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def test_modes_become_rgb_squares(tmp_path):
    write(tmp_path, "grey", mode="L", colour=100)
    write(tmp_path, "alpha", mode="RGBA", colour=(10, 20, 30, 128))
    write(tmp_path, "palette", mode="P", size=(9, 30))
    write(tmp_path, "deep", mode="I;16", size=(40, 20))
    images = load_images(tmp_path)
    assert images.images.shape == (12, 3, 10, 10)
    assert images.images.dtype == torch.uint8
    assert images.classes == ("alpha", "deep", "grey", "palette")
    assert (images.images[images.labels == 2] == 100).all()
    assert load_images(tmp_path, 16).images.shape[-1] == 16


def test_bombs_and_rubbish_are_left_out(tmp_path):
    write(tmp_path, "a")
    write(tmp_path, "b")
    bomb(tmp_path / "a" / "bomb.png")
    (tmp_path / "b" / "text.png").write_text("no image")
    (tmp_path / "b" / "notes.txt").write_text("no image, and not called one")
    whole = (tmp_path / "b" / "0.png").read_bytes()
    (tmp_path / "b" / "cut.png").write_bytes(whole[:-30])
    images = load_images(tmp_path)
    assert len(images) == 6
    assert len(images.skipped) == 3
    assert any("pixels; at most" in reason for reason in images.skipped)


def test_postscript_is_not_run(tmp_path):
    write(tmp_path, "a")
    write(tmp_path, "b")
    Image.new("RGB", (9, 9)).save(tmp_path / "a" / "x.eps")
    (tmp_path / "a" / "x.eps").rename(tmp_path / "a" / "x.png")
    images = load_images(tmp_path)
    assert (len(images), len(images.skipped)) == (6, 1)


def test_a_sparse_file_is_left_out_unread(tmp_path):
    write(tmp_path, "a")
    write(tmp_path, "b")
    path = tmp_path / "a" / "x.webp"
    path.write_bytes(b"RIFF\xff\xff\xff\x7fWEBPVP8 ")
    os.truncate(path, 2**33)
    images = load_images(tmp_path)
    assert (len(images), len(images.skipped)) == (6, 1)
    assert "bytes; at most" in images.skipped[0]


def test_as_many_images_as_fit_in_memory(tmp_path, monkeypatch):
    write(tmp_path, "a")
    write(tmp_path, "b")
    monkeypatch.setattr("naslib_diffusion.transfer.images.MAX_BYTES", 6 * 3 * 20**2)
    assert len(load_images(tmp_path, 20)) == 6
    message = r"has 6 images; at most 5 of 21 x 21 pixels fit in memory; choose a smaller --size"
    with pytest.raises(ImageError, match=message):
        load_images(tmp_path, 21)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "format"), [("RGB", "png"), ("I;16", "tif"), ("P", "png")])
def test_a_large_image_needs_less_than_a_gigabyte(tmp_path, environment, mode, format):
    for name in ("a", "b"):
        write(tmp_path, name)
        Image.new(mode, (9000, 5500)).save(tmp_path / name / f"x.{format}")
    program = """
import re, sys
from pathlib import Path
from naslib_diffusion.transfer.images import load_images
assert len(load_images(Path(sys.argv[1]), 8)) == 8
# not `ru_maxrss`, which begins with the memory of the process that started this one
print(re.search(r"VmHWM:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1])
"""
    command = [sys.executable, "-c", program, tmp_path]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1_000_000  # KiB


def test_names_that_are_not_utf_8(tmp_path):
    write(tmp_path, os.fsdecode(b"caf\xe9"))
    write(tmp_path, "b\x1b[31m")
    images = load_images(tmp_path)
    assert images.classes == (r"b\x1b[31m", r"caf\udce9")


def test_unusable_folders_are_refused_in_one_line(tmp_path):
    with pytest.raises(ImageError, match="is not a folder"):
        load_images(tmp_path / "missing")
    with pytest.raises(ImageError, match="has no images"):
        load_images(tmp_path)
    write(tmp_path, "a")
    with pytest.raises(ImageError, match="one class only, 'a'"):
        load_images(tmp_path)
    write(tmp_path, "b", count=1)
    with pytest.raises(ImageError, match=r"class 'b' .* has 1 readable image;"):
        load_images(tmp_path)


RAMP = np.linspace(0, 1, 16 * 16).reshape(16, 16)
DEEP = {
    "16 bits": (65535 * RAMP).astype("uint16"),
    "12 bits": (4095 * RAMP).astype("uint16"),
    "32 bits": (65535 * RAMP).astype("int32"),
    "in 0 .. 1": RAMP.astype("float32"),
    "in 0 .. 3.7": (3.7 * RAMP).astype("float32"),
    "signed": (3000 * RAMP - 1000).astype("float32"),
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_eight_bits_are_scaled(tmp_path, name):
    for label in "ab":
        (tmp_path / label).mkdir()
        for i in range(2):
            Image.fromarray(DEEP[name]).save(tmp_path / label / f"{i}.tif")
    found = load_images(tmp_path)
    expected = torch.tensor(255 * RAMP).expand(4, 3, 16, 16)
    assert (found.images.double() - expected).abs().max() <= 1
    assert found.levels is not None


def test_deep_images_share_one_range(tmp_path):
    for label, white in (("bright", 4095), ("dim", 400)):
        (tmp_path / label).mkdir()
        for i in range(2):
            image = Image.fromarray((white * RAMP).astype("uint16"))
            image.save(tmp_path / label / f"{i}.png")
    found = load_images(tmp_path)
    assert found.levels == (0, 4095)
    assert found.images[found.labels == 0].max() == 255
    assert found.images[found.labels == 1].max() == round(255 * 400 / 4095)


def test_values_that_are_no_numbers_are_left_out(tmp_path):
    write(tmp_path, "a")
    write(tmp_path, "b")
    Image.fromarray(np.full((9, 9), np.nan, "float32")).save(tmp_path / "a" / "nan.tif")
    found = load_images(tmp_path)
    assert len(found) == 6
    assert "no numbers" in found.skipped[0]


@pytest.mark.parametrize(
    "names", [("train", "val"), ("Training", "validation"), ("train", "valid")]
)
def test_parts_of_the_folder_are_its_split(tmp_path, names):
    for part, count in zip(names, (4, 2), strict=True):
        write(tmp_path / part, "cat", count, colour=(200, 0, 0))
        write(tmp_path / part, "dog", count)
    write(tmp_path / "test", "cat", 7)
    train, held = load_images(tmp_path).split(0.5, seed=0)
    assert torch.bincount(train.labels).tolist() == [4, 4]
    assert torch.bincount(held.labels).tolist() == [2, 2]
    assert (held.images[held.labels == 0][:, 0] == 200).all()


def test_training_part_alone_is_split_at_random(tmp_path):
    write(tmp_path / "train", "cat", 4)
    write(tmp_path / "train", "dog", 4)
    found = load_images(tmp_path)
    assert found.classes == ("cat", "dog")
    assert found.held is None


def test_classes_may_be_called_as_parts_are(tmp_path):
    write(tmp_path, "train", 3)
    write(tmp_path, "tram", 3)
    assert load_images(tmp_path).classes == ("train", "tram")


def test_a_class_has_what_is_in_folders_inside_its_own(tmp_path):
    write(tmp_path / "train", "cat", 2)
    write(tmp_path / "train" / "cat", "kittens/tabby", 3)
    write(tmp_path / "train" / "cat", ".thumbnails", 5)
    write(tmp_path / "train" / "dog", "images", 4)
    (tmp_path / "train" / "dog" / "again").symlink_to(tmp_path / "train" / "dog")
    found = load_images(tmp_path)
    assert found.classes == ("cat", "dog")
    assert torch.bincount(found.labels).tolist() == [5, 4]


def test_other_layouts_are_named(tmp_path):
    write(tmp_path, "flat", 4)
    with pytest.raises(ImageError, match=r"has 4 images side by side, .* a subfolder for each"):
        load_images(tmp_path / "flat")
    write(tmp_path / "kaggle", "train", 4)
    write(tmp_path / "kaggle", "test", 2)
    with pytest.raises(ImageError, match=r"images in test/ and train/ itself; each part needs"):
        load_images(tmp_path / "kaggle")
    write(tmp_path / "tested" / "val", "a", 2)
    write(tmp_path / "tested" / "test", "b", 2)
    with pytest.raises(ImageError, match=r"images in test/ and val/, but none in train/"):
        load_images(tmp_path / "tested")
    write(tmp_path / "more" / "train", "a", 2)
    write(tmp_path / "more" / "train", "b", 2)
    write(tmp_path / "more" / "val", "c", 2)
    with pytest.raises(ImageError, match=r"val/ has a class 'c' that train/ does not have"):
        load_images(tmp_path / "more")


def test_split_keeps_every_class_on_both_sides(tmp_path):
    write(tmp_path, "a", count=10)
    write(tmp_path, "b", count=2)
    train, test = load_images(tmp_path).split(0.2, seed=0)
    assert torch.bincount(train.labels).tolist() == [8, 1]
    assert torch.bincount(test.labels).tolist() == [2, 1]
