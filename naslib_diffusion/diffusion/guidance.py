"""Guidance (paper, Eq. 9): steering a denoiser towards what a function scores highly.

A guide maps relaxed architectures, `B x *shape`, to scores to be maximised, `B`. A guided denoiser
is a denoiser again, so that every sampler works with it. With scale `k` the aim is the tilted law
`p(x0) exp(k f(x0))`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from naslib_diffusion.diffusion.exact import Denoiser, Sigma, per_row
from naslib_diffusion.runtime.moving import moved

Guide = Callable[[Tensor], Tensor]
NoisyGuide = Callable[[Tensor, Sigma], Tensor]
Scale = float | Tensor | Callable[[Sigma], float | Tensor]
"""Strength of guidance: a number, one per row (`B`), or a function of the noise level."""


def score(guide: Guide, x: Tensor) -> Tensor:
    """Return the scores of a guide at `x` (`B x *shape`), of its dtype and on its device: `B`.

    A guide that is a module gets its input in its own dtype and on its own device. It may return
    a NumPy array, scores on another device, or scores with a last dimension of 1.

    Raises:
        ValueError: if the guide does not return one score per row.
    """
    own = _first_number(guide) if isinstance(guide, nn.Module) else None
    values = torch.as_tensor(guide(x if own is None else x.to(own)))
    if values.shape == (len(x), 1):
        values = values[:, 0]
    if values.shape != x.shape[:1]:
        raise ValueError(
            f"the guide must map {tuple(x.shape)} to ({len(x)},), not to {tuple(values.shape)}"
        )
    return values.to(x)


def _first_number(module: nn.Module) -> Tensor | None:
    """Return a parameter or buffer that shows in what dtype and where a module computes."""
    tensors = itertools.chain(module.parameters(), module.buffers())
    return next((t for t in tensors if t.is_floating_point()), None)


@runtime_checkable
class Linearized(Protocol):
    """A guide that gives its gradient in closed form, in any precision."""

    def __call__(self, x: Tensor) -> Tensor:
        """Score relaxed architectures, `B x *shape` to `B`."""

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return scores, `B`, and gradient, `B x *shape`; None if it has none in closed form."""


def value_and_gradient(guide: Guide, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Evaluate a guide and its gradient at `x`, both detached and in the precision of `x`.

    A guide without a closed form (`Linearized`) is differentiated automatically, in double
    precision.

    Returns:
        Scores `B` and gradient `B x *shape`; the gradient is None if the guide gives none.

    Raises:
        ValueError: if the guide does not return one score per row.
    """
    found = guide.value_and_gradient(x.detach()) if isinstance(guide, Linearized) else None
    if found is not None:
        return found
    with torch.enable_grad():
        exact = x.detach().double().requires_grad_()
        try:
            values = score(guide, exact)
        except RuntimeError as error:  # NumPy's functions take no tensor that wants a gradient
            if "numpy() on Tensor that requires grad" not in str(error):
                raise
            values = score(guide, exact.detach())
        gradient = None
        if values.requires_grad:
            (gradient,) = torch.autograd.grad(values.sum(), exact, allow_unused=True)
    return values.detach().to(x.dtype), None if gradient is None else gradient.to(x.dtype)


def _at(scale: Scale, sigma: Sigma, x: Tensor) -> Tensor:
    return per_row(scale(sigma) if callable(scale) else scale, x)


class _Guided:
    """A denoiser with a guide, which move together."""

    def to(self, device: torch.device | str) -> Self:
        """Return the same on another device."""
        parts: Any = self
        denoiser, guide = moved(parts.denoiser, device), moved(parts.guide, device)
        return replace(parts, denoiser=denoiser, guide=guide)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class NoisyGuidance(_Guided):
    """The paper's guidance (Eq. 9, 11): `D(x) + sigma^2 k grad_x f(x, sigma)`.

    The guide is a surrogate that was trained on noisy architectures: it maps `B x *shape` and the
    noise level to `B`.
    """

    denoiser: Denoiser
    guide: NoisyGuide
    scale: Scale = 1.0

    def __call__(self, x: Tensor, sigma: Sigma) -> Tensor:
        """Return the guided estimate, `B x *shape`."""
        _, gradient = value_and_gradient(lambda noisy: self.guide(noisy, sigma), x)
        estimate = self.denoiser(x, sigma)
        if gradient is None:
            return estimate
        return estimate + per_row(sigma, x) ** 2 * _at(self.scale, sigma, x) * gradient


@dataclass(frozen=True)
class EstimateGuidance(_Guided):
    """Eq. 9 at the denoised estimate: `D(x) + sigma^2 k grad_x f(D(x))`.

    Takes any guide, but back-propagates through the denoiser, and may leave the hull of the space.
    """

    denoiser: Denoiser
    guide: Guide
    scale: Scale = 1.0

    def __call__(self, x: Tensor, sigma: Sigma) -> Tensor:
        """Return the guided estimate, `B x *shape`."""
        with torch.enable_grad():
            noisy = x.detach().requires_grad_()
            estimate = self.denoiser(noisy, sigma)
        _, at_estimate = value_and_gradient(self.guide, estimate)
        if at_estimate is None:
            return estimate.detach()
        (gradient,) = torch.autograd.grad(estimate, noisy, at_estimate)
        return estimate.detach() + per_row(sigma, x) ** 2 * _at(self.scale, sigma, x) * gradient


@dataclass(frozen=True)
class TiltGuidance(_Guided):
    """Tilting the input: `D(x + sigma^2 k g, sigma)` with `g = grad f` at the denoised estimate.

    Around the estimate let `f(a) = g . a + const`. Completing the square in the posterior,

        p(a) exp(-|x - a|^2 / (2 sigma^2) + k g . a)
            = p(a) exp(-|x + sigma^2 k g - a|^2 / (2 sigma^2)) const(x),

    so the posterior mean under the tilted law `p(a) exp(k f(a))` is the denoiser at a shifted
    input. It is exact if f is linear, stays in the hull of the space however large k is, and does
    not back-propagate through the denoiser.

    Args:
        iterations: how often g is evaluated. From the second time on, it is evaluated at the
            guided estimate, which is where the linearisation of a curved f matters.
    """

    denoiser: Denoiser
    guide: Guide
    scale: Scale = 1.0
    iterations: int = 1

    def __call__(self, x: Tensor, sigma: Sigma) -> Tensor:
        """Return the guided estimate, `B x *shape`."""
        strength = per_row(sigma, x) ** 2 * _at(self.scale, sigma, x)
        estimate = self.denoiser(x, sigma)
        for _ in range(self.iterations):
            _, gradient = value_and_gradient(self.guide, estimate)
            if gradient is None:
                break
            estimate = self.denoiser(x + strength * gradient, sigma)
        return estimate
