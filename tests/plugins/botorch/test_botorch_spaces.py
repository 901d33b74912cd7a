"""`optimize_acqf_diffusion` over transformers, declared spaces and budgets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.models import MixedSingleTaskGP, SingleTaskGP
from botorch.utils.transforms import t_batch_mode_transform
from naslib_diffusion.plugins.botorch import optimize_acqf_diffusion
from torch import Tensor

from naslib_diffusion.spaces import (
    GPT,
    Budgeted,
    Categorical,
    DeclaredSpace,
    Maybe,
    ProductSpace,
    Real,
    Repeat,
    When,
)

DECLARED = DeclaredSpace(
    {
        "width": [16, 32, 64],
        "layers": Repeat({"kernel": [3, 5, 7]}, depth=[1, 2, 3]),
        "head": Maybe({"heads": [2, 4]}),
        "optimiser": ["sgd", "adam"],
        "momentum": When(Real(0.0, 0.99), optimiser="sgd"),
    },
    costs={"work": {"width": lambda width: width, "layers.kernel": lambda kernel: 10 * kernel}},
)
POINTS = ProductSpace(
    [Categorical(["a", "b", "c"], name="kind"), Real(0, 1, name="x")],
    costs={"price": {"kind": [3, 2, 1]}},
)
SPACES = {
    "declared": DECLARED,
    "declared within": Budgeted(DECLARED, "work", at_most=110),
    "transformers": GPT("s"),
    "transformers within": Budgeted(GPT("s"), "params", at_most=30e6),
}


class Linear(AcquisitionFunction):
    """A linear function of the first of one point's columns."""

    def __init__(self, width: int) -> None:
        super().__init__(model=None)
        self.weights = torch.randn(width, generator=torch.Generator().manual_seed(0)).double()
        self.X_pending = None

    @t_batch_mode_transform(expected_q=1)
    def forward(self, X: Tensor) -> Tensor:
        return X[..., 0, :] @ self.weights


def points(space: Any, n: int, seed: int = 0) -> Tensor:
    archs = space.sample(n, torch.Generator().manual_seed(seed))
    return space.encode(archs).flatten(1)


@pytest.mark.parametrize("name", SPACES)
def test_candidates_are_architectures_better_than_thousands_at_random(name: str) -> None:
    space = SPACES[name]
    avoid = points(space, 5)
    function = Linear(avoid.shape[1])
    x, value = optimize_acqf_diffusion(function, space, X_avoid=avoid, options={"seed": 0})
    (arch,) = space.decode(x)
    assert space.is_valid(arch)
    assert torch.allclose(space.encode([arch]), x)
    avoided = set(map(space.canonical, space.decode(avoid)))
    assert space.canonical(arch) not in avoided
    drawn = space.sample(2000, torch.Generator().manual_seed(1))
    others = [own for own in drawn if space.canonical(own) not in avoided]
    assert value >= (space.encode(others) @ function.weights).max()


@pytest.mark.parametrize("name", SPACES)
def test_a_batch_by_expected_improvement(name: str) -> None:
    space = SPACES[name]
    x = points(space, 12)
    model = SingleTaskGP(x, (x @ torch.arange(x.shape[1]).double()).sin().unsqueeze(1))
    found, _ = optimize_acqf_diffusion(
        LogExpectedImprovement(model, best_f=0.9), space, X_avoid=x, options={"seed": 0}
    )
    assert all(map(space.is_valid, space.decode(found)))


def test_points_beyond_a_budget_are_avoided_by_it_and_ban_no_others() -> None:
    small = DeclaredSpace({"width": [16, 32, 64]}, costs={"work": {"width": lambda width: width}})
    space = Budgeted(small, "work", at_most=32)
    beyond = small.encode([small.parse('{"width": 64}')])
    function = Linear(3)
    function.weights = torch.tensor([0.0, 1.0, 2.0]).double()  # the nearest member is the best
    x, _ = optimize_acqf_diffusion(function, space, X_avoid=beyond, options={"seed": 0})
    assert space.decode(x)[0]["width"] == 32


def test_fixed_features_within_a_budget() -> None:
    space = SPACES["declared within"]
    column = DECLARED.legend.index("width=64")
    x, _ = optimize_acqf_diffusion(
        Linear(space.shape[0]), space, fixed_features={column: 1.0}, options={"seed": 0}
    )
    (arch,) = space.decode(x)
    assert arch["width"] == 64
    assert DECLARED.cost(arch, "work") <= 110


def test_indices_within_a_budget() -> None:
    space = Budgeted(POINTS, "price", at_most=2)
    x = torch.tensor([[1.0, 0.2], [2.0, 0.7], [1.0, 0.9]], dtype=torch.double)
    model = MixedSingleTaskGP(x, x.sum(1, keepdim=True), cat_dims=[0])
    found, _ = optimize_acqf_diffusion(
        LogExpectedImprovement(model, best_f=1.0), space, encoding="index", options={"seed": 0}
    )
    assert found[0, 0] in (1.0, 2.0)
