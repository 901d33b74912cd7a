"""A small space whose wiring varies, and a small network."""

from __future__ import annotations

import torch

from naslib_diffusion.diffusion.config import NetworkConfig

SMALL = NetworkConfig(width=16, depth=2, heads=2, expansion=2)


class Wired:
    """Three nodes, each of two operations or absent, and edges among them: 4 x 5 columns."""

    name = "wired"
    shape = (3, 2 + 3)
    size = None
    blocks = None

    def sample(self, n, generator=None):
        operations = torch.randint(3, (n, 3), generator=generator)
        edges = torch.randint(2, (n, 3), generator=generator)
        return [
            (tuple(a), tuple(b)) for a, b in zip(operations.tolist(), edges.tolist(), strict=True)
        ]

    def encode(self, archs):
        x = torch.zeros(len(archs), *self.shape, dtype=torch.double)
        for row, (operations, edges) in zip(x, archs, strict=True):
            for node, operation in enumerate(operations):
                if operation < 2:
                    row[node, operation] = 1
            row[0, 3], row[0, 4], row[1, 4] = edges
        return x
