"""What the search needs of a surrogate, and the scale on which objectives are modelled."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from naslib_diffusion.surrogates.posterior import Pullback

LARGEST_GAP = 1e300
"""Larger gaps, up to infinite ones, count as this one, so that sums of gaps stay finite."""

CLIFF = 50.0
"""A gap that is so many times the next smaller one is a gap to another kind of values."""
FEW = 3
"""So few values before a cliff say little of how values differ there."""
LONGEST_VOID = 4.0
"""Longest stretch, in logarithms of gaps, that counts in full where no value was observed."""

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

        This keeps the next pick away from pending evaluations and from earlier picks of a batch.
        """


@runtime_checkable
class Linearizable(Surrogate, Protocol):
    """A surrogate whose posterior has its gradient in closed form, in any precision."""

    def linearize(self, x: Tensor) -> tuple[Tensor, Tensor, Pullback] | None:
        """Return mean and standard deviation, `B` each, and the way back to `x`, `B x *shape`.

        The way back maps the gradients of scores with respect to mean and deviation, `B` each, to
        the gradient with respect to `x`. None if there is no closed form after all.
        """


@runtime_checkable
class Tunable(Surrogate, Protocol):
    """A surrogate whose slow part, learning the parameters of its kernel, can be left out."""

    def tune(self, x: Tensor, y: Tensor) -> Self:
        """Learn the parameters from encodings and targets; fast if they were seen before."""

    def condition(self, x: Tensor, y: Tensor) -> Self:
        """Take encodings and targets as the observations, under the parameters as they are."""


@runtime_checkable
class JudgesNoise(Surrogate, Protocol):
    """A surrogate that tells noisy observations from a rough objective."""

    @property
    def noisy(self) -> bool:
        """Whether the fitted noise is more than that of objectives without any."""


@runtime_checkable
class Observing(Surrogate, Protocol):
    """A surrogate that knows how far observations stray from the latent function."""

    @property
    def noise(self) -> float | Tensor:
        """Variance of an observation around the latent function; of several objectives, each."""


def noise_of(surrogate: Surrogate) -> float | Tensor:
    """Return the variance of observations around the latent function, as far as it is known."""
    return surrogate.noise if isinstance(surrogate, Observing) else 0.0


