"""The pictures of the pages are those that the script draws."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("draw_pictures", DOCS / "draw_pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_picture_is_drawn_and_shown(script):
    pages = (ROOT / "README.md", *DOCS.rglob("*.md"))
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    names = set(script.PICTURES)
    assert {path.stem for path in (DOCS / "pictures").iterdir()} == names
    assert set(re.findall(r"pictures/([a-z-]+)\.svg\)", text)) == names


@pytest.mark.parametrize("name", ["exact-denoiser", "tilt"])
def test_a_picture_is_the_same_each_time(script, name, tmp_path):
    first = script.draw(name, tmp_path).read_bytes()
    assert first.startswith(b"<?xml")
    assert script.draw(name, tmp_path).read_bytes() == first


def test_a_cell_emerges_step_by_step(script):
    steps, accuracies = script.denoised(script.STRENGTHS[-1], rows=20)
    sure = [float(step.denoised[:, 1:7, 2:].amax(2).mean()) for step in steps]
    assert sure[0] < 0.5 < 0.95 < sure[-1]
    assert len(steps) > max(script.SHOWN)
    assert float(sorted(accuracies)[10]) > float(sorted(script.denoised(0.0, rows=20)[1])[10])
