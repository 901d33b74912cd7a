"""The expected hypervolume improvement, against BoTorch's."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior
from botorch.utils.multi_objective.box_decompositions import NondominatedPartitioning
from gpytorch.distributions import MultitaskMultivariateNormal
from torch import Tensor

from naslib_diffusion.spaces import ProductSpace
from naslib_diffusion.surrogates import GaussianProcess
from naslib_diffusion.surrogates.multiobjective import (
    JointSurrogate,
    LogExpectedHypervolumeImprovement,
    dominators,
    reference_point,
)


@dataclass
class Column:
    """Predicts a coordinate of its input."""

    index: int
    deviation: float

    def fit(self, x: Tensor, y: Tensor) -> Column:
        return self

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, self.index], torch.full_like(x[:, self.index], self.deviation)

    def fantasize(self, x: Tensor) -> Column:
        return self


class Identity(Model):
    """The same for BoTorch."""

    def __init__(self, deviations: list[float]) -> None:
        super().__init__()
        self.variances = torch.tensor(deviations, dtype=torch.double) ** 2
        self.num_outputs, self.batch_shape = len(deviations), torch.Size([])

    num_outputs = 0
    batch_shape = torch.Size([])

    def posterior(self, X: Tensor, **_: object) -> GPyTorchPosterior:
        covariance = torch.diag(self.variances).expand(len(X), -1, -1)
        return GPyTorchPosterior(MultitaskMultivariateNormal(X, covariance))


def columns(m: int) -> tuple[list[float], tuple[Column, ...]]:
    deviations = [0.1 + 0.2 * i for i in range(m)]
    return deviations, tuple(Column(i, d) for i, d in enumerate(deviations))


@pytest.mark.parametrize("m", [2, 3])
def test_equals_the_analytic_one_of_botorch(m: int) -> None:
    random = torch.Generator().manual_seed(0)
    points = torch.rand(12, m, generator=random, dtype=torch.double)
    x = 2 * torch.rand(9, m, generator=random, dtype=torch.double) - 0.5
    deviations, models = columns(m)
    own = LogExpectedHypervolumeImprovement(JointSurrogate(models, points))
    reference = reference_point(points)
    theirs = ExpectedHypervolumeImprovement(
        Identity(deviations), reference.tolist(), NondominatedPartitioning(reference, points)
    )
    assert torch.allclose(own(x).exp(), theirs(x[:, None]), atol=1e-12)


def test_has_a_gradient_where_the_improvement_vanishes() -> None:
    points = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.double)
    acquisition = LogExpectedHypervolumeImprovement(JointSurrogate(columns(2)[1], points))
    x = torch.full((1, 2), -30.0, dtype=torch.double, requires_grad=True)
    score = acquisition(x)
    (gradient,) = torch.autograd.grad(score.sum(), x)
    assert score.isfinite().all()
    assert (gradient > 0).all()


def test_a_pending_point_is_not_worth_a_second_visit() -> None:
    space = ProductSpace.categorical([3, 3, 3])
    random = torch.Generator().manual_seed(0)
    x = space.encode(space.sample(12, random))
    targets = torch.randn(12, 2, generator=random, dtype=torch.double)
    models = tuple(GaussianProcess(space).fit(x, targets[:, i]) for i in range(2))
    joint = JointSurrogate(models, targets)
    new = space.encode(list(space))
    best = LogExpectedHypervolumeImprovement(joint)(new).argmax()
    after = joint.fantasize(new[best][None])
    assert len(after.points) == 13
    assert LogExpectedHypervolumeImprovement(after)(new).argmax() != best
    with pytest.raises(TypeError, match="fitted"):
        joint.fit(x, targets)


def test_dominators() -> None:
    assert dominators([(1, 1), (0, 2), (0, 0), (1, 1)]) == [0, 0, 3, 0]
