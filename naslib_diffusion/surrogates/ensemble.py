"""BANANAS' surrogate: an ensemble of small neural networks on path features."""

from __future__ import annotations

import itertools
import math
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from naslib_diffusion.spaces.base import Space


class NeuralEnsemble:
    """Networks that differ by their initial weights only (White et al., AAAI 2021).

    Their inputs are the features of the space, which for cells encode the paths. All members train
    at once, as one batched network. The spread of their predictions is the uncertainty.

    Args:
        space: gives the features.
        members: number of networks, at least 2.
        width: units in each of the two hidden layers.
        steps: full-batch steps of Adam.
        seed: of the initial weights.

    Raises:
        ValueError: if there are fewer than two members.
    """

    def __init__(
        self,
        space: Space[Any],
        *,
        members: int = 5,
        width: int = 64,
        steps: int = 200,
        seed: int = 0,
    ) -> None:
        if members < 2:
            raise ValueError(f"members must be at least 2, to have a spread, not {members}")
        self.space = space
        self.members, self.width, self.steps, self.seed = members, width, steps, seed

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Fit to encodings (`B x *shape`) and targets (`B`, roughly standardised)."""
        features = self._raw(x).detach()
        self._center = features.mean(0)
        self._spread = features.std(0, correction=0).clamp(min=1e-3)
        inputs = (features - self._center) / self._spread
        self._layers = self._initial(inputs)
        optimizer = torch.optim.Adam([p for layer in self._layers for p in layer], lr=1e-2)
        with torch.enable_grad():
            for _ in range(self.steps):
                optimizer.zero_grad()
                # mean absolute error, as BANANAS: failed trainings must not dominate
                loss = (self._forward(inputs) - y).abs().mean(1).sum()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        for layer in self._layers:
            for parameter in layer:
                parameter.requires_grad_(False)
        return self

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation over the members (`B` each)."""
        inputs = (self._raw(x) - self._center) / self._spread
        predictions = self._forward(inputs)
        deviation = predictions.var(0).clamp(min=1e-8).sqrt()
        return predictions.mean(0), deviation

    def fantasize(self, x: Tensor) -> Self:
        """Return the ensemble itself: its own prediction at `x` would teach it nothing."""
        return self

    def _raw(self, x: Tensor) -> Tensor:
        return torch.cat(self.space.features(x), -1)

    def _initial(self, inputs: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Draw the weights (`members x in x out`) and biases of the three layers."""
        random = torch.Generator().manual_seed(self.seed)
        sizes = (inputs.shape[1], self.width, self.width, 1)
        layers = []
        for fan_in, fan_out in itertools.pairwise(sizes):
            weight = torch.randn(
                self.members, fan_in, fan_out, generator=random, dtype=torch.double
            ) / math.sqrt(fan_in)
            bias = torch.zeros(self.members, 1, fan_out, dtype=torch.double)
            layers.append((weight.to(inputs).requires_grad_(), bias.to(inputs).requires_grad_()))
        return layers

    def _forward(self, inputs: Tensor) -> Tensor:
        """Predict with each member; `B x K` to `members x B`."""
        hidden = inputs.expand(self.members, *inputs.shape)
        for i, (weight, bias) in enumerate(self._layers):
            hidden = torch.baddbmm(bias, hidden, weight)
            if i < len(self._layers) - 1:
                hidden = functional.silu(hidden)
        return hidden[..., 0]
