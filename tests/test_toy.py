"""examples/toy.py is what it says: exact where it claims so, and like the engine."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from naslib_diffusion.diffusion import ExactDenoiser
from naslib_diffusion.spaces import AtomBlock

PATH = Path(__file__).resolve().parents[1] / "examples" / "toy.py"


@pytest.fixture(scope="module")
def toy():
    spec = importlib.util.spec_from_file_location("toy_example", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_can_be_read_in_ten_minutes():
    lines = PATH.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert not any("naslib_diffusion" in line for line in lines)


@pytest.mark.parametrize("sigma", [0.1, 1.0, 5.0])
def test_its_denoiser_is_the_exact_one(toy, sigma):
    x = torch.randn(4, 6, 5, dtype=torch.double)
    edges = [AtomBlock(5 * i, torch.eye(5, dtype=torch.double)) for i in range(6)]
    torch.testing.assert_close(toy.denoise(x, sigma), ExactDenoiser(edges)(x, sigma))


def test_guided_cells_score_about_as_the_exact_law_says(toy):
    for strength, tolerance in ((0.0, 0.15), (0.5, 0.2), (2.0, 0.4)):
        scores = toy.guide(toy.generate(1000, strength, toy.sample_ancestral))
        assert float(scores.mean()) == pytest.approx(toy.expected(strength), abs=tolerance)


def test_it_prints_and_draws(toy, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["toy.py", "--euler", "--out", str(tmp_path / "toy.png")])
    toy.main()
    assert capsys.readouterr().out.count("exact") == 4
    assert (tmp_path / "toy.png").read_bytes().startswith(b"\x89PNG")
