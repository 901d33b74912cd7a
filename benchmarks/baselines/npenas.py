"""NPENAS-NP: evolution guided by a graph network that predicts (Wei et al., TNNLS 2022)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from naslib_diffusion.benchmarks.baselines.cell_graphs import need_cells
from naslib_diffusion.benchmarks.baselines.method import PoolMethod
from torch import Tensor, nn
from torch.nn import functional

from naslib_diffusion.spaces import Space
from naslib_diffusion.spaces.nasbench201 import ADJACENCY, Cell


class Predictor(nn.Module):
    """Layers of a graph isomorphism network (Xu et al., ICLR 2019), and their mean over nodes."""

    def __init__(self, operations: int, width: int, layers: int) -> None:
        super().__init__()
        adjacency = torch.eye(8)
        for a, b in ADJACENCY:
            adjacency[a, b] = adjacency[b, a] = 1
        self.adjacency = nn.Buffer(adjacency)
        sizes = [operations] + [width] * layers
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, b), nn.ReLU())
            for a, b in itertools.pairwise(sizes)
        )
        self.head = nn.Sequential(
            nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `B x 8 x F` to `B`."""
        for layer in self.layers:
            x = layer(self.adjacency @ x)
        found: Tensor = self.head(x.mean(1))[:, 0]
        return found


class NPENAS(PoolMethod[Cell]):  # type: ignore[misc]
    """Mutants of the best are ranked by the network; the best few are evaluated before it learns.

    Args:
        space: where to search.
        seed: of all random decisions.
        pool: number of mutants at a time.
        parents: number of best architectures that are mutated.
        batch: number of mutants that are evaluated between two fits.
        width: of the network.
        layers: of the network.
        epochs: full-batch steps of a fit.
        rate: of learning.

    Raises:
        UnfitSpace: if the architectures are no cells.
    """

    def __init__(
        self,
        space: Space[Cell],
        seed: int,
        *,
        pool: int,
        parents: int,
        batch: int,
        width: int,
        layers: int,
        epochs: int,
        rate: float,
    ) -> None:
        need_cells(space)
        super().__init__(space, seed, pool=2 * pool, parents=parents)  # of which half are mutants
        self._batch, self._epochs, self._rate = batch, epochs, rate
        self._shape = width, layers
        self._queue: list[Cell] = []

    def ask(self) -> Cell:
        """Return the next of the batch, or make one."""
        if not self._queue and self.archs:
            mutants = self.candidates()
            scores = self.score(mutants).tolist() if mutants else []
            order = sorted(range(len(mutants)), key=scores.__getitem__, reverse=True)
            self._queue = [mutants[i] for i in order[: self._batch]]
        return self._queue.pop(0) if self._queue else self.space.sample(1, self.generator)[0]

    def candidates(self) -> list[Cell]:
        """Return distinct new mutants; where those run out, random cells."""
        found: list[Cell] = super().candidates()
        return found[: self.size // 2]

    def score(self, candidates: Sequence[Cell]) -> Tensor:
        """Fit the network, and return what it predicts: `B`."""
        x, y = self.space.encode(self.archs).float(), torch.tensor(self.values)
        y = (y - y.mean()) / y.std().nan_to_num(1.0).clamp(min=1e-6)
        with torch.random.fork_rng():
            torch.manual_seed(self.random.randrange(2**31))
            network = Predictor(x.shape[-1], *self._shape)
        optimizer = torch.optim.Adam(network.parameters(), self._rate)
        with torch.enable_grad():
            for _ in range(self._epochs):
                optimizer.zero_grad()
                functional.mse_loss(network(x), y).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        with torch.no_grad():
            predicted: Tensor = network(self.space.encode(candidates).float())
        return predicted
