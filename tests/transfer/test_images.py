"""Image folders are read without trusting them."""

import struct
import zlib

import pytest
import torch
from PIL import Image

from naslib_diffusion.transfer.images import ImageError, load_images


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


def test_split_keeps_every_class_on_both_sides(tmp_path):
    write(tmp_path, "a", count=10)
    write(tmp_path, "b", count=2)
    train, test = load_images(tmp_path).split(0.2, seed=0)
    assert torch.bincount(train.labels).tolist() == [8, 1]
    assert torch.bincount(test.labels).tolist() == [2, 1]
