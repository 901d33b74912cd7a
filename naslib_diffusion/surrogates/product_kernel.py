"""The kernel of product spaces: what each parameter and choice matters, and how it learns that."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from naslib_diffusion.runtime.threads import one_thread
from naslib_diffusion.spaces.base import AtomBlock, Block
from naslib_diffusion.surrogates.posterior import squared_distances

MAX_STEPS = 40
"""Steps of L-BFGS at most."""

MIN_NOISE, MAX_NOISE = 1e-6, 1.0
"""Of the noise variance. With 1e-4 at least, points beside known ones kept promising improvement,
and a search of a smooth function stayed at a local optimum."""

LENGTH_PRIOR = 0.3, 1.0
"""Mean and deviation of log(length / sqrt(parameters)): the more parameters, the smoother in each
(Hvarfner et al., ICML 2024)."""
NUMBER_PRIOR = -0.7, 1.0
"""The same for numbers, which range over [0, 1]; few functions are flat over all of it."""
WEIGHT_PRIOR = 0.0, 0.7
"""Mean and deviation of the logarithm of a choice's own distance to all others."""
EMBEDDING_PRIOR = 0.0, 1.0
"""Mean and deviation of a choice's place on the line that all choices of a kind share."""
VARIANCE_PRIOR = 0.0, 1.0
"""Mean and deviation of log(variance) of either part of the kernel; targets are standardised."""
NOISE_PRIOR = -4.0, 1.0
"""Mean and deviation of log(noise variance)."""
QUIET = 4.0
"""That deviation below the mean: objectives without any noise are common, very noisy ones rare."""


@dataclass(frozen=True, eq=False)
class Layout:
    """How the coordinates of an encoding belong to parameters and to kinds of choices.

    Attributes:
        parameter: of which parameter each coordinate is, `D`.
        choice: number of the choice that a coordinate stands for, `D`; -1 for a number. Choices of
            parameters of one kind have equal numbers.
        counted: whether a kind has several parameters, for each choice, `C`.
    """

    parameter: Tensor
    choice: Tensor
    counted: Tensor

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> Layout:
        """Read the layout from the blocks of a product space."""
        first: dict[Hashable, int] = {}
        parameter, choice = [], []
        counted: list[bool] = []
        for i, block in enumerate(blocks):
            parameter += [i] * block.width
            if not (isinstance(block, AtomBlock) and is_one_hot(block)):
                choice += [-1] * block.width
                continue
            kind = (block.width, block.kind) if block.kind is not None else (i,)
            start = first.setdefault(kind, len(counted))
            if start == len(counted):
                counted += [False] * block.width
            else:
                counted[start : start + block.width] = [True] * block.width
            choice += range(start, start + block.width)
        return cls(torch.tensor(parameter), torch.tensor(choice), torch.tensor(counted).bool())


def is_one_hot(block: Block) -> bool:
    """Whether a block is a choice among several, of which some may be ruled out."""
    if not isinstance(block, AtomBlock) or block.width == 1:
        return False
    return torch.equal(block.atoms, torch.eye(block.width).to(block.atoms)[block.atoms.argmax(1)])


