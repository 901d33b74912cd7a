"""Shared fixtures."""

import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)  # the tensors of the tests are small: threads would only cost

settings.register_profile("default", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Do not trace what slow tests run: it costs a third of their time and adds no line."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker("no_cover")


def pytest_runtest_setup() -> None:
    """Give each test the same global random state, whichever tests ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of tables: NASLIB_DIFFUSION_DATA, or ../shared/data from the repository."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("NASLIB_DIFFUSION_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"the data folder {folder} is missing; set NASLIB_DIFFUSION_DATA to it")
    return folder


@pytest.fixture(scope="session")
def nasbench201_csv(data_folder: Path) -> Path:
    """The measurements of all NAS-Bench-201 cells, one row each."""
    path = data_folder / "nasbench201.csv.gz"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    return path


@pytest.fixture
def environment() -> dict[str, str]:
    """Variables of a process that imports what this one can: this package, modules of tests."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let processes be interrupted though SIGINT is ignored here, as in a script's background.

    They inherit that it is ignored, not a handler.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
