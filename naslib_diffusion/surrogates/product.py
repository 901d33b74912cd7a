"""Gaussian process for product spaces: what each parameter and each choice matters is learned."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from naslib_diffusion.runtime.threads import one_thread
from naslib_diffusion.spaces.base import AtomBlock, Block, Space, UniformBlock
from naslib_diffusion.spaces.sampling import sample_some
from naslib_diffusion.surrogates.posterior import (
    MATERN,
    Posterior,
    Pullback,
    squared_distances,
)
from naslib_diffusion.surrogates.thinning import thin

MAX_OBSERVATIONS = 300
"""More observations than this are thinned out (see `thin`): time and memory stay bounded."""

MAX_STEPS = 40
"""Steps of L-BFGS at most."""

REMEMBERED = 16
"""Recent fits whose parameters are kept, see `Memory`."""

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
NOISY = 0.03
"""Noise variance above which an objective counts as noisy: tables without noise stay below."""


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


def is_product(space: Space[Any]) -> bool:
    """Whether a space is a product of choices and numbers, and has no structure of its own."""
    blocks = space.blocks
    if blocks is None or not all(
        isinstance(b, UniformBlock)
        or (isinstance(b, AtomBlock) and (b.width == 1 or is_one_hot(b)))
        for b in blocks
    ):
        return False
    x = space.encode(sample_some(space, 1, torch.Generator().manual_seed(0)))
    groups = space.features(x)
    return len(groups) == 1 and torch.equal(groups[0], x.flatten(1))


class ProductGaussianProcess:
    """Exact GP over a list of parameters, with two Matern-5/2 kernels added up.

    The first sees each parameter, with a length scale of its own. The second sees how often each
    choice occurs among parameters of one kind, those that have the same choices, such as the
    layers of a network: wherever they stand, three convolutions are three convolutions. Choices of
    a kind have the same distances everywhere: a weight of its own each, and places on a line, on
    which a 1x1 and a 3x3 convolution may come to lie together. All that, and the noise, maximises
    the evidence times log-normal priors.

    Args:
        space: a space whose blocks are choices and numbers (see `is_product`).
        limit: how many observations are used at most.

    Raises:
        ValueError: if the space does not factorise.
    """

    @torch.inference_mode(False)
    def __init__(self, space: Space[Any], limit: int = MAX_OBSERVATIONS) -> None:
        if space.blocks is None:
            raise ValueError(f"the law of space {space.name!r} does not factorise")
        self.space, self.limit = space, limit
        self._kernel_of = ProductKernel(Layout.of(space.blocks))
        self._theta: Tensor | None = None
        self._memory = Memory()  # shared by copies

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Fit to encodings (`B x *shape`) and targets (`B`, roughly standardised)."""
        return self.tune(x, y).condition(x, y)

    def tune(self, x: Tensor, y: Tensor) -> Self:
        """Learn the kernel's parameters; what was learned from the same data is remembered."""
        rows = thin(y, self.limit)
        x, y = x[rows].flatten(1).cpu(), y[rows].cpu()
        self._theta = self._memory(x, y, lambda: maximize_posterior(self._kernel_of, x, y))
        return self

    def condition(self, x: Tensor, y: Tensor) -> Self:
        """Take encodings and targets as the observations, under the parameters learned before."""
        rows = thin(y, self.limit)
        return self._condition(x[rows].flatten(1), y[rows])

    @property
    def noisy(self) -> bool:
        """Whether the fitted noise is more than what a rough objective without noise leads to."""
        return self._noise > NOISY

    def fantasize(self, x: Tensor) -> Self:
        """Return a copy that takes `x` (`B x *shape`) as observed at its posterior mean."""
        targets = torch.cat([self._targets, self.posterior(x)[0].detach()])
        return copy.copy(self)._condition(torch.cat([self._x, x.detach().flatten(1)]), targets)

    def _condition(self, x: Tensor, y: Tensor) -> Self:
        """Take encodings and targets as the observations, under the present parameters."""
        assert self._theta is not None
        self._x, self._targets = x, y
        self._maps = tuple(m.to(x) for m in self._kernel_of.maps(self._theta))
        *variances, noise = self._kernel_of.variances(self._theta).tolist()
        self._noise = float(noise)
        self._posterior = Posterior(MATERN, variances, [x @ m for m in self._maps], y, noise)
        return self

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the latent function (`B` each)."""
        return self._posterior([x.flatten(1) @ m for m in self._maps])

    def linearize(self, x: Tensor) -> tuple[Tensor, Tensor, Pullback]:
        """Return mean, deviation and their gradients; see `surrogates.base.Linearizable`."""
        maps = [m.to(x.dtype) for m in self._maps]
        mean, deviation, back = self._posterior.linearize([x.flatten(1) @ m for m in maps])

        def pullback(by_mean: Tensor, by_deviation: Tensor) -> Tensor:
            parts = zip(back(by_mean, by_deviation), maps, strict=True)
            return torch.stack([by @ m.mT for by, m in parts]).sum(0).view_as(x)

        return mean, deviation, pullback


class Memory:
    """What was computed from recent data. Results do not depend on it, only how soon they come."""

    def __init__(self) -> None:
        self._recent: dict[bytes, Tensor] = {}

    def __call__(self, x: Tensor, y: Tensor, compute: Callable[[], Tensor]) -> Tensor:
        """Return what `compute` returned for equal data, or returns now."""
        key = hashlib.sha256(x.numpy().tobytes() + y.numpy().tobytes()).digest()
        recent = self._recent
        found = recent[key] if key in recent else compute()
        # never changed in place: other threads may be reading it
        kept = [entry for entry in recent.items() if entry[0] != key][1 - REMEMBERED :]
        self._recent = {**dict(kept), key: found}
        return found


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
    mean, deviation = kernel.prior()

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        theta = torch.from_numpy(values.copy()).requires_grad_()
        maps, variances = kernel.maps(theta), kernel.variances(theta)
        fit = misfit(x, y, [m.detach() for m in maps], variances.detach())
        if fit is None:
            return 1e10, np.zeros_like(values)
        value, by_maps, by_variances = fit
        outputs, slopes = [*maps, variances], [*by_maps, by_variances]
        (gradient,) = torch.autograd.grad(outputs, theta, slopes)
        off = (theta.detach() - mean) / deviation
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
