"""Commands that are killed go on, and end as if nothing had happened."""

from pathlib import Path

import pytest
from naslib_diffusion.benchmarks.engine.kill_cases import cases
from naslib_diffusion.benchmarks.engine.kills import Count, measure


@pytest.mark.slow
@pytest.mark.parametrize("name", ["search", "sampler, SQLite"])
def test_two_kills_cost_nothing(tmp_path: Path, name: str) -> None:
    (case,) = (case for case in cases(tmp_path) if case.name == name)
    count = measure(case, tmp_path / "killed", kills=2, seed=1)
    assert count == Count(kills=count.kills, runs=count.runs)
    assert count.kills >= 2
