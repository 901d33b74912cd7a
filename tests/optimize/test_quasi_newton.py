"""Minimisation of many small problems at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, rosen, rosen_der

from naslib_diffusion.optimize.quasi_newton import minimize_rows


def convex(random, rows, columns):
    """Return a quadratic function of each row, with gradient, as (objective, one(row))."""
    roots = random.normal(size=(rows, columns, columns))
    matrices = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(columns)
    centres = random.uniform(-0.5, 1.5, (rows, columns))

    def objective(x, which):
        pulled = np.einsum("rij,rj->ri", matrices[which], x - centres[which])
        return 0.5 * ((x - centres[which]) * pulled).sum(1), pulled

    def one(row):
        return lambda z: tuple(part[0] for part in objective(z[None], np.array([row])))

    return objective, one


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 6), columns=st.integers(1, 6))
def test_each_convex_row_ends_at_the_minimum_in_its_box(seed, rows, columns):
    random = np.random.default_rng(seed)
    objective, one = convex(random, rows, columns)
    low = random.uniform(0, 0.4, (rows, columns))
    high = low + random.uniform(0, 0.6, (rows, columns))
    start = random.uniform(low, high)
    found, values = minimize_rows(objective, start, low, high, max_evaluations=500, tolerance=0)
    assert ((found >= low) & (found <= high)).all()
    for row in range(rows):
        bounds = list(zip(low[row], high[row], strict=True))
        other = minimize(one(row), start[row], jac=True, bounds=bounds, tol=1e-14)
        assert values[row] <= other.fun + 1e-6 * (1 + abs(other.fun))
        np.testing.assert_allclose(values[row], one(row)(found[row])[0])


def test_a_row_does_not_depend_on_the_others():
    random = np.random.default_rng(0)
    objective, _ = convex(random, 5, 3)
    start = random.uniform(size=(5, 3))
    low, high = np.zeros((5, 3)), np.ones((5, 3))
    together, _ = minimize_rows(objective, start, low, high, max_evaluations=20)
    for row in range(5):
        own = slice(row, row + 1)
        alone, _ = minimize_rows(
            lambda x, which, row=row: objective(x, which + row),
            start[own], low[own], high[own], max_evaluations=20,
        )  # fmt: skip
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-9)


def test_a_curved_valley_is_followed_to_its_end():
    def objective(x, which):
        return np.array([rosen(z) for z in x]), np.array([rosen_der(z) for z in x])

    start = np.array([[-1.2, 1.0], [0.0, 0.0], [1.9, -1.9]])
    low, high = np.full((3, 2), -2.0), np.full((3, 2), 2.0)
    found, values = minimize_rows(objective, start, low, high, max_evaluations=120, tolerance=0)
    np.testing.assert_allclose(found, 1.0, atol=1e-3)
    assert values == pytest.approx(0, abs=1e-6)


def test_nothing_gets_worse_and_no_more_is_asked_than_allowed():
    calls = []

    def rough(x, which):
        calls.append(len(x))
        return np.sin(40 * x).sum(1), 40 * np.cos(40 * x)

    start = np.random.default_rng(3).uniform(size=(20, 4))
    before, _ = rough(start, None)
    calls.clear()
    _, values = minimize_rows(rough, start, np.zeros((20, 4)), np.ones((20, 4)), max_evaluations=7)
    assert (values <= before).all()
    assert (values < before - 0.1).mean() > 0.9
    assert len(calls) <= 7


def test_without_a_slope_all_stays_where_it_is():
    start = np.array([[0.2, 0.7]])
    found, values = minimize_rows(
        lambda x, which: (np.zeros(len(x)), np.zeros_like(x)),
        start, np.zeros((1, 2)), np.ones((1, 2)), max_evaluations=9,
    )  # fmt: skip
    np.testing.assert_array_equal(found, start)
    assert values.tolist() == [0.0]
