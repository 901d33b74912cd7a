"""What failures and constraints tell of where evaluations are worth trying."""

from __future__ import annotations

import math

import pytest
import torch

from naslib_diffusion.spaces import ProductSpace
from naslib_diffusion.spaces.numbers import Real
from naslib_diffusion.surrogates import Constrained, Feasibility, make_surrogate
from naslib_diffusion.surrogates.classifier import Classifier


def points(n: int, seed: int = 0, dim: int = 4) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.rand(n, dim, generator=random, dtype=torch.double)


def fails(x: torch.Tensor) -> torch.Tensor:
    """A restriction as those of kernels: a sum of (logarithms of) sizes."""
    return x[:, :3].sum(1) > 1.5


def test_a_border_is_learned_from_few_labels() -> None:
    """Thirty labels suffice: calibrated, and nearly always right where it is sure."""
    x, new = points(30), points(2000, seed=1)
    model = Classifier.fit(x, ~fails(x))
    likely, fine = model(new).exp(), ~fails(new)
    loss = -torch.where(fine, likely, 1 - likely).log().mean()
    assert loss < 0.35
    assert (fine == (likely > 0.5)).double().mean() > 0.85
    assert fine[likely.topk(200).indices].double().mean() > 0.98


def test_labels_are_believed_where_they_were_seen() -> None:
    x = points(40)
    likely = Classifier.fit(x, ~fails(x))(x).exp()
    assert ((likely > 0.5) == ~fails(x)).all()


def test_what_failed_is_hardly_expected_to_succeed() -> None:
    """Even where all failures are at the edge: in between are none that say how far it goes."""
    near = 0.5 + points(20, dim=1) / 40
    fine, edge = points(14, dim=1) / 2, 1 - points(20, dim=1) / 1000
    labels = torch.arange(54) < 14
    model = Classifier.fit(torch.cat([fine, near, edge]), labels)
    assert (model(torch.cat([near[near[:, 0] > 0.51], edge])).exp() < 0.1).all()
    assert (model(fine[fine[:, 0] < 0.45]).exp() > 0.7).all()


def test_gradient_is_that_of_the_value() -> None:
    x = points(20)
    model = Classifier.fit(x, ~fails(x))
    at = points(3, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(model, (at,))


def test_one_label_only_is_no_error() -> None:
    x = points(3)
    assert (Classifier.fit(x, torch.zeros(3).bool())(x).exp() < 0.5).all()
    assert (Classifier.fit(x[:1], torch.ones(1).bool())(x[:1]).exp() > 0.5).all()


def test_constraints_with_values_are_modelled_by_their_values() -> None:
    space = ProductSpace([Real(0, 1), Real(0, 1)])
    x = points(20, dim=2)
    rows = (x[:, :1] - 0.5).tolist()
    model = Feasibility.fit(make_surrogate("gp", space), x, rows)
    assert model is not None
    low, high = model(torch.tensor([[0.2, 0.5], [0.8, 0.5]], dtype=torch.double)).tolist()
    assert low > math.log(0.9) > math.log(0.1) > high


@pytest.mark.parametrize("worth", [-300.0, -30_000.0])
def test_what_hardly_can_be_evaluated_never_looks_better(worth: float) -> None:
    """However little is left to gain where evaluations succeed."""
    x = points(40)
    model = Feasibility((Classifier.fit(x, ~fails(x)),), known=40)
    good, bad = torch.full((1, 4), 0.1).double(), torch.full((1, 4), 0.9).double()

    def acquisition(z: torch.Tensor) -> torch.Tensor:
        return torch.where(fails(z), -1.0, worth).double()

    score = Constrained(acquisition, model)
    assert score(good) > score(bad)


def test_more_is_demanded_the_more_is_known() -> None:
    """What fails with probability 1/4 is not worse off early on, and is after 100 evaluations."""

    def score(known: int, likely: float) -> float:
        model = Feasibility((lambda x: x[:, 0] * 0 + math.log(likely),), known)
        return float(Constrained(lambda x: x[:, 0] * 0, model)(points(1)))

    assert score(10, 0.75) == pytest.approx(math.log(0.75))
    assert score(100, 0.75) < math.log(0.5)
    assert score(10, 0.5) == pytest.approx(score(5, 0.5)) == pytest.approx(math.log(0.5))
    assert score(10, 0.4) < 2 * math.log(0.5)
