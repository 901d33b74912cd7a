"""Optuna's own test-suite for samplers, with the model in use from the second trial on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from naslib_diffusion import DiffusionNAGSampler


@pytest.mark.slow
class TestDiffusionNAGSampler(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: DiffusionNAGSampler(n_startup_trials=0)
