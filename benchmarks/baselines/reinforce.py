"""REINFORCE (Williams, 1992), with the policy of NAS-Bench-201 (Dong and Yang, ICLR 2020)."""

from __future__ import annotations

import torch
from naslib_diffusion.benchmarks.baselines.decisions import Decisions

from naslib_diffusion.spaces import Space
from naslib_diffusion.spaces.base import A


class Reinforce(Decisions[A]):  # type: ignore[misc]
    """Independent softmax policies, one for each choice, moved by Adam after each evaluation.

    Args:
        space: where to search.
        seed: of all random decisions.
        rate: of learning.
        momentum: of the moving average that rewards are compared with.

    Raises:
        UnfitSpace: if the choices of the space are not independent.
    """

    def __init__(self, space: Space[A], seed: int, *, rate: float, momentum: float) -> None:
        super().__init__(space)
        self._generator = torch.Generator().manual_seed(seed)
        self._logits = [
            (1e-3 * torch.randn(size, generator=self._generator)).requires_grad_()
            for size in self.sizes
        ]
        self._optimizer = torch.optim.Adam(self._logits, lr=rate)
        self._momentum, self._sum, self._weight = momentum, 0.0, 0.0

    def ask(self) -> A:
        """Draw from the policy."""
        with torch.no_grad():
            choices = [
                int(torch.multinomial(logits.softmax(0), 1, generator=self._generator))
                for logits in self._logits
            ]
        arch: A = self.build(choices)
        return arch

    def tell(self, arch: A, value: float) -> None:
        """Follow the gradient of the expected reward."""
        self._sum = self._momentum * self._sum + (1 - self._momentum) * value
        self._weight = self._momentum * self._weight + (1 - self._momentum)
        pairs = zip(self._logits, self.read(arch), strict=True)
        likelihood = torch.stack([logits.log_softmax(0)[i] for logits, i in pairs]).sum()
        self._optimizer.zero_grad()
        (-likelihood * (value - self._sum / self._weight)).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
