"""A space of 256 architectures on which laws can be compared exactly."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from naslib_diffusion.diffusion import ExactDenoiser
from naslib_diffusion.spaces import AtomBlock

NODES = OPERATIONS = 4


class SmallLaw:
    """Four nodes with four operations each, their denoiser, and guides with known tilted laws."""

    def __init__(self) -> None:
        eye = torch.eye(OPERATIONS, dtype=torch.double)
        self.denoiser = ExactDenoiser([AtomBlock(OPERATIONS * i, eye) for i in range(NODES)])
        states = torch.tensor(list(itertools.product(range(OPERATIONS), repeat=NODES)))
        self.atoms = one_hot(states, OPERATIONS).double().flatten(1)
        generator = torch.Generator().manual_seed(1)
        dim = NODES * OPERATIONS
        weights = torch.randn(dim, generator=generator, dtype=torch.double)
        pairs = torch.randn(dim, dim, generator=generator, dtype=torch.double)
        self.guides = {
            "linear": self._standard(lambda x: x @ weights),
            "quadratic": self._standard(lambda x: 0.4 * ((x @ pairs) * x).sum(1) + x @ weights),
        }

    def _standard(self, guide: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """Scale a guide to unit deviation over the space."""
        deviation = guide(self.atoms).std()
        return lambda x: guide(x) / deviation

    def discretise(self, x: Tensor) -> Tensor:
        """Return the nearest architectures, one-hot."""
        chosen = x.view(-1, NODES, OPERATIONS).argmax(-1)
        return one_hot(chosen, OPERATIONS).double().flatten(1)

    def noise(self, rows: int, sigma: float, generator: torch.Generator) -> Tensor:
        """Start of sampling at level `sigma`."""
        shape = (rows, NODES * OPERATIONS)
        return 0.25 + sigma * torch.randn(shape, generator=generator, dtype=torch.double)

    def distance(self, x: Tensor, guide: Callable[[Tensor], Tensor], scale: float) -> float:
        """Total variation between samples and the tilted law p(a) exp(scale guide(a))."""
        exact = torch.softmax(scale * guide(self.atoms), dim=0)
        base = OPERATIONS ** torch.arange(NODES - 1, -1, -1)
        index = (x.view(-1, NODES, OPERATIONS).argmax(-1) * base).sum(1)
        found = torch.bincount(index, minlength=len(exact)) / len(x)
        return float((found - exact).abs().sum() / 2)

    def floor(self, rows: int, guide: Callable[[Tensor], Tensor], scale: float) -> float:
        """Return the distance that as many samples of the exact law have."""
        exact = torch.softmax(scale * guide(self.atoms), dim=0)
        generator = torch.Generator().manual_seed(0)
        drawn = torch.multinomial(exact, rows, replacement=True, generator=generator)
        return self.distance(self.atoms[drawn], guide, scale)


@pytest.fixture(scope="session")
def law() -> SmallLaw:
    return SmallLaw()


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
