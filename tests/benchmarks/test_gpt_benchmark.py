"""The measurement of perplexity against parameters."""

from pathlib import Path

import pytest
import torch
from naslib_diffusion.benchmarks.engine import gpt


@pytest.fixture(scope="module")
def data(data_folder) -> Path:
    if not (data_folder / "hwgpt_perplexity_s.safetensors").is_file():
        pytest.skip("the predictors of HW-GPT-Bench are missing")
    return data_folder


@pytest.mark.parametrize("method", gpt.METHODS)
def test_each_method_finds_transformers_that_dominate_more_and_more(data, method):
    curve = gpt.run("s", data, method, seed=0, budget=12)
    assert len(curve) == 12
    assert curve == sorted(curve)
    assert 0 < curve[-1] < 1
    assert curve == gpt.run("s", data, method, seed=0, budget=12)


def test_hypervolume_is_that_of_the_box_of_random_ones(data):
    task = gpt.Task("s", data)
    scale = task.space.scale
    smallest = task.space.parse(str(scale.uniform(192, 10, False, 0)))
    assert task.curve([smallest]) == [pytest.approx(0, abs=0.1)]  # hardly better than the worst
    archs = task.space.sample(30, torch.Generator().manual_seed(0))
    assert task.curve(archs)[-1] == pytest.approx(task.curve(archs[::-1])[-1])
