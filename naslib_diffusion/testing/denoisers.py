"""Conformance suite for denoisers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from naslib_diffusion.diffusion.exact import Denoiser


class DenoiserTestCase:
    """Checks a denoiser against the posterior mean over all architectures, one by one.

    Subclass it in a test module, with a name that pytest collects:

        class TestMyDenoiser(DenoiserTestCase):
            tolerance = 0.05  # a trained denoiser is not exact

            @pytest.fixture
            def denoiser(self):
                return load_my_denoiser()

            @pytest.fixture
            def atoms(self):
                return space.encode(list(space))
    """

    sigmas: ClassVar[Sequence[float]] = (0.1, 0.3, 1.0, 4.0)
    """Noise levels at which the denoiser is checked."""
    tolerance: ClassVar[float] = 1e-9
    """Largest root mean square error of an estimate, per coordinate."""

    @pytest.fixture
    def denoiser(self) -> Denoiser:
        """Return the denoiser to check, in double precision on the CPU."""
        raise NotImplementedError("define a fixture `denoiser` in the subclass")

    @pytest.fixture
    def atoms(self) -> Tensor:
        """Return the encodings of all architectures, `K x *shape`, equally likely."""
        raise NotImplementedError("define a fixture `atoms` in the subclass")

    def test_is_the_posterior_mean(self, denoiser: Denoiser, atoms: Tensor) -> None:
        """Estimates agree with a sum over all architectures, at every noise level."""
        for sigma in self.sigmas:
            x = noisy(atoms, sigma)
            error = (denoiser(x, sigma) - posterior_mean(atoms, x, sigma)).square().mean().sqrt()
            assert error <= self.tolerance, f"error {error:.2g} at noise level {sigma}"

    def test_one_noise_level_per_row(self, denoiser: Denoiser, atoms: Tensor) -> None:
        """A scalar tensor and a level for each row mean the same as numbers."""
        x = noisy(atoms, 1.0)
        levels = torch.linspace(0.2, 3.0, len(x), dtype=x.dtype)
        rows = [denoiser(row[None], float(level)) for row, level in zip(x, levels, strict=True)]
        torch.testing.assert_close(denoiser(x, levels), torch.cat(rows))
        torch.testing.assert_close(denoiser(x, torch.tensor(0.7)), denoiser(x, 0.7))

    def test_keeps_shape_and_dtype(self, denoiser: Denoiser, atoms: Tensor) -> None:
        """The estimate has the shape and the type of the input, also for an empty batch."""
        for dtype in (torch.float32, torch.double):
            x = noisy(atoms, 1.0).to(dtype)
            for batch in (x, x[:0]):
                estimate = denoiser(batch, 1.0)
                assert estimate.shape == batch.shape
                assert estimate.dtype == dtype

    def test_stays_in_the_hull(self, denoiser: Denoiser, atoms: Tensor) -> None:
        """No coordinate of an estimate lies beyond what architectures have, even far away."""
        estimate = denoiser(noisy(atoms, 1.0) * 100, 1.0)
        slack = 3 * self.tolerance
        assert bool((estimate >= atoms.amin(0) - slack).all())
        assert bool((estimate <= atoms.amax(0) + slack).all())

    def test_gradient(self, denoiser: Denoiser, atoms: Tensor) -> None:
        """The gradient agrees with central differences along random directions."""
        for sigma in self.sigmas:
            x = noisy(atoms, sigma)[:8].requires_grad_()
            probe, direction = (_normal(x, seed) for seed in (1, 2))
            (gradient,) = torch.autograd.grad((denoiser(x, sigma) * probe).sum(), x)
            step = 1e-4 * sigma
            with torch.no_grad():
                ahead, behind = (denoiser(x + sign * step * direction, sigma) for sign in (1, -1))
            difference = ((ahead - behind) * probe).sum() / (2 * step)
            torch.testing.assert_close(
                (gradient * direction).sum(), difference, rtol=1e-4, atol=1e-5
            )


def noisy(atoms: Tensor, sigma: float, rows: int = 64) -> Tensor:
    """Return `rows` noisy architectures, `rows x *shape`; the same at each call."""
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randint(len(atoms), (rows,), generator=generator)
    clean = atoms[chosen].double()
    return clean + sigma * torch.randn(clean.shape, generator=generator, dtype=torch.double)


def posterior_mean(atoms: Tensor, x: Tensor, sigma: float) -> Tensor:
    """Posterior mean of `x` (`B x *shape`) over all `atoms` (`K x *shape`): the dense oracle."""
    distances = torch.cdist(x.flatten(1), atoms.double().flatten(1)).square()
    weights = torch.softmax(-distances / (2 * sigma**2), dim=1)
    return (weights @ atoms.double().flatten(1)).view(x.shape)


def _normal(x: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(x.shape, generator=generator, dtype=x.dtype)
