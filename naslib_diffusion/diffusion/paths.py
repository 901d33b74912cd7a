"""The posterior mean of a law whose values are the paths of a graph: sums back and forth.

The evidence of a letter, `z = log w + (x . a - |a|^2 / 2) / sigma^2`, adds up along a path. So the
evidence of all paths that go on from a state is a sum over its letters (backward, in logarithms),
which gives the posterior of the next letter in each state, and thus of the states (forward).
"""

from __future__ import annotations

import torch
from torch import Tensor

from naslib_diffusion.spaces.paths import DEAD, PathBlock, Step

CELLS = 2**23
"""Transitions times rows that are looked at together, to bound memory."""


class PathMean:
    """Maps noisy coordinates of a block (`G x w x B`) to their posterior mean.

    Args:
        block: the law.
        device: where the letters live; inputs must be there too.
        dtype: of the letters; each call computes in that of its input.
    """

    def __init__(
        self, block: PathBlock, device: torch.device | str | None, dtype: torch.dtype
    ) -> None:
        self.letters = block.letters.to(device, dtype)
        self.log_weights = (
            None if block.weights is None else block.weights.log()[:, None].to(device, dtype)
        )
        self.steps = [_Classes(step, device) for step in block.steps]
        self.edges = sum(step.edges for step in block.steps)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the posterior mean, `G x w x B`; `sigma` is `1 x 1 x` 1 or B."""
        levels = sigma.expand(len(x), 1, x.shape[2]).reshape(1, -1)
        flat = x.transpose(0, 1).reshape(x.shape[1], -1)
        rows = max(1, CELLS // self.edges)
        parts = zip(torch.split(flat, rows, 1), torch.split(levels, rows, 1), strict=True)
        means = torch.cat([self._mean(part, level) for part, level in parts], 1)
        return means.view(x.shape[1], len(x), -1).transpose(0, 1)

    def _mean(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the posterior mean of `w x B`."""
        letters = self.letters.to(x.dtype)
        evidence = (letters @ x - letters.square().sum(1, keepdim=True) / 2) / sigma**2
        if self.log_weights is not None:
            evidence = evidence + self.log_weights.to(x.dtype)
        ahead, tables = x.new_zeros(1, x.shape[1]), []
        for step in reversed(self.steps):
            ahead, *table = step.back(evidence, ahead)
            tables.append(table)
        here, weights = torch.ones_like(ahead), torch.zeros_like(evidence)
        for step, (within, choice) in zip(self.steps, reversed(tables), strict=True):
            here, chosen = step.forth(here, choice)
            weights = weights.index_add(0, step.letters, chosen[step.number] * within)
        return letters.mT @ weights


class _Classes:
    """One step of a graph, on a device."""

    def __init__(self, step: Step, device: torch.device | str | None) -> None:
        to, members, number = step.classes
        self.ends = int(step.to.max()) + 1
        self.letters, self.number = step.letters.to(device), number.to(device)
        self.members = members.to(device)
        self.to = torch.where(to == DEAD, self.ends, to).to(device)

    def back(self, evidence: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the evidence of what follows in each state, `S x B`, and two posteriors.

        Of letters within their class, `A x B`, and of classes in each state, `S x C x B`.
        """
        own = evidence[self.letters]
        nothing = own.new_full((1, own.shape[1]), -torch.inf)
        classes = torch.cat([own, nothing])[self.members].logsumexp(1)
        within = torch.exp(own - classes[self.number])
        total = torch.cat([ahead, nothing])[self.to] + classes
        most = total.detach().amax(1, keepdim=True)
        shares = (total - most).exp()
        sums = shares.sum(1, keepdim=True)
        return (most + sums.log())[:, 0], within, shares / sums

    def forth(self, here: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posterior of the next states, `S' x B`, and of the classes, `C x B`."""
        joint = here[:, None] * choice
        reached = here.new_zeros(self.ends + 1, here.shape[1])
        reached = reached.index_add(0, self.to.flatten(), joint.flatten(0, 1))
        return reached[: self.ends], joint.sum(0)
