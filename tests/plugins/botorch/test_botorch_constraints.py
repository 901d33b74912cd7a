"""Constraints, rounding and inputs of `optimize_acqf_diffusion`."""

from __future__ import annotations

import pytest
import torch
from botorch.exceptions.errors import InputDataError, UnsupportedError
from botorch.models import SingleTaskGP
from botorch.models.transforms.input import Normalize
from naslib_diffusion.plugins.botorch import optimize_acqf_diffusion

from naslib_diffusion.spaces import Categorical, Integer, ProductSpace, Real

REALS = [Real(0.0, 1.0, name=f"x{i}") for i in range(4)]
MIXED = ProductSpace([*REALS, Categorical(("a", "b", "c"), name="kind")])
TARGET = torch.tensor([0.9, 0.6, 0.2, 0.05]).double()
ON_SIMPLEX = torch.tensor([0.65, 0.35, 0.0, 0.0]).double()
"""The point of the simplex nearest to `TARGET`."""
FOUR = torch.arange(4)
ONES = torch.ones(4).double()
WITHIN = (FOUR, -ONES, -1.0)  # the sum is at most one


def peak(X):
    """Be largest at `TARGET`, and at the second kind."""
    x = X[:, 0]
    return 0.1 * x[:, 5] - (x[:, :4] - TARGET).square().sum(-1)


def solve(constraint, acq_function=peak, space=MIXED, **kwargs):
    options = {"seed": 0, "num_samples": 16, "num_restarts": 3}
    return optimize_acqf_diffusion(
        acq_function, space, constraint=constraint, options=options, **kwargs
    )


@pytest.mark.parametrize(
    "constraint",
    [
        [WITHIN],
        WITHIN,
        [([0, 1, 2, 3], [-1.0] * 4, -1)],
        lambda x: 1 - x[:, :4].sum(1),
        lambda x: x[:, :4].sum(1) <= 1,
        [(lambda x: 1 - x[:4].sum(), True)],
        [WITHIN, (FOUR, ONES, 1.0)],
        lambda x: -(x[:, :4].sum(1) - 1).abs(),
    ],
    ids=["linear", "one", "lists", "function", "booleans", "intra-point", "equality", "absolute"],
)
def test_the_optimum_on_a_boundary_is_found(constraint):
    candidates, value = solve(constraint)
    assert float(candidates[0, :4].sum()) <= 1 + 1e-8
    torch.testing.assert_close(candidates[0, :4], ON_SIMPLEX, atol=2e-3, rtol=0)
    assert candidates[0, 4:].tolist() == [0, 1, 0]
    assert float(value) == pytest.approx(float(peak(candidates[None])), abs=1e-12)


def test_several_constraints_meet_in_a_corner():
    rules = [WITHIN, (torch.tensor([0, 1]), torch.tensor([-1.0, 0.5]).double(), -0.3)]
    candidates, _ = solve(rules)
    # x0 = 0.3 + x1 / 2 and x0 + x1 = 1
    expected = torch.tensor([0.5333333, 0.4666667, 0.0, 0.0]).double()
    torch.testing.assert_close(candidates[0, :4], expected, atol=1e-4, rtol=0)


def test_a_curved_constraint():
    candidates, _ = solve(lambda x: 0.25 - x[:, :4].square().sum(1))
    expected = TARGET / TARGET.norm() / 2
    torch.testing.assert_close(candidates[0, :4], expected, atol=5e-3, rtol=0)


def test_at_most_two_reals_are_not_zero():
    candidates, _ = solve(lambda x: 2.0 - (x[:, :4] > 1e-6).sum(1).to(x))
    expected = torch.tensor([0.9, 0.6, 0.0, 0.0]).double()
    torch.testing.assert_close(candidates[0, :4], expected, atol=1e-4, rtol=0)


def test_batches_keep_to_constraints():
    def spread(X):
        return peak(X[:, :1]) + peak(X[:, 1:]) + 0.1 * (X[:, 0] - X[:, 1]).square().sum(-1)

    candidates, value = solve([WITHIN], spread, q=2)
    assert bool((candidates[:, :4].sum(1) <= 1 + 1e-8).all())
    assert float(value) == pytest.approx(float(spread(candidates[None])), abs=1e-12)


