"""NAS-BOWL: a Gaussian process with a Weisfeiler-Lehman kernel (Ru et al., ICLR 2021)."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from naslib_diffusion.benchmarks.baselines.cell_graphs import live_graph, need_cells
from naslib_diffusion.benchmarks.baselines.method import PoolMethod
from torch import Tensor

from naslib_diffusion.spaces import Space
from naslib_diffusion.spaces.nasbench201 import Cell

NOISES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Variances of the noise of standardised values, of which the likeliest is taken."""


class NASBOWL(PoolMethod[Cell]):  # type: ignore[misc]
    """Expected improvement over a pool, under the likeliest depth of the kernel.

    Args:
        space: where to search.
        seed: of all random decisions.
        depths: numbers of Weisfeiler-Lehman iterations to choose from.
        pool: as of `PoolMethod`; so are the rest.

    Raises:
        UnfitSpace: if the architectures are no cells.
    """

    def __init__(
        self, space: Space[Cell], seed: int, *, depths: Sequence[int], **pool: Any
    ) -> None:
        need_cells(space)
        super().__init__(space, seed, **pool)
        self._depths = depths

    def score(self, candidates: Sequence[Cell]) -> Tensor:
        """Fit, and return the expected improvement: `B`."""
        raw = log_errors(self.values)
        center, spread = raw.mean(), raw.std().nan_to_num(1.0).clamp(min=1e-6)
        y, known = (raw - center) / spread, len(self.archs)
        fits = []
        for depth in self._depths:
            kernel = wl_kernel([*self.archs, *candidates], depth)
            for noise in NOISES:
                factor = torch.linalg.cholesky(
                    kernel[:known, :known] + noise * torch.eye(known, dtype=torch.double)
                )
                weights = torch.cholesky_solve(y.unsqueeze(1), factor)[:, 0]
                evidence = -0.5 * y @ weights - factor.diagonal().log().sum()
                fits.append((float(evidence), kernel, factor, weights))
        _, kernel, factor, weights = max(fits, key=lambda fit: fit[0])
        across = kernel[:known, known:]
        mean = across.T @ weights
        explained = torch.linalg.solve_triangular(factor, across, upper=False).square().sum(0)
        deviation = (1 - explained).clamp(min=1e-9).sqrt()
        return expected_improvement(mean, deviation, float(y.max()))


def log_errors(values: Sequence[float]) -> Tensor:
    """Return minus the logarithm of the error, as the authors; what is no % as it is."""
    y = torch.tensor(values, dtype=torch.double)
    return -(100 - y).log() if float(y.min()) >= 0 and float(y.max()) < 100 else y


def expected_improvement(mean: Tensor, deviation: Tensor, best: float) -> Tensor:
    """Return the expected improvement of a normal law: `B`."""
    z = (mean - best) / deviation
    density = (-z.square() / 2).exp() / math.sqrt(2 * math.pi)
    improvement: Tensor = (mean - best) * torch.special.ndtr(z) + deviation * density
    return improvement


def wl_kernel(cells: Sequence[Cell], depth: int) -> Tensor:
    """Return the normalised Weisfeiler-Lehman subtree kernel: `B x B`."""
    counts = [wl_labels(cell, depth) for cell in cells]
    columns = {label: i for i, label in enumerate(dict.fromkeys(k for c in counts for k in c))}
    x = torch.zeros(len(cells), len(columns), dtype=torch.double)
    for row, found in zip(x, counts, strict=True):
        row[[columns[label] for label in found]] = torch.tensor(
            list(found.values()), dtype=torch.double
        )
    x /= x.norm(dim=1, keepdim=True)
    return x @ x.T


@functools.lru_cache(maxsize=2**16)
def wl_labels(cell: Cell, depth: int) -> Counter[str]:
    """Count the labels of all iterations: a node's own, then with those that it leads to."""
    labels, edges = live_graph(cell)
    counts = Counter(f"0 {label}" for label in labels.values())
    for step in range(1, depth + 1):
        labels = {
            node: f"({label}>{','.join(sorted(labels[b] for a, b in edges if a == node))})"
            for node, label in labels.items()
        }
        counts.update(f"{step} {label}" for label in labels.values())
    return counts
