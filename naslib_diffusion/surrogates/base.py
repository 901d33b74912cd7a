"""What the search needs of a surrogate, and the scale on which objectives are modelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from naslib_diffusion.surrogates.posterior import Pullback

LARGEST_GAP = 1e300
"""Larger gaps, up to infinite ones, count as this one, so that sums of gaps stay finite."""


MILESTONES = 20
"""Parameters are learned anew whenever there is one in so many observations more."""


class Surrogate(Protocol):
    """A probabilistic regression model over encoded architectures.

    Targets are "higher is better" and already on an `ObjectiveScale`. Encodings are `B x *shape`
    in double precision; the posterior is differentiable in them, relaxed ones included.
    """

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Fit to encodings (`B x *shape`) and targets (`B`); repeats of an encoding are noise."""

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the latent function, `B` each."""

    def fantasize(self, x: Tensor) -> Self:
        """Return a copy that takes `x` (`B x *shape`) as observed, at its own mean.

        So pending evaluations and the earlier picks of a batch keep the next pick away.
        """


@runtime_checkable
class Linearizable(Surrogate, Protocol):
    """A surrogate whose posterior has its gradient in closed form, in any precision."""

    def linearize(self, x: Tensor) -> tuple[Tensor, Tensor, Pullback] | None:
        """Return mean and standard deviation, `B` each, and the way back to `x`, `B x *shape`.

        The last maps the gradients of scores by mean and by deviation, `B` each, to those by `x`.
        None if there is no closed form after all.
        """


@runtime_checkable
class Tunable(Surrogate, Protocol):
    """A surrogate whose slow part, learning the parameters of its kernel, can be left out."""

    def tune(self, x: Tensor, y: Tensor) -> Self:
        """Learn the parameters from encodings and targets; fast if they were seen before."""

    def condition(self, x: Tensor, y: Tensor) -> Self:
        """Take encodings and targets as the observations, under the parameters as they are."""


@dataclass(frozen=True)
class ObjectiveScale:
    """Maps objective values to targets on which the top is resolved, whatever unit or direction.

    A value becomes `-log(gap + softening)`, with `gap` its distance to the best value seen, then
    standardised. Differences among the best count, a failed training at 10 % accuracy does not
    stretch the scale, and percent, fractions or negative losses give the same targets.
    """

    sign: float
    best: float
    softening: float
    center: float
    spread: float

    @staticmethod
    def of(values: Tensor, *, maximize: bool = True) -> ObjectiveScale:
        """Fit the scale to observed values (`B`, finite)."""
        sign = 1.0 if maximize else -1.0
        signed = sign * values
        best = float(signed.max())
        gaps = (best - signed).clamp(max=LARGEST_GAP)
        # half of the median gap: finer resolves noise, coarser is linear (both were slower)
        softening = 0.5 * float(gaps.median()) or 0.5 * float(gaps.mean()) or 1.0
        raw = -torch.log(gaps + softening)
        spread = float(raw.std()) if len(raw) > 1 else 0.0
        return ObjectiveScale(sign, best, softening, float(raw.mean()), spread or 1.0)

    def __call__(self, values: Tensor) -> Tensor:
        """Map values (`B`) to targets (`B`); a value better than the best maps to its target."""
        gaps = (self.best - self.sign * values).clamp(0, LARGEST_GAP)
        return (-torch.log(gaps + self.softening) - self.center) / self.spread

    def inverse(self, targets: Tensor) -> Tensor:
        """Map targets (`B`) back to values; one above the best's own target extrapolates."""
        gaps = torch.exp(-(targets * self.spread + self.center)) - self.softening
        return self.sign * (self.best - gaps)


def fit_to_values(
    surrogate: Surrogate, x: Tensor, values: Tensor, scale: ObjectiveScale
) -> Surrogate:
    """Fit a surrogate to all values; a `Tunable` one learns its parameters from most of them.

    Those up to the last `milestone`, so that the fit is a function of the history alone, and
    a surrogate that remembers what it learned is fast in between.

    Args:
        surrogate: to be fitted.
        x: encodings, `B x *shape`, oldest first.
        values: of the objective, `B`.
        scale: of the objective, on all values.
    """
    targets = scale(values).to(x)
    early = milestone(len(values))
    if early == len(values) or not isinstance(surrogate, Tunable):
        return surrogate.fit(x, targets)
    before = values[:early]
    own = ObjectiveScale.of(before, maximize=scale.sign > 0)
    return surrogate.tune(x[:early], own(before).to(x)).condition(x, targets)


def milestone(count: int) -> int:
    """Return the last number of observations up to `count` at which parameters are learned."""
    return count - count % max(count // MILESTONES, 1)
