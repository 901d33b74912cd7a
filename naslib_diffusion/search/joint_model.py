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
from naslib_diffusion.search.trials import ParetoTrial, Prediction, Trial
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
    """A surrogate for each objective; `best` is None while no trial is feasible, else 0.

    Attributes:
        surrogate: of all objectives, on the scales below.
        scales: of each objective, with its sign, so that high is good.
        signs: 1 for what is maximised, -1 for what is minimised.
    """

    surrogate: JointSurrogate
    scales: tuple[ObjectiveScale, ...] = ()
    signs: tuple[float, ...] = ()

    def fantasize(self, x: Tensor) -> Self:
        """Return the model as if encodings had been observed, once there is a front."""
        return self if self.best is None else replace(self, surrogate=self.surrogate.fantasize(x))

    def predict(self, x: Tensor, guide: Guide) -> tuple[Prediction, ...]:
        """Return what is expected of one encoding, `1 x *shape`, for each objective."""
        score = float(guide(x))
        mean, deviation = self.surrogate.posterior(x)
        levels = torch.stack([mean, mean - deviation, mean + deviation]).double().cpu()
        columns = zip(self.scales, self.signs, levels[:, 0].T, strict=True)
        values = [(sign * scale.inverse(column)).tolist() for scale, sign, column in columns]
        return tuple(Prediction(score, middle, abs(b - a) / 2) for middle, a, b in values)

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
        rows = [signed(trial, self.signs) for trial in done]
        table = torch.tensor(rows, dtype=torch.double)
        scales = tuple(ObjectiveScale.of(column) for column in table.T)
        targets = [scale(column).to(x) for scale, column in zip(scales, table.T, strict=True)]
        models = tuple(
            fit_to_values(informed(copy.copy(self.surrogate), priors), x, column, scale)
            for priors, column, scale in zip(self.priors_each, table.T, scales, strict=True)
        )
        worth = [levels(m, x, y, self.noisy) for m, y in zip(models, targets, strict=True)]
        front = torch.stack(worth, -1)[feasible(done, x)].detach()
        return JointModel(
            JointSurrogate(models, front),
            scales[0],
            0.0 if len(front) else None,
            self.feasibility(trials),
            scales=scales,
            signs=self.signs,
        )

    def _expect(self, known: Sequence[A]) -> JointModel:
        """Return what the priors say before the first value: to beat is what is average."""
        models = tuple(informed(copy.copy(self.surrogate), own) for own in self.priors_each)
        average = torch.zeros(1, len(models), dtype=torch.double, device=self.device)
        joint = JointSurrogate(models, average)
        if known:
            joint = joint.fantasize(self.encode(known))
        scales = (UNSCALED,) * len(models)
        return JointModel(joint, UNSCALED, 0.0, None, scales=scales, signs=self.signs)


def signed(trial: Trial[A], signs: Sequence[float]) -> list[float]:
    """Return the objectives of a trial with their signs, so that high is good."""
    assert isinstance(trial, ParetoTrial)
    return [sign * value for sign, value in zip(signs, trial.objectives, strict=True)]
