"""Acquisition functions to maximise: Gaussian processes on random functions of known spaces."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.analytic import UpperConfidenceBound
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.sampling.normal import SobolQMCNormalSampler
from gpytorch.mlls import ExactMarginalLogLikelihood
from torch import Tensor
from torch.nn import functional

from naslib_diffusion.spaces import Categorical, ProductSpace, Real
from naslib_diffusion.spaces.parameters import Parameter

ACQUISITIONS = ("UCB", "qLogNEI")


@dataclass(frozen=True)
class Case:
    """A kind of problem: `nodes` choices of `operations`, `reals` coordinates, `points` known."""

    name: str
    nodes: int
    operations: int
    points: int
    reals: int = 0

    @property
    def space(self) -> ProductSpace:
        """The one-hots, then the real coordinates."""
        parameters: list[Parameter] = [
            Categorical(range(self.operations), name=f"c{i}") for i in range(self.nodes)
        ]
        parameters += [Real(0.0, 1.0, name=f"r{i}") for i in range(self.reals)]
        return ProductSpace(parameters)


CASES = {
    "6x5": Case("6x5", 6, 5, 50),
    "20x9": Case("20x9", 20, 9, 100),
    "60x9": Case("60x9", 60, 9, 50),
    "mixed": Case("mixed", 20, 9, 150, reals=10),
}


def objective(case: Case, x: Tensor, seed: int) -> Tensor:
    """Return a random function with pair interactions and one peak in the reals, with noise, `n`.

    Args:
        case: gives the layout of the encoding.
        x: encodings, `n x D`.
        seed: of the function and its noise.
    """
    random = torch.Generator().manual_seed(seed)
    n, k = case.nodes, case.operations
    single = torch.randn(n, k, generator=random, dtype=torch.double)
    chosen = torch.randperm(n * (n - 1) // 2, generator=random)[: 2 * n]
    left, right = torch.triu_indices(n, n, 1)[:, chosen]
    pairs = 0.7 * torch.randn(len(chosen), k, k, generator=random, dtype=torch.double)
    peak = torch.rand(case.reals, generator=random, dtype=torch.double)
    hot, real = x[:, : n * k].view(-1, n, k), x[:, n * k :]
    y = (hot * single).sum((1, 2)) - 4 * (real - peak).square().sum(1)
    y = y + torch.einsum("npk,pkl,npl->n", hot[:, left], pairs, hot[:, right])
    return y + 0.05 * y.std() * torch.randn(len(y), generator=random, dtype=torch.double)


def fitted(case: Case, seed: int, *, fit: bool = True) -> tuple[SingleTaskGP, Tensor]:
    """Return a Gaussian process on random points of a random function, and those points."""
    space = case.space
    x = space.encode(space.sample(case.points, torch.Generator().manual_seed(seed)))
    model = SingleTaskGP(x, objective(case, x, seed)[:, None])
    if fit:
        likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
        fit_gpytorch_mll(likelihood, optimizer_kwargs={"options": {"maxiter": 100}})
    return model.eval(), x


def acquisition(name: str, model: SingleTaskGP, x: Tensor) -> AcquisitionFunction:
    """Return an acquisition function by name; the same one at each call."""
    if name == "UCB":
        return UpperConfidenceBound(model, beta=4.0)
    sampler = SobolQMCNormalSampler(torch.Size([128]), seed=0)
    return qLogNoisyExpectedImprovement(model, x, sampler=sampler, prune_baseline=False)


class Counted(AcquisitionFunction):
    """An acquisition function that counts the batches of points it is given."""

    def __init__(self, inner: AcquisitionFunction) -> None:
        super().__init__(model=inner.model)
        self.inner = inner
        self.evaluations = 0

    def __getattr__(self, name: str) -> Any:
        """Return the function's own pending points; AttributeError if it knows none."""
        return getattr(self.inner, name) if name == "X_pending" else super().__getattr__(name)

    def set_X_pending(self, X_pending: Tensor | None = None) -> None:
        """Set them."""
        self.inner.set_X_pending(X_pending)

    def forward(self, X: Tensor) -> Tensor:
        """Map `b x q x d` to `b`."""
        self.evaluations += math.prod(X.shape[:-2])
        values: Tensor = self.inner(X)
        return values


class Indexed(AcquisitionFunction):
    """The same function of integer codes: one column per choice, then the real coordinates.

    BoTorch's own optimizers cannot search one-hots, so they are given this one.
    """

    def __init__(self, inner: Counted, case: Case) -> None:
        super().__init__(model=inner.model)
        self.inner, self.case = inner, case
        self.X_pending: Tensor | None = None  # type: ignore[assignment]

    def encode(self, X: Tensor) -> Tensor:
        """Map codes, `... x (nodes + reals)`, to encodings, `... x D`."""
        codes = X[..., : self.case.nodes].round().long()
        hot = functional.one_hot(codes, self.case.operations).to(X).flatten(-2)
        return torch.cat([hot, X[..., self.case.nodes :]], -1)

    def set_X_pending(self, X_pending: Tensor | None = None) -> None:
        """Set pending codes."""
        self.X_pending = X_pending
        self.inner.set_X_pending(None if X_pending is None else self.encode(X_pending))

    def forward(self, X: Tensor) -> Tensor:
        """Map `b x q x (nodes + reals)` to `b`."""
        values: Tensor = self.inner(self.encode(X))
        return values
