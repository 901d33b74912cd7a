"""What a search with several objectives believes: a surrogate for each, and their hypervolume."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeVar

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.search.model import UNSCALED, Model, Modeler, feasible
from naslib_diffusion.search.trials import Trial
from naslib_diffusion.surrogates import ObjectiveScale
from naslib_diffusion.surrogates.base import fit_to_values, levels
from naslib_diffusion.surrogates.multiobjective import (
    JointSurrogate,
    LogExpectedHypervolumeImprovement,
)
from naslib_diffusion.surrogates.prior import Prior, informed

A = TypeVar("A", bound=Hashable)


@dataclass(frozen=True)
class JointModel(Model):
    """A surrogate for each objective; `best` is None while no trial is feasible, else 0."""

    surrogate: JointSurrogate

    def fantasize(self, x: Tensor) -> Self:
        """Return the model as if encodings had been observed, once there is a front."""
        return self if self.best is None else replace(self, surrogate=self.surrogate.fantasize(x))

    def _improvement(self, random: torch.Generator) -> Guide:
        return LogExpectedHypervolumeImprovement(self.surrogate)


@dataclass(frozen=True)
class JointModeler(Modeler[A]):
    """Fits one surrogate to each objective.

    Attributes:
        signs: 1 for objectives to be maximised, -1 for those to be minimised.
        priors_each: what is expected of each objective.
    """

    signs: tuple[float, ...] = ()
    priors_each: tuple[tuple[Prior, ...], ...] = ()

    def _fit(self, x: Tensor, done: Sequence[Trial[A]], trials: Sequence[Trial[A]]) -> JointModel:
        columns = torch.tensor([trial.told for trial in done], dtype=torch.double).T
        scales = tuple(
            ObjectiveScale.of(column, maximize=sign > 0)
            for sign, column in zip(self.signs, columns, strict=True)
        )
        targets = [scale(column).to(x) for scale, column in zip(scales, columns, strict=True)]
        models = tuple(
            fit_to_values(informed(copy.copy(self.surrogate), priors), x, column, scale)
            for priors, column, scale in zip(self.priors_each, columns, scales, strict=True)
        )
        worth = [levels(m, x, y, self.noisy) for m, y in zip(models, targets, strict=True)]
        front = torch.stack(worth, -1)[feasible(done, x)].detach()
        best = 0.0 if len(front) else None
        return JointModel(JointSurrogate(models, front), scales, best, self.feasibility(trials))

    def _expect(self, known: Sequence[A]) -> JointModel:
        """Return what the priors say before the first value: to beat is what is average."""
        models = tuple(informed(copy.copy(self.surrogate), own) for own in self.priors_each)
        average = torch.zeros(1, len(models), dtype=torch.double, device=self.device)
        joint = JointSurrogate(models, average)
        if known:
            joint = joint.fantasize(self.encode(known))
        return JointModel(joint, (UNSCALED,) * len(models), 0.0, None)
