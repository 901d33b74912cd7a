"""The examples run; Ray Tune drives the sampler through its OptunaSearch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_ray_tune_runs_what_the_sampler_proposes() -> None:
    pytest.importorskip("ray.tune", reason="Ray is not installed (extra [ray])")
    assert "8 trials, 8 distinct, 0 failed\nbest loss" in run("optuna_ray.py", "8")


@pytest.mark.slow
def test_processes(tmp_path: Path) -> None:
    url = f"journal:{tmp_path}/new/folder/study.log"
    assert run("optuna_processes.py", url, "6").startswith("6 trials, 6 distinct, best")
    assert run("optuna_processes.py", url, "9").startswith("9 trials, 9 distinct, best")


def test_an_example_without_arguments_says_what_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "optuna_processes.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage:")
    assert "the following arguments are required: storage" in done.stderr
