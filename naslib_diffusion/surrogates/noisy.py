"""The paper's own guide (Eq. 8-9): a surrogate that is trained on noisy architectures."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from naslib_diffusion.diffusion.exact import Sigma, per_row
from naslib_diffusion.diffusion.network import CENTER, SIGMA_DATA
from naslib_diffusion.diffusion.transformer import TimeEmbedding
from naslib_diffusion.spaces.base import Space


class NoisySurrogate(nn.Module):
    """Predicts the objective of the clean architecture from a noisy one, `f(x, sigma)`.

    Trained by least squares it is `E[y | x, sigma]`, whose gradient in x guides (`NoisyGuidance`).
    Near the least noise level it is an ordinary surrogate.

    Args:
        space: gives the shape of encodings.
        width: hidden units.
        steps: of Adam.
        batch_size: noisy copies of observed architectures per step.
        sigma_min, sigma_max: noise levels are log-uniform between them.
        weight_decay: of AdamW; observations are few.
        seed: of weights and noise.

    Raises:
        ValueError: if the range of noise levels is empty.
    """

    def __init__(
        self,
        space: Space[Any],
        *,
        width: int = 128,
        steps: int = 1000,
        batch_size: int = 256,
        sigma_min: float = 0.02,
        sigma_max: float = 5.0,
        weight_decay: float = 1e-2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 < sigma_min < sigma_max:
            raise ValueError(f"need 0 < sigma_min < sigma_max, not {sigma_min} and {sigma_max}")
        self.steps, self.batch_size, self.weight_decay = steps, batch_size, weight_decay
        self.sigma_min, self.sigma_max, self.seed = sigma_min, sigma_max, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.time = TimeEmbedding(width)
            self.first = nn.Linear(math.prod(space.shape), width)
            self.second = nn.Linear(width, width)
            self.last = nn.Linear(width, 1)
        self.double()

    def forward(self, x: Tensor, sigma: Sigma) -> Tensor:
        """Predict from `x` (`B x *shape`) at `sigma` (a scalar or `B`) the targets, `B`."""
        level = per_row(sigma, x)
        scaled = (x - CENTER) / (level**2 + SIGMA_DATA**2).sqrt()
        hidden = self.first(scaled.flatten(1).to(self.last.weight.dtype))
        hidden = hidden + self.time(level.flatten().to(hidden))
        hidden = functional.silu(self.second(functional.silu(hidden)))
        out: Tensor = self.last(hidden)[:, 0]
        return out.to(x.dtype)

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Fit to encodings (`B x *shape`) and targets (`B`, roughly standardised)."""
        random = torch.Generator().manual_seed(self.seed)
        optimizer = torch.optim.AdamW(self.parameters(), 3e-3, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        self.requires_grad_(True)
        with torch.enable_grad():
            for _ in range(self.steps):
                noisy, sigma, target = self._batch(x, y, random)
                optimizer.zero_grad()
                loss = (self(noisy, sigma) - target).square().mean()
                loss.backward()
                optimizer.step()
                schedule.step()
        return self.requires_grad_(False)

    def _batch(
        self, x: Tensor, y: Tensor, random: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw noisy copies, `b x *shape`, their noise levels and targets, `b` each."""
        rows = torch.randint(len(x), (self.batch_size,), generator=random)
        span = math.log(self.sigma_max / self.sigma_min)
        share = torch.rand(self.batch_size, generator=random, dtype=torch.double)
        sigma = self.sigma_min * torch.exp(span * share)
        clean = x[rows].double().cpu()
        noise = torch.randn(clean.shape, generator=random, dtype=torch.double)
        device = self.last.weight.device
        noisy = clean + per_row(sigma, clean) * noise
        return noisy.to(device), sigma.to(device), y[rows].double().to(device)
