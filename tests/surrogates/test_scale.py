"""The scale on which objectives are modelled."""

from __future__ import annotations

import itertools
import sys

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from naslib_diffusion.surrogates import ObjectiveScale

# multiples of 1/8: sums, differences and products with powers of two stay exact
VALUES = st.lists(st.integers(-1000, 1000).map(lambda i: i / 8), min_size=1, max_size=20)
FINITE = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20)


def targets(values, **options):
    values = torch.tensor(values, dtype=torch.double)
    return ObjectiveScale.of(values, **options)(values)


@given(VALUES, st.integers(-20, 20), st.integers(-1000, 1000))
def test_units_do_not_matter(values, exponent, shift):
    """Percent or fraction, with or without an offset: the same targets."""
    other = [2.0**exponent * value + shift * 2.0**exponent for value in values]
    torch.testing.assert_close(targets(other), targets(values), rtol=1e-6, atol=1e-6)


@given(VALUES, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_any_positive_unit_will_do(values, factor, shift):
    assume(len(set(values)) != 1)  # rounding tells equal values apart
    other = [factor * value + shift for value in values]
    torch.testing.assert_close(targets(other), targets(values), rtol=1e-4, atol=1e-4)


@given(FINITE)
def test_minimising_is_maximising_the_negative(values):
    negative = [-value for value in values]
    assert torch.equal(targets(values, maximize=False), targets(negative))


@given(FINITE)
def test_targets_are_finite_standardised_and_in_order(values):
    y = targets(values)
    assert bool(y.isfinite().all())
    order = torch.tensor(values, dtype=torch.double).argsort()
    assert bool((y[order].diff() >= 0).all())
    assert float(y.mean()) == pytest.approx(0, abs=1e-6)
    if float(y.max() - y.min()) > 1e-6:
        assert float(y.std()) == pytest.approx(1, abs=1e-6)


@given(VALUES)
def test_different_values_differ_and_ties_tie(values):
    y = targets(values)
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            assert (a == b) == bool(y[i] == y[j])


def test_the_top_is_resolved():
    """A point among the best counts more than one among the failures."""
    y = targets([94.0, 93.0, 90.0, 89.0, 50.0, 20.0, 10.0])
    assert y[0] - y[1] > y[2] - y[3] > 5 * (y[5] - y[6]) / 10
    failed = targets([94.0, 93.0, 90.0, 89.0, 50.0, 20.0, -1e4])
    assert failed[0] - failed[1] > 0.3 * (y[0] - y[1])


@pytest.mark.parametrize("values", [[5.0], [5.0] * 2, [0.0] * 7, [-1e300] * 3])
def test_equal_values_are_zero(values):
    assert targets(values).tolist() == [0.0] * len(values)


def test_two_values():
    assert targets([1.0, 3.0]).tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5])


@pytest.mark.parametrize(
    ("gaps", "softening"),
    [
        ([0, 1, 4], 0.5),  # half of the median
        ([0, 1, 4, 9], 0.5),  # of an even number the lower of the two in the middle
        ([0, 0, 4, 9], 13 / 8),  # half of the mean where the median is 0
        ([0, 4], 1.0),
        ([0, 0, 0], 1.0),  # any, where all are equal
    ],
)
def test_softening(gaps, softening):
    values = torch.tensor(gaps, dtype=torch.double)
    scale = ObjectiveScale.of(values, maximize=False)
    assert scale.softening == softening
    expected = -torch.log(values + softening)
    spread = float(expected.std()) or 1.0
    torch.testing.assert_close(scale(values), (expected - expected.mean()) / spread)


def test_new_values_are_mapped_in_order_and_the_best_is_a_ceiling():
    scale = ObjectiveScale.of(torch.tensor([1.0, 2.0, 4.0]).double())
    y = scale(torch.tensor([-100.0, 0.0, 3.0, 4.0, 5.0, 1e300, -1e300]).double())
    assert bool((y[:4].diff() > 0).all())
    assert y[3] == y[4] == y[5]
    assert bool(y.isfinite().all())
    assert y[6] < y[0]


@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize(
    "values",
    [
        [0.1, sys.float_info.max, sys.float_info.max],
        [sys.float_info.max, -sys.float_info.max, 0.0],
        [1e300, -1e300, 1.0, 2.0],
        [5e-324, 0.0, 0.0, 5e-324],
        [1.0, 1.0 + 2**-52, 1.0],
    ],
)
def test_extreme_values(values, maximize):
    """Penalties such as the largest float do not overflow: their gaps once summed to infinity."""
    y = targets(values, maximize=maximize)
    assert bool(y.isfinite().all())
    assert y.abs().max() < 10


@pytest.mark.parametrize("penalty", [1e3, 1e9, 1e300])
@pytest.mark.parametrize("share", [1, 8])
def test_penalties_leave_the_others_apart(penalty: float, share: int) -> None:
    values = torch.tensor(
        [1.0, 2.0, 3.0, 5.0, 9.0, 12.0] + [penalty] * 6 * share, dtype=torch.double
    )
    scale = ObjectiveScale.of(values, maximize=False)
    targets = scale(values)
    assert float(targets[0] - targets[5]) > 0.2 * float(targets[5] - targets[6])
    assert bool((targets[:6].diff() < 0).all())
    torch.testing.assert_close(scale.inverse(targets), values, rtol=1e-6, atol=0.0)


def test_exponential_growth_is_resolved_at_the_top() -> None:
    values = torch.linspace(0, 150, 61).double().exp()
    targets = ObjectiveScale.of(values, maximize=False)(values)
    assert float(targets[0] - targets[20]) > 0.3


def test_without_a_cliff_the_softening_is_half_the_median_gap() -> None:
    for seed in range(20):
        values = 90 - torch.rand(40, generator=torch.Generator().manual_seed(seed)).double() ** 4
        gaps = values.max() - values
        assert ObjectiveScale.of(values).softening == 0.5 * float(gaps.median())


@given(FINITE, st.booleans())
def test_a_step_is_up_and_finite(values, maximize):
    values = torch.tensor(values, dtype=torch.double)
    step = ObjectiveScale.of(values, maximize=maximize).step(values)
    assert 0 <= step < float("inf")


@given(st.lists(st.integers(0, 9), min_size=4, max_size=20), st.booleans())
def test_a_step_is_the_least_difference_seen_or_half_the_softening(counts, maximize):
    assume(len(set(counts)) > 1)
    values = torch.tensor(counts, dtype=torch.double) / 8
    scale = ObjectiveScale.of(values, maximize=maximize)
    least = min(b - a for a, b in itertools.pairwise(sorted(set(counts)))) / 8
    best = values.max() if maximize else values.min()
    better = scale.inverse(scale(best[None]) + scale.step(values))
    expected = min(least, scale.softening / 2)
    assert float((better - best) if maximize else (best - better)) == pytest.approx(expected)
