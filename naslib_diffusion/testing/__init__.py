"""Conformance suites for implementations of the package's protocols; they need pytest."""

import pytest

pytest.register_assert_rewrite("naslib_diffusion.testing.spaces")

from naslib_diffusion.testing.spaces import SpaceTestCase  # noqa: E402 - after the line above

__all__ = ["SpaceTestCase"]
