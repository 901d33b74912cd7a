"""Trainings of the benchmarks on images: the recipe is that of `transfer --data`."""

import pytest
from naslib_diffusion.benchmarks.priors import meta_dataset
from naslib_diffusion.benchmarks.priors.image_tasks import FASHION, TaskSpec, make_task
from naslib_diffusion.benchmarks.priors.transfer_images import one_seed

from naslib_diffusion.spaces import NASBench201

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def test_searches_on_one_split():
    given = {"epochs": 1, "channels": 2}
    budgets = {"cells": 1, "random": 1}
    found = one_seed("digits", (12, None), FASHION, None, budgets, "quick", given, seed=0)
    assert set(found) == {"cells", "random"}
    assert all(0 <= value <= 100 for run in found.values() for value in run.values())


def test_copies_learn_two_tasks_at_once():
    specs = [TaskSpec("digits", (0, 1), 8, "grey", 0.0, 40, seed) for seed in (0, 1)]
    cell = NASBench201().parse(
        "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|skip_connect~2|"
    )
    values = meta_dataset.train_cell(cell, [make_task(spec) for spec in specs], seed=0)
    assert len(values) == 2
    assert min(values) > 90
