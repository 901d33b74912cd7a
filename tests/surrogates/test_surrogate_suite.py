"""The conformance suite for surrogates catches broken ones."""

from __future__ import annotations

import pytest
import torch

from naslib_diffusion.spaces import Categorical, ProductSpace, Real
from naslib_diffusion.surrogates import GaussianProcess
from naslib_diffusion.testing import SurrogateTestCase

SPACE = ProductSpace([Real(0, 1), Real(0, 1), Categorical(["a", "b", "c"])])


class Column(GaussianProcess):
    def posterior(self, x):
        mean, deviation = super().posterior(x)
        return mean[:, None], deviation


class Certain(GaussianProcess):
    def posterior(self, x):
        mean, deviation = super().posterior(x)
        return mean, 0 * deviation


class Upside(GaussianProcess):
    def fit(self, x, y):
        return super().fit(x, -y)


class Relative(GaussianProcess):
    """Its scores depend on the rest of the batch."""

    def posterior(self, x):
        mean, deviation = super().posterior(x)
        return mean - mean.mean(), deviation


class Rough(GaussianProcess):
    def posterior(self, x):
        mean, deviation = super().posterior(x)
        return mean + (x.flatten(1).sum(1).detach() - x.flatten(1).sum(1)), deviation


class Moody(GaussianProcess):
    def posterior(self, x):
        mean, deviation = super().posterior(x)
        return mean + torch.rand(()), deviation


class Forgetful(GaussianProcess):
    """Its fantasies replace the observations of the original."""

    def fantasize(self, x):
        fantasized = super().fantasize(x)
        self.__dict__.update(fantasized.__dict__)
        return fantasized


class Optimist(GaussianProcess):
    """Its fantasies are better than its mean."""

    def fantasize(self, x):
        fantasized = super().fantasize(x)
        return fantasized._condition(fantasized._groups, fantasized._targets + 1)


class Picky(GaussianProcess):
    def fit(self, x, y):
        if len(y) < 3 or y.std() == 0:
            raise ValueError("not enough data")
        return super().fit(x, y)


class Last(GaussianProcess):
    """Of several measurements of a point it believes the last."""

    def fit(self, x, y):
        last = {tuple(row): i for i, row in enumerate(x.tolist())}
        return super().fit(x[list(last.values())], y[list(last.values())])


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Column, "posterior"),
        (Certain, "posterior"),
        (Upside, "learns_a_smooth_function"),
        (Relative, "rows_do_not_depend_on_each_other"),
        (Rough, "gradient"),
        (Moody, "depends_on_the_data_only"),
        (Forgetful, "fantasize"),
        (Optimist, "fantasize"),
        (Last, "repeats_are_noise"),
        (Picky, "equal_targets"),
    ],
)
def test_broken_surrogates_fail(kind, check):
    test = getattr(SurrogateTestCase(), f"test_{check}")
    test(SPACE, lambda: GaussianProcess(SPACE))
    with pytest.raises((AssertionError, ValueError)):
        test(SPACE, lambda: kind(SPACE))