def test_what_cannot_be_found_says_what_can():
    with pytest.raises(InputDataError, match="as two of opposite signs"):
        solve(lambda x: (x[:, :4].sum(1) - 0.123456).abs() < 1e-9)


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        ([(torch.tensor([[0, 1], [1, 1]]), torch.ones(2), 0.0)], "between the candidates"),
        ([(lambda x: x.sum(), False)], "between the candidates"),
        ([(torch.tensor([0, 9]), torch.ones(2), 0.0)], r"columns are 0 \.\.\. 6"),
        ([(torch.tensor([0, 1]), torch.ones(3), 0.0)], "the same length"),
        ([("x0", 1.0, 0.0)], r"must be \(indices, coefficients, rhs\)"),
        ([3.0], "constraint 0 is float; allowed are"),
        ("x0 <= 1", "constraint is str; allowed are"),
    ],
)
def test_forms_that_are_not_known_are_refused(constraint, message):
    with pytest.raises((InputDataError, UnsupportedError), match=message) as caught:
        solve(constraint)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (lambda x: (x[:, 0] - 2).sqrt(), "constraint is NaN at"),
        ((FOUR, ONES * torch.nan, 0.0), "constraint 0 has coefficients .* must be finite"),
        ((FOUR, ONES, torch.inf), "right side inf"),
    ],
    ids=["function", "coefficients", "right side"],
)
def test_constraints_have_to_be_numbers(constraint, message):
    with pytest.raises(InputDataError, match=message):
        solve(constraint)


def test_no_constraints_are_none():
    candidates, _ = solve([])
    torch.testing.assert_close(candidates[0, :4], TARGET, atol=1e-4, rtol=0)


@pytest.mark.parametrize("limit", [0.497005, 0.591756, 0.764201])
def test_rounded_candidates_keep_to_constraints(limit):
    space = ProductSpace([Integer(1, 3000, name="n"), Real(0.0, 1.0)])
    rule = [(torch.tensor([0]), torch.tensor([-1.0]), -limit)]
    candidates, value = solve(rule, lambda X: X[:, 0, 0], space)
    assert limit - 1 / 3000 <= float(candidates[0, 0]) <= limit + 1e-8
    assert float(value) == float(candidates[0, 0])
    assert torch.equal(space.encode(space.decode(candidates)), candidates)


def test_values_are_those_of_rounded_candidates():
    space = ProductSpace([Integer(1, 2000, log=True), Categorical(("a", "b"))])
    everything = space.encode([space.parse(f'[{n}, "{k}"]') for n in range(1, 2001) for k in "ab"])

    def wave(X):
        return torch.sin(9 * X[:, 0, 0]) - 4 * X[:, 0, 0] + 0.1 * X[:, 0, 1]

    candidates, value = solve(None, wave, space)
    assert float(value) == float(wave(candidates[None]))
    assert float(value) == pytest.approx(float(wave(everything[:, None]).max()))


@pytest.mark.parametrize("grid", [Real(0.0, 1.0, step=0.5), Integer(0, 2), Integer(0, 5000)])
def test_grids_are_fixed_at_the_value_of_a_position(grid):
    space = ProductSpace([grid, Categorical(("a", "b"))])
    candidates, _ = solve(None, lambda X: -X[:, 0, 0], space, fixed_features={0: 1.0})
    (point,) = space.decode(candidates)
    assert point.values[0] == grid.high
    with pytest.raises(InputDataError, match="no architecture"):
        solve(None, lambda X: X[:, 0, 0], space, fixed_features={1: 0.5})


UNITS = ProductSpace(
    [Real(10.0, 50.0, name="temperature"), Categorical(("a", "b"), name="kind"), Integer(1, 9)]
)
RAW = torch.tensor([[24.0, 1, 0, 3], [37.0, 0, 1, 9]]).double()


@pytest.mark.parametrize("scale", [1.0, torch.nan, 0.3 / RAW])
def test_points_to_avoid_have_to_be_encodings(scale):
    with pytest.raises(InputDataError, match=r"X_avoid: row 0 .* 0 'temperature' \(position"):
        solve(None, lambda X: X.sum((1, 2)), UNITS, X_avoid=RAW * scale)


def test_models_have_to_be_trained_on_encodings():
    from botorch.acquisition import UpperConfidenceBound

    model = SingleTaskGP(RAW, RAW[:, :1] / 50, input_transform=Normalize(d=4))
    with pytest.raises(InputDataError, match="the model's training inputs: row 0"):
        solve(None, UpperConfidenceBound(model, 0.1), UNITS)


def test_points_in_single_precision_are_encodings():
    x = UNITS.encode(UNITS.sample(4, torch.Generator().manual_seed(0)))
    candidates, _ = solve(None, lambda X: X.sum((1, 2)), UNITS, X_avoid=x.float())
    assert UNITS.is_valid(UNITS.decode(candidates)[0])
