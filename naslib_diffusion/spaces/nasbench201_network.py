"""The network that a NAS-Bench-201 cell stands for: stem, three stages of cells, classifier.

The macro-skeleton of Dong and Yang (ICLR 2020), Figure 1, in plain PyTorch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from naslib_diffusion.spaces.nasbench201_cell import OPERATIONS, Cell
from naslib_diffusion.spaces.nasbench201_features import EDGES, NONE, SKIP

KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


class CellNetwork(nn.Module):
    """A stack of one cell, `3 * cells` times, in three stages of doubling width.

    Several networks of the same cell can be trained side by side as `copies`: each is a group of
    channels, with weights, batches and gradients of its own, in the kernels of one.

    Args:
        cell: what to stack.
        classes: outputs.
        channels: of the stem; NAS-Bench-201 has 16.
        cells: in each stage; NAS-Bench-201 has 5.
        inputs: channels of an image.
        copies: number of independent networks.
    """

    def __init__(
        self,
        cell: Cell,
        classes: int,
        *,
        channels: int = 16,
        cells: int = 5,
        inputs: int = 3,
        copies: int = 1,
    ) -> None:
        super().__init__()
        self.copies = copies
        width = channels * copies
        layers: list[nn.Module] = [
            nn.Conv2d(inputs * copies, width, 3, padding=1, groups=copies, bias=False),
            nn.BatchNorm2d(width),
        ]
        for stage in range(3):
            if stage:
                layers.append(Reduction(width, copies))
                width *= 2
            layers += [CellBlock(cell, width, copies) for _ in range(cells)]
        self.body = nn.Sequential(*layers, nn.BatchNorm2d(width), nn.ReLU())
        self.head = nn.Conv2d(width, classes * copies, 1, groups=copies)

    def forward(self, images: Tensor) -> Tensor:
        """Classify images, `B x (copies * inputs) x H x W` to logits, `B x (copies * classes)`."""
        pooled = self.body(images).mean((2, 3), keepdim=True)
        logits: Tensor = self.head(pooled)
        return logits.flatten(1)


class CellBlock(nn.Module):
    """One cell: each node sums what its incoming edges make of the earlier nodes.

    Edges that cannot matter, since no path to the output has them, get no layers.
    """

    def __init__(self, cell: Cell, width: int, copies: int) -> None:
        super().__init__()
        self.live = live_edges(cell)
        self.edges = nn.ModuleDict(
            {
                str(edge): _operation(OPERATIONS[cell.operations[edge]], width, copies)
                for edge in self.live
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the cell; without any path from input to output that is zero."""
        nodes: list[Tensor] = [x]
        for target in (1, 2, 3):
            flows = [
                layer(nodes[EDGES[int(edge)][0]])
                for edge, layer in self.edges.items()
                if EDGES[int(edge)][1] == target
            ]
            nodes.append(sum(flows[1:], flows[0]) if flows else torch.zeros_like(x))
        return nodes[3]


class Reduction(nn.Module):
    """Residual block of stride 2 that doubles the width."""

    def __init__(self, width: int, copies: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            _conv(width, 2 * width, 3, copies, stride=2), _conv(2 * width, 2 * width, 3, copies)
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False),
            nn.Conv2d(width, 2 * width, 1, groups=copies, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Halve height and width, rounded up."""
        out: Tensor = self.main(x) + self.shortcut(x)
        return out


def live_edges(cell: Cell) -> list[int]:
    """Return the edges that lie on a path from input to output without a `none`."""
    open_edges = [e for e, op in enumerate(cell.operations) if op != NONE]
    reached, needed = {0}, {3}
    for edge in sorted(open_edges, key=lambda e: EDGES[e]):
        if EDGES[edge][0] in reached:
            reached.add(EDGES[edge][1])
    for edge in sorted(open_edges, key=lambda e: EDGES[e][1], reverse=True):
        if EDGES[edge][1] in needed:
            needed.add(EDGES[edge][0])
    return [e for e in open_edges if EDGES[e][0] in reached and EDGES[e][1] in needed]


def _operation(name: str, width: int, copies: int) -> nn.Module:
    if name == OPERATIONS[SKIP]:
        return nn.Identity()
    if name in KERNELS:
        return _conv(width, width, KERNELS[name], copies)
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def _conv(inputs: int, outputs: int, kernel: int, copies: int, stride: int = 1) -> nn.Module:
    """ReLU, convolution, batch normalisation, as in NAS-Bench-201."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=copies, bias=False),
        nn.BatchNorm2d(outputs),
    )
