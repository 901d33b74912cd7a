"""GP-UCB (Srinivas et al., ICML 2010) with BoTorch's own Gaussian process on the encoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from botorch import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.kernels import RBFKernel, ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from naslib_diffusion.benchmarks.baselines.method import PoolMethod
from torch import Tensor

from naslib_diffusion.spaces import Space
from naslib_diffusion.spaces.base import A

ITERATIONS = 30
"""Steps of L-BFGS-B of a fit."""


class GPUCB(PoolMethod[A]):  # type: ignore[misc]
    """The upper confidence bound over a pool.

    Args:
        space: where to search.
        seed: of all random decisions.
        deviations: weight of the standard deviation.
        pool: as of `PoolMethod`; so are the rest.
    """

    def __init__(self, space: Space[A], seed: int, *, deviations: float, **pool: Any) -> None:
        super().__init__(space, seed, **pool)
        self._deviations = deviations

    def score(self, candidates: Sequence[A]) -> Tensor:
        """Fit one length scale, and return the bound: `B`."""
        x = self.space.encode(self.archs).flatten(1)
        y = torch.tensor(self.values, dtype=torch.double).unsqueeze(1)
        model = SingleTaskGP(x, y, covar_module=ScaleKernel(RBFKernel()))  # it standardises y
        likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
        fit_gpytorch_mll(likelihood, optimizer_kwargs={"options": {"maxiter": ITERATIONS}})
        with torch.no_grad():
            at = model.posterior(self.space.encode(candidates).flatten(1))
        return (at.mean + self._deviations * at.variance.sqrt())[:, 0]
