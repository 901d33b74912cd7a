"""Shared fixtures."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)  # the tensors of the tests are small: threads would only cost

settings.register_profile("default", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("default")


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
