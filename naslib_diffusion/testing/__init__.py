"""Conformance suites for implementations of the package's protocols; they need pytest."""

import pytest

pytest.register_assert_rewrite(
    "naslib_diffusion.testing.denoisers",
    "naslib_diffusion.testing.spaces",
    "naslib_diffusion.testing.strategies",
    "naslib_diffusion.testing.surrogates",
)

# after the lines above
from naslib_diffusion.testing.denoisers import DenoiserTestCase  # noqa: E402
from naslib_diffusion.testing.spaces import SpaceTestCase  # noqa: E402
from naslib_diffusion.testing.strategies import StrategyTestCase  # noqa: E402
from naslib_diffusion.testing.surrogates import SurrogateTestCase  # noqa: E402

__all__ = ["DenoiserTestCase", "SpaceTestCase", "StrategyTestCase", "SurrogateTestCase"]
