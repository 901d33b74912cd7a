"""What a search believes: a model fitted to its trials, and the acquisition function of it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.runtime.moving import moved
from naslib_diffusion.search.trials import Prediction, Trial
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.equality import Exact
from naslib_diffusion.surrogates import (
    Constrained,
    Feasibility,
    IndependentThompson,
    LogExpectedImprovement,
    NeuralEnsemble,
    ObjectiveScale,
    Surrogate,
    UpperConfidenceBound,
    make_surrogate,
)
from naslib_diffusion.surrogates.base import fit_to_values, levels, observed
from naslib_diffusion.surrogates.doubt import doubted
from naslib_diffusion.surrogates.prior import Prior, informed

A = TypeVar("A", bound=Hashable)

ACQUISITIONS = ("logei", "ucb", "its")
MANY = 5
"""So many architectures that are equally the best are a plateau: one more is no improvement. Fewer
are common where values are counts, and then a better one is often next to them."""
UNSCALED = ObjectiveScale(1.0, 0.0, 1.0, 0.0, 1.0)
"""Of targets before the first value: they are in the unit of the priors."""


@dataclass(frozen=True)
class Model:
    """A surrogate given the trials, and what candidates have to beat.

    Attributes:
        surrogate: of the objective, on the scale below.
        scales: map values to the surrogate's targets, one for each objective.
        best: target to improve on; None while no trial is feasible.
        feasibility: of constraints and failures; None if nothing was ever violated.
        acquisition: one of `ACQUISITIONS`.
    """

    surrogate: Surrogate
    scales: tuple[ObjectiveScale, ...]
    best: float | None
    feasibility: Feasibility | None
    acquisition: str = "logei"

    def guide(self, random: torch.Generator) -> Guide:
        """Return the acquisition function; what is feasible comes before what is good."""
        if self.best is None and self.feasibility is not None:
            return self.feasibility
        guide = self._improvement(random)
        return guide if self.feasibility is None else Constrained(guide, self.feasibility)

    def fantasize(self, x: Tensor) -> Self:
        """Return the model as if encodings, `B x *shape`, had been observed at their mean."""
        return replace(self, surrogate=self.surrogate.fantasize(x))

    def predict(self, x: Tensor, guide: Guide) -> list[tuple[Prediction, ...]]:
        """Return what is expected to be observed at each encoding, `B x *shape`, by objective."""
        scores = guide(x).tolist()
        mean, deviation = observed(self.surrogate, x)
        levels = torch.stack([mean, mean - deviation, mean + deviation]).double().cpu()
        columns = levels.reshape(3, len(x), len(self.scales))
        values = [scale.inverse(columns[..., i]) for i, scale in enumerate(self.scales)]
        rows = torch.stack(values).permute(2, 0, 1).tolist()
        return [
            tuple(Prediction(score, middle, abs(high - low) / 2) for middle, low, high in row)
            for score, row in zip(scores, rows, strict=True)
        ]

    def _improvement(self, random: torch.Generator) -> Guide:
        """Return the acquisition function of the objective alone."""
        if self.acquisition == "logei":
            return LogExpectedImprovement(self.surrogate, self.best or 0.0)
        if self.acquisition == "ucb":
            return UpperConfidenceBound(self.surrogate)
        return IndependentThompson(self.surrogate, int(torch.randint(2**31, (), generator=random)))


@dataclass(frozen=True)
class Modeler(Generic[A]):
    """Fits the model of a search.

    Attributes:
        space: of the architectures.
        surrogate: what is fitted, to the objective and to each constraint.
        priors: what is expected of the objective.
        acquisition: one of `ACQUISITIONS`.
        maximize: whether high values of the objective are good.
        noisy: whether the user calls the objective noisy.
        device: where to compute.
    """

    space: Space[A]
    surrogate: Surrogate
    priors: tuple[Prior, ...]
    acquisition: str
    maximize: bool
    noisy: bool
    device: torch.device

    @classmethod
    def of(
        cls,
        space: Space[A],
        surrogate: str | Surrogate,
        priors: Sequence[Prior],
        acquisition: str | None,
        *,
        maximize: bool,
        noisy: bool,
        device: torch.device,
    ) -> Self:
        """Make what a search asks for by name, where it computes.

        Raises:
            ValueError: if a name is not known.
        """
        own = make_surrogate(surrogate, space) if isinstance(surrogate, str) else surrogate
        default = "its" if isinstance(own, NeuralEnsemble) else "logei"
        if acquisition is not None and acquisition not in ACQUISITIONS:
            known = ", ".join(ACQUISITIONS)
            raise ValueError(f"unknown acquisition function {acquisition!r}; known: {known}")
        there = tuple(moved(prior, device) for prior in priors)
        if isinstance(space, Exact):
            # as plain functions: surrogates of their own would not tell isomorphic ones apart
            there = tuple(prior.__call__ for prior in there)
        own = moved(own, device)
        return cls(space, own, there, acquisition or default, maximize, noisy, device)

    def fit(self, trials: Sequence[Trial[A]], pending: Sequence[A]) -> Model:
        """Fit to all that was told; failures tell where evaluations fail, and no value.

        Args:
            trials: finished evaluations, failed ones among them.
            pending: architectures that count as observed at their mean.
        """
        done = [trial for trial in trials if math.isfinite(trial.value)]
        if not done:
            return self._expect([*(trial.arch for trial in trials), *pending])
        model = self._fit(self.encode([trial.arch for trial in done]), done, trials)
        return model.fantasize(self.encode(pending)) if pending else model

    def encode(self, archs: Sequence[A]) -> Tensor:
        """Encode architectures as `B x *shape`, where the search computes."""
        return self.space.encode(archs).to(self.device)

    def _fit(self, x: Tensor, done: Sequence[Trial[A]], trials: Sequence[Trial[A]]) -> Model:
        """Fit to the encodings of evaluations that have a value, at least one."""
        values = torch.tensor([trial.value for trial in done], dtype=torch.double)
        scale = ObjectiveScale.of(values, maximize=self.maximize)
        surrogate = fit_to_values(informed(self.surrogate, self.priors), x, values, scale)
        allowed = feasible(done, x)
        signed = scale.sign * values
        surrogate = doubted(surrogate, signed, allowed.to(values.device), self.noisy)
        worth = levels(surrogate, x, scale(values).to(x), self.noisy)[allowed]
        best = float(worth.max()) if len(worth) else None
        if best is not None and ties(worth, x[allowed]) >= MANY:
            best += scale.step(values)
        return Model(surrogate, (scale,), best, self.feasibility(trials), self.acquisition)

    def _expect(self, known: Sequence[A]) -> Model:
        """Return what the priors say before the first value; the known count as observed there."""
        surrogate, best = informed(self.surrogate, self.priors), 0.0
        if known:
            x = self.encode(known)
            surrogate = surrogate.fantasize(x)
            with torch.no_grad():
                best = float(surrogate.posterior(x)[0].max())
        return Model(surrogate, (UNSCALED,), best, None, self.acquisition)

    def feasibility(self, trials: Sequence[Trial[A]]) -> Feasibility | None:
        """Fit what constraints and failures tell; a failure is one constraint more, violated."""
        trials = unforgiven(self.space, trials)
        failed = [not math.isfinite(trial.value) for trial in trials]
        rows: list[tuple[float, ...]] = [trial.constraints for trial in trials]
        if any(failed):
            count = max(map(len, rows))
            rows = [
                (*row, *[math.nan] * (count - len(row)), 1.0 if bad else -1.0)
                for row, bad in zip(rows, failed, strict=True)
            ]
        if not any(rows):
            return None
        return Feasibility.fit(self.surrogate, self.encode([t.arch for t in trials]), rows)


def pick(model: Model, x: Tensor, n: int, random: torch.Generator) -> list[int]:
    """Pick up to `n` of the encodings, `B x *shape`, greedily, and return their numbers.

    Each pick counts as observed at its mean for the next.
    """
    picked: list[int] = []
    left = list(range(len(x)))
    with torch.no_grad():
        while left and len(picked) < n:
            if picked:
                model = model.fantasize(x[picked[-1:]])
            picked.append(left.pop(int(model.guide(random)(x[left]).argmax())))
    return picked


def ties(worth: Tensor, x: Tensor) -> int:
    """Return how many distinct encodings, `B x *shape`, are worth the most, `B`."""
    return len(torch.unique(x[worth == worth.max()].flatten(1), dim=0))


def feasible(trials: Sequence[Trial[Any]], x: Tensor) -> Tensor:
    """Return which trials are feasible, `B`, on the device of their encodings."""
    return torch.tensor([trial.feasible for trial in trials], device=x.device)


def unforgiven(space: Space[A], trials: Sequence[Trial[A]]) -> Sequence[Trial[A]]:
    """Return the trials without failures of architectures that did not fail another time."""
    failed = [not math.isfinite(trial.value) for trial in trials]
    if not any(failed):
        return trials
    keys = [space.canonical(trial.arch) for trial in trials]
    fine = {key for key, bad in zip(keys, failed, strict=True) if not bad}
    rows = zip(trials, keys, failed, strict=True)
    return [trial for trial, key, bad in rows if not (bad and key in fine)]
