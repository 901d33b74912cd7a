"""Several objectives at once: by how much a Pareto front's hypervolume may be expected to grow.

What the front leaves free is cut into boxes by BoTorch. For independent normal predictions the
expected growth has a closed form (Yang et al., 2019; Daulton et al., NeurIPS 2020, Section 3).
Its logarithm is computed directly, as Ament et al. (NeurIPS 2023) do for one objective: it keeps a
gradient where the growth itself vanishes. BoTorch's own logarithm is an estimate from samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from botorch.utils.multi_objective.box_decompositions import FastNondominatedPartitioning
from torch import Tensor

from naslib_diffusion.surrogates.acquisition import log_improvement
from naslib_diffusion.surrogates.base import Surrogate, noise_of

MAX_OBJECTIVES = 3
"""With more objectives, the number of boxes grows too fast for an exact computation."""

MARGIN = 0.1
"""How far the reference point is below the worst values, in units of the range."""

_LARGEST_RATIO = -1e-12  # logarithm; a box thinner than that is as good as empty


@dataclass(frozen=True)
class JointSurrogate:
    """One independent surrogate for each objective, and what is known of the front.

    Attributes:
        models: fitted, one for each of `m` objectives, all to be maximised.
        points: targets of the feasible evaluations, `n x m`, on the models' scales.
    """

    models: tuple[Surrogate, ...]
    points: Tensor

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and standard deviations of the objectives, `B x m` each."""
        means, deviations = zip(*(model.posterior(x) for model in self.models), strict=True)
        return torch.stack(means, -1), torch.stack(deviations, -1)

    @property
    def noise(self) -> Tensor:
        """Variance of observations of each objective around the latent function, `m`."""
        return torch.tensor([float(noise_of(model)) for model in self.models]).to(self.points)

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Raise TypeError: the models come fitted."""
        raise TypeError("a JointSurrogate is made of fitted surrogates")

    def fantasize(self, x: Tensor) -> JointSurrogate:
        """Return a copy that takes `x` (`B x *shape`) as observed at its means, front included."""
        means = self.posterior(x)[0].detach()
        models = tuple(model.fantasize(x) for model in self.models)
        return JointSurrogate(models, torch.cat([self.points, means]))


class LogExpectedHypervolumeImprovement:
    """Logarithm of the expected growth of the dominated hypervolume.

    Args:
        surrogate: of all objectives.
        reference: worst point that counts, `m`. The default is a margin below the worst values.
    """

    def __init__(self, surrogate: JointSurrogate, reference: Tensor | None = None) -> None:
        self.surrogate = surrogate
        points = surrogate.points
        reference = reference_point(points) if reference is None else reference
        boxes = FastNondominatedPartitioning(reference, points).get_hypercell_bounds()
        self._lower, self._upper = boxes[0], boxes[1]

    def __call__(self, x: Tensor) -> Tensor:
        """Score encodings, `B x *shape` to `B`."""
        mean, deviation = (t[:, None] for t in self.surrogate.posterior(x))
        lower = log_improvement((mean - self._lower) / deviation)
        bounded = self._upper.isfinite()
        upper = log_improvement((mean - self._upper.where(bounded, 0.0)) / deviation)
        # a side of a box is covered by E[(min(y, upper) - lower)+] = EI(lower) - EI(upper)
        ratio = (upper - lower).clamp(max=_LARGEST_RATIO).where(bounded, -math.inf)
        sides = lower + deviation.log() + torch.log1p(-ratio.exp())
        return torch.logsumexp(sides.sum(-1), -1)


def reference_point(points: Tensor) -> Tensor:
    """Return a point `MARGIN` of the range below the worst values seen, `m` from `n x m`.

    Farther away than one just below the front, so that the ends of the front count too.
    """
    worst = points.amin(0)
    spread = points.amax(0) - worst
    return worst - MARGIN * torch.where(spread > 0, spread, 1.0)


def dominators(values: Sequence[Sequence[float]]) -> list[int]:
    """Count for each row the rows that dominate it, all objectives to be maximised."""
    table = torch.tensor(values, dtype=torch.double)
    least = (table[:, None] >= table[None]).all(-1)
    strictly = (table[:, None] > table[None]).any(-1)
    counts: list[int] = (least & strictly).sum(0).tolist()
    return counts
