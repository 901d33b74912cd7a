"""Gaussian process for product spaces: what each parameter and each choice matters is learned."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import AtomBlock, Space, UniformBlock
from naslib_diffusion.spaces.sampling import sample_some
from naslib_diffusion.surrogates.correlation import Correlation
from naslib_diffusion.surrogates.posterior import (
    MATERN,
    Posterior,
    Pullback,
)
from naslib_diffusion.surrogates.product_kernel import (
    Layout,
    ProductKernel,
    is_one_hot,
    maximize_posterior,
)
from naslib_diffusion.surrogates.thinning import thin

MAX_OBSERVATIONS = 300
"""More observations than this are thinned out (see `thin`): time and memory stay bounded."""

REMEMBERED = 16
"""Recent fits whose parameters are kept, see `Memory`."""

NOISY = 0.03
"""Noise variance above which an objective counts as noisy: tables without noise stay below."""


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

    The first kernel sees each parameter, with a length scale of its own. The second sees how often
    each choice occurs among the parameters of one kind. Parameters are of one kind if they have
    the same choices, as the layers of a network do: wherever they stand, three convolutions are
    three convolutions. The distances between the choices of a kind are the same everywhere. Each
    choice has a weight and a place on a line, on which a 1x1 and a 3x3 convolution may come to lie
    together. All these parameters, and the noise, maximise the evidence times log-normal priors.

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

    def shorten(self, factor: float) -> Self:
        """Return a copy whose length scales are divided by a factor; see `doubt`."""
        assert self._theta is not None
        other = copy.copy(self)
        other._theta = self._kernel_of.shorten(self._theta, factor)
        return other._condition(self._x, self._targets)

    @property
    def noisy(self) -> bool:
        """Whether the fitted noise is larger than that of a rough objective without noise."""
        return self._noise > NOISY

    @property
    def correlation(self) -> Correlation:
        """How alike architectures are, by the fitted parameters."""
        assert self._theta is not None
        maps, variances = self._maps, self._kernel_of.variances(self._theta)[:-1]
        shares = tuple((variances / variances.sum()).tolist())
        return Correlation(lambda x: [x.flatten(1) @ m.to(x) for m in maps], shares, MATERN)

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

    @property
    def noise(self) -> float:
        """Variance of an observation around the latent function."""
        return self._noise

    def joint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean, `B`, and the covariance, `B x B`, of the latent function."""
        return self._posterior.joint([x.flatten(1) @ m for m in self._maps])

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
