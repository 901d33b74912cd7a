"""Commands that are killed go on, and end as if nothing had happened."""

from pathlib import Path

import pytest
from naslib_diffusion.benchmarks.engine.reliability import Count, cases, measure


@pytest.mark.slow
@pytest.mark.parametrize("name", ["search", "transfer"])
def test_two_kills_cost_nothing(tmp_path: Path, name: str) -> None:
    (case,) = (case for case in cases(tmp_path) if case.name == name)
    count = measure(case, tmp_path / name, kills=2, seed=1)
    assert count == Count(kills=count.kills, runs=count.runs)
    assert count.kills >= 2