def observed(surrogate: Surrogate, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of what would be observed at encodings, `B` each.

    The deviation is that of the latent function if the surrogate knows nothing of noise.
    """
    mean, deviation = surrogate.posterior(x)
    return mean, (deviation.square() + noise_of(surrogate)).sqrt()


def levels(surrogate: Surrogate, x: Tensor, targets: Tensor, repeats: bool) -> Tensor:
    """Return the level at each observation that has to be improved on, `B`, without its luck.

    Args:
        surrogate: fitted to the observations.
        x: encodings, `B x *shape`.
        targets: what was observed, `B`.
        repeats: whether the user calls the objective noisy.
    """
    return surrogate.posterior(x)[0] if is_noisy(surrogate, repeats) else targets


def is_noisy(surrogate: Surrogate, repeats: bool) -> bool:
    """Whether the best observation may be luck: the user says so, or the fitted surrogate does."""
    return repeats or (isinstance(surrogate, JudgesNoise) and surrogate.noisy)


@dataclass(frozen=True)
class ObjectiveScale:
    """Maps objective values to targets that tell the best values apart, in any unit or direction.

    A value becomes `-log(gap + softening)`, where `gap` is its distance to the best value seen,
    and is then standardised. Differences among the best values count. A failed training at 10 %
    accuracy does not stretch the scale. Percent, fractions and negative losses give the same
    targets. Penalty values do not stretch the scale either: the softening follows the better part
    of the values (`typical_gap`), and a void between observed values counts as `LONGEST_VOID` at
    most.

    Attributes:
        sign: 1 to maximise, -1 to minimise.
        best: the best value, times `sign`.
        softening: half of a typical gap.
        center, spread: mean and deviation of the targets before they are standardised.
        voids: where each long void begins, in logarithms of gaps, and how long it is.
    """

    sign: float
    best: float
    softening: float
    center: float
    spread: float
    voids: tuple[tuple[float, float], ...] = ()

    @staticmethod
    def of(values: Tensor, *, maximize: bool = True) -> ObjectiveScale:
        """Fit the scale to observed values (`B`, finite)."""
        sign = 1.0 if maximize else -1.0
        signed = sign * values
        best = float(signed.max())
        gaps = (best - signed).clamp(max=LARGEST_GAP)
        # half of the median gap: finer resolves noise, coarser is linear (both were slower)
        softening = 0.5 * typical_gap(gaps) or 0.5 * float(gaps.mean()) or 1.0
        depths = torch.log(gaps + softening)
        blank = ObjectiveScale(sign, best, softening, 0.0, 1.0, _voids(depths))
        return blank.standardised(values)

    def standardised(self, values: Tensor) -> ObjectiveScale:
        """Return the scale whose targets of values (`B`) have mean 0 and deviation 1.

        Args:
            values: of the objective, finite; this scale has center 0 and spread 1.
        """
        raw = self(values)
        spread = float(raw.std()) if len(raw) > 1 else 0.0
        return replace(self, center=float(raw.mean()), spread=spread or 1.0)

    def __call__(self, values: Tensor) -> Tensor:
        """Map values (`B`) to targets (`B`); a value better than the best maps to its target."""
        gaps = (self.best - self.sign * values).clamp(0, LARGEST_GAP)
        raw = -self._shortened(torch.log(gaps + self.softening))
        return (raw - self.center) / self.spread

    def inverse(self, targets: Tensor) -> Tensor:
        """Map targets (`B`) back to values; one above the best's own target extrapolates."""
        depths = -(targets * self.spread + self.center)
        for start, length in self.voids:  # those before this one have their full length again
            inside = (depths - start).clamp(0, LONGEST_VOID)
            depths = depths + (length / LONGEST_VOID - 1) * inside
        gaps = torch.exp(depths) - self.softening
        return self.sign * (self.best - gaps)

    def step(self, values: Tensor) -> float:
        """Return by how much an improvement on the best value exceeds it at least, in targets.

        Where values come in steps, such as accuracies on few images, it is the least difference
        between two of those observed (`B`, finite), but at most half of the softening. A search
        that hopes for less stays among the many that are as good as the best.
        """
        steps = values.sort().values.diff()
        seen = steps[steps > 0]
        least = min(float(seen.min()), 0.5 * self.softening) if len(seen) else 0.0
        return -math.log1p(-least / self.softening) / self.spread

    def _shortened(self, depths: Tensor) -> Tensor:
        """Shorten the voids among logarithms of gaps."""
        whole = depths
        for start, length in self.voids:
            depths = depths - (1 - LONGEST_VOID / length) * (whole - start).clamp(0, length)
        return depths


def typical_gap(gaps: Tensor) -> float:
    """Return the median gap to the best value, or the median of the better part before a cliff.

    Where most values are penalties, their median says nothing of how the others differ. At a
    cliff, a gap is `CLIFF` times the next smaller one, and not far below the median. The median
    itself is a cliff if it is `CLIFF**2` times the gap of half its rank. If the median lies beyond
    a cliff, the values before the cliff have a median of their own, provided that there are more
    than `FEW`.

    Args:
        gaps: distances to the best value, `B`.
    """
    ordered = gaps.sort().values
    while True:
        middle = (len(ordered) - 1) // 2
        median = ordered[middle]
        before, after = ordered[FEW:middle], ordered[FEW + 1 : middle + 1]
        steep = (before > 0) & (after > CLIFF * before) & (10 * after > median)
        half = ordered[min(max(middle // 2, FEW), middle)]
        if bool(steep.any()):
            ordered = ordered[: FEW + 1 + int(steep.nonzero()[-1])]
        elif 0 < CLIFF**2 * half < median:
            ordered = ordered[:middle]
        else:
            return float(median)


def _voids(depths: Tensor) -> tuple[tuple[float, float], ...]:
    """Return where stretches longer than `LONGEST_VOID` without a value begin, and how long."""
    ordered = depths.sort().values
    lengths = ordered.diff()
    long = lengths > LONGEST_VOID
    return tuple(zip(ordered[:-1][long].tolist(), lengths[long].tolist(), strict=True))


def fit_to_values(
    surrogate: Surrogate, x: Tensor, values: Tensor, scale: ObjectiveScale
) -> Surrogate:
    """Fit a surrogate to all values; a `Tunable` one learns its parameters from most of them.

    It learns them from the values up to the last `milestone`. So the fit is a function of the
    history alone, and a surrogate that remembers what it learned is fast between milestones.

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
