"""`candidates_func` for the BoTorchSampler of optuna-integration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.objective import GenericMCObjective
from botorch.exceptions.errors import InputDataError
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from botorch.utils.transforms import normalize, unnormalize
from gpytorch.mlls import ExactMarginalLogLikelihood
from naslib_diffusion.plugins.botorch.checks import are_encodings
from naslib_diffusion.plugins.botorch.coding import OneHot
from naslib_diffusion.plugins.botorch.optimize import optimize_acqf_diffusion
from torch import Tensor

from naslib_diffusion.spaces import ProductSpace

SAMPLES = 128
"""Draws of the Monte Carlo acquisition functions."""


class DiffusionCandidates:
    """Proposes the next trial; pass it as `candidates_func` to `BoTorchSampler`.

    Acquisition functions are noisy expected improvement, or that of the hypervolume if there are
    several objectives, with constraints. No trial is proposed twice.

    Example:
        >>> space = ProductSpace([Categorical(("a", "b"), name="kind"), Real(0.0, 1.0, name="x")])
        >>> sampler = BoTorchSampler(candidates_func=DiffusionCandidates(space))

    Args:
        space: the study's parameters, in the sorted order of their names as Optuna has it.
        options: see `optimize_acqf_diffusion`.
    """

    def __init__(self, space: ProductSpace, options: Mapping[str, Any] | None = None) -> None:
        self.space, self.options = space, options

    def __call__(
        self,
        train_x: Tensor,
        train_obj: Tensor,
        train_con: Tensor | None,
        bounds: Tensor,
        pending_x: Tensor | None,
    ) -> Tensor:
        """Return `1 x d` candidates; see `optuna_integration.botorch.logei_candidates_func`.

        Raises:
            InputDataError: if the bounds do not fit the space, or it is exhausted.
        """
        (width,) = self.space.shape
        if bounds.shape[-1] != width:
            raise InputDataError(
                f"the study has {bounds.shape[-1]} columns, the space has {width}: give the "
                "study's parameters in the sorted order of their names"
            )
        seen = normalize(train_x, bounds)
        pending = None if pending_x is None else normalize(pending_x, bounds)
        acq_function = _acquisition(seen, train_obj, train_con, pending)
        avoid = seen if pending is None else torch.cat([seen, pending])
        avoid = avoid[are_encodings(self.space, OneHot(self.space), avoid)]
        candidates, _ = optimize_acqf_diffusion(
            acq_function, self.space, q=1, X_avoid=avoid, options=self.options
        )
        return unnormalize(candidates, bounds)


def _acquisition(
    x: Tensor, objectives: Tensor, constraints: Tensor | None, pending: Tensor | None
) -> qLogNoisyExpectedImprovement | qLogNoisyExpectedHypervolumeImprovement:
    """Fit a model to all outcomes, and return the acquisition function for them."""
    outcomes = objectives if constraints is None else torch.cat([objectives, constraints], -1)
    model = SingleTaskGP(x, outcomes)
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    count = objectives.shape[-1]
    rules = [_outcome(i) for i in range(count, outcomes.shape[-1])] or None
    seed = int(torch.randint(2**31, ()))
    sampler = SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=seed)
    if count == 1:
        objective = GenericMCObjective(_first)
        return qLogNoisyExpectedImprovement(
            model, x, sampler=sampler, objective=objective, constraints=rules, X_pending=pending
        )
    return qLogNoisyExpectedHypervolumeImprovement(
        model,
        infer_reference_point(_feasible(objectives, constraints)),
        x,
        sampler=sampler,
        objective=IdentityMCMultiOutputObjective(outcomes=list(range(count))),
        constraints=rules,
        X_pending=pending,
    )


def _first(outcomes: Tensor, X: Tensor | None = None) -> Tensor:
    return outcomes[..., 0]


def _outcome(index: int) -> Callable[[Tensor], Tensor]:
    return lambda y: y[..., index]


def _feasible(objectives: Tensor, constraints: Tensor | None) -> Tensor:
    """Return the objectives of feasible points; of all, if none is."""
    if constraints is None:
        return objectives
    met = (constraints <= 0).all(-1)
    return objectives[met] if bool(met.any()) else objectives