class ProductKernel:
    """Makes the kernel's linear maps from one vector of unconstrained parameters.

    Both kernels depend on distances of linearly mapped encodings: `B x D` to `B x E`.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.parameters = int(layout.parameter.max()) + 1
        self.choices = len(layout.counted)
        self.counting = bool(layout.counted.any())
        names = {"lengths": self.parameters, "weights": self.choices, "places": self.choices}
        if self.counting:
            names["count_length"] = 1
        self.sizes = names | {"variances": 1 + self.counting, "noise": 1}
        self._one_hot = layout.choice >= 0
        self._members = torch.nn.functional.one_hot(layout.parameter, self.parameters).double()
        chosen = torch.nn.functional.one_hot(layout.choice.clamp(min=0), max(self.choices, 1))
        self._chosen = (chosen * self._one_hot[:, None]).double()[:, : self.choices]

    def prior(self) -> tuple[Tensor, Tensor]:
        """Return mean and deviation of the normal prior of the parameters."""
        scale = 0.5 * math.log(self.parameters)
        length = (LENGTH_PRIOR[0] + scale, LENGTH_PRIOR[1])
        number = (NUMBER_PRIOR[0] + scale, NUMBER_PRIOR[1])
        priors = {
            "lengths": length, "weights": WEIGHT_PRIOR, "places": EMBEDDING_PRIOR,
            "count_length": length, "variances": VARIANCE_PRIOR, "noise": NOISE_PRIOR,
        }  # fmt: skip
        rows = [priors[name] for name, size in self.sizes.items() for _ in range(size)]
        for parameter in self.layout.parameter[~self._one_hot].tolist():
            rows[parameter] = number  # lengths come first
        mean, deviation = torch.tensor(rows, dtype=torch.double).T
        return mean, deviation

    def spread(self, theta: Tensor) -> Tensor:
        """Return the deviations of the prior on the side of the mean where `theta` is."""
        mean, deviation = self.prior()
        below = deviation.clone()
        self._split(below)["noise"].fill_(QUIET)
        return torch.where(theta < mean, below, deviation)

    def start(self, x: Tensor, y: Tensor) -> Tensor:
        """Return where to start: prior means, and choices placed by their mean target."""
        theta, _ = self.prior()
        counts = x @ self._chosen
        effects = (counts.T @ y) / counts.sum(0).clamp(min=1)
        spread = effects.std() if len(effects) > 1 else effects.new_zeros(())
        self._split(theta)["places"].copy_(0.5 * effects / spread.clamp(min=1e-9))
        return theta

    def maps(self, theta: Tensor) -> tuple[Tensor, ...]:
        """Return the linear maps of encodings, differentiable in the parameters; `D x E` each."""
        part = self._split(theta)
        inverse_lengths = torch.exp(-part["lengths"])[self.layout.parameter]
        weights = torch.exp(-self._chosen @ part["weights"])
        places = self._chosen @ part["places"]
        # one-hots differ in two coordinates
        share = torch.where(self._one_hot, math.sqrt(0.5), 1.0).float() * weights
        own = torch.diag(share * inverse_lengths)
        line = self._members * (places * inverse_lengths)[:, None]
        maps = [torch.cat([own, line], 1)]
        if self.counting:
            counted = self._chosen * self.layout.counted
            scaled = counted * torch.exp(-part["weights"]) * math.sqrt(0.5)
            together = (counted @ part["places"])[:, None]
            maps.append(torch.cat([scaled, together], 1) * torch.exp(-part["count_length"]))
        return tuple(maps)

    def pull(
        self,
        theta: Tensor,
        maps: Sequence[Tensor],
        by_maps: Sequence[Tensor],
        by_variances: Tensor,
    ) -> Tensor:
        """Turn gradients by the maps, `D x E` each, and by the variances into that by `theta`.

        The chain rule by hand: this is done for each step of each fit, where the maps are known.
        """
        part, result = self._split(theta), torch.zeros_like(theta)
        by = self._split(result)
        columns = len(self.layout.parameter)
        own_map, *counts = maps
        own = (by_maps[0] * own_map)[:, :columns].sum(1)  # by minus the logarithm of each entry
        line = (by_maps[0] * own_map)[:, columns:].sum(1)
        by["lengths"].index_add_(0, self.layout.parameter, -own - line)
        by["weights"].sub_(self._chosen.mT @ own)
        inverse_lengths = torch.exp(-part["lengths"])[self.layout.parameter]
        by_line = (by_maps[0][:, columns:] * self._members).sum(1)
        by["places"].add_(self._chosen.mT @ (by_line * inverse_lengths))
        for by_map, counted_map in zip(by_maps[1:], counts, strict=True):
            counted = self._chosen * self.layout.counted
            pulled = by_map * counted_map
            by["weights"].sub_(pulled[:, : self.choices].sum(0))
            by["places"].add_(counted.mT @ by_map[:, -1] * torch.exp(-part["count_length"]))
            by["count_length"].sub_(pulled.sum())
        scaled = by_variances * self.variances(theta)
        by["variances"].copy_(scaled[:-1])
        by["noise"].copy_(scaled[-1:])
        return result

    def shorten(self, theta: Tensor, factor: float) -> Tensor:
        """Return the parameters with all length scales divided by a factor."""
        shorter = theta.clone()
        part = self._split(shorter)
        for name in ("lengths", "count_length"):
            if name in part:
                part[name].sub_(math.log(factor))
        return shorter

    def variances(self, theta: Tensor) -> Tensor:
        """Return the variance of each kernel, and that of the noise."""
        part = self._split(theta)
        return torch.cat([part["variances"], part["noise"]]).exp()

    def _split(self, theta: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.sizes, torch.split(theta, list(self.sizes.values())), strict=True))


@one_thread()
def maximize_posterior(kernel: ProductKernel, x: Tensor, y: Tensor) -> Tensor:
    """Maximise evidence times prior by L-BFGS; return the kernel's parameters.

    Starts where choices are placed by their effects.

    Args:
        kernel: what is fitted.
        x: encodings, `n x D`.
        y: targets, `n`.
    """
    mean, _ = kernel.prior()

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        theta = torch.from_numpy(values.copy())
        maps = kernel.maps(theta)
        fit = misfit(x, y, maps, kernel.variances(theta))
        if fit is None:
            return 1e10, np.zeros_like(values)
        value, by_maps, by_variances = fit
        gradient = kernel.pull(theta, maps, by_maps, by_variances)
        deviation = kernel.spread(theta)
        off = (theta - mean) / deviation
        return value + 0.5 * float(off.square().sum()), (gradient + off / deviation).numpy()

    begin = kernel.start(x, y)
    bounds: list[tuple[float | None, float | None]] = [(None, None)] * (len(begin) - 1)
    bounds += [(math.log(MIN_NOISE), math.log(MAX_NOISE))]
    options = {"maxiter": MAX_STEPS, "ftol": 1e-5}
    found = minimize(
        loss, begin.numpy(), jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    return torch.from_numpy(found.x)


@torch.no_grad()
def misfit(
    x: Tensor, y: Tensor, maps: Sequence[Tensor], variances: Tensor
) -> tuple[float, list[Tensor], Tensor] | None:
    """Return minus the log evidence, and its gradients by the maps and by the variances.

    In closed form: several times as fast as automatic differentiation at this size.

    Args:
        x: encodings, `n x D`.
        y: targets, `n`.
        maps: of the kernels, `D x E` each.
        variances: of the kernels, and of the noise.

    Returns:
        None if the covariance is not positive definite in floating point.
    """
    parts = []
    covariance = torch.diag(variances[-1].expand(len(y)))
    for variance, embedding in zip(variances[:-1], maps, strict=True):
        z = x @ embedding
        distances = math.sqrt(5) * squared_distances(z, z).sqrt()
        decay = torch.exp(-distances)
        correlation = (1 + distances + distances.square() / 3) * decay
        covariance = covariance + variance * correlation
        parts.append((z, correlation, -5 / 6 * variance * (1 + distances) * decay))
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if failed:
        return None
    inverse = torch.cholesky_inverse(factor)
    solved = inverse @ y
    value = 0.5 * float(y @ solved) + float(factor.diagonal().log().sum())
    by_covariance = 0.5 * (inverse - torch.outer(solved, solved))
    by_maps, by_variances = [], []
    for z, correlation, slope in parts:
        pull = by_covariance * slope
        by_maps.append(4 * x.mT @ (pull.sum(1, keepdim=True) * z - pull @ z))
        by_variances.append((by_covariance * correlation).sum())
    by_variances.append(by_covariance.trace())
    return value, by_maps, torch.stack(by_variances)
