"""The network that a NAS-Bench-201 cell stands for: stem, three stages of cells, classifier.

The macro-skeleton of Dong and Yang (ICLR 2020), Figure 1, in plain PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

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

    Edges that cannot matter, since no path to the output has them, get no layers. Convolutions of
    one size that leave the same node are computed as one on a card, which it fills better.
    """

    def __init__(self, cell: Cell, width: int, copies: int) -> None:
        super().__init__()
        self.copies, self.live = copies, live_edges(cell)
        self.edges = nn.ModuleDict(
            {
                str(edge): _operation(OPERATIONS[cell.operations[edge]], width, copies)
                for edge in self.live
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the cell; without any path from input to output that is zero."""
        flows: list[list[Tensor]] = [[x], [], [], []]
        for source in range(3):
            for edges in self._together(source, wide=x.is_cuda and self.copies == 1):
                node = sum(flows[source][1:], flows[source][0])
                layers = [self.edges[str(edge)] for edge in edges]
                outputs = [layers[0](node)] if len(layers) == 1 else _apply_wide(layers, node)
                for edge, flow in zip(edges, outputs, strict=True):
                    flows[EDGES[edge][1]].append(flow)
        return sum(flows[3][1:], flows[3][0]) if flows[3] else torch.zeros_like(x)

    def _together(self, source: int, *, wide: bool) -> list[list[int]]:
        """Return the edges that leave a node; if `wide`, alike convolutions in one list."""
        groups: dict[object, list[int]] = {}
        for edge in self.live:
            if EDGES[edge][0] == source:
                layer = self.edges[str(edge)]
                kind: object = edge
                if wide and isinstance(layer, nn.Sequential):
                    kind = layer[1].kernel_size
                groups.setdefault(kind, []).append(edge)
        return list(groups.values())


def _apply_wide(layers: Sequence[nn.Module], x: Tensor) -> Sequence[Tensor]:
    """Apply several convolutions of one size to the same input as a single, wider one."""
    convolutions: list[nn.Conv2d] = [layer[1] for layer in layers]  # type: ignore[index]
    norms: list[Any] = [layer[2] for layer in layers]  # type: ignore[index]
    width, norm = len(norms[0].weight), norms[0]
    weight = torch.cat([convolution.weight for convolution in convolutions])
    out = functional.conv2d(functional.relu(x), weight, padding=convolutions[0].padding)
    mean = torch.cat([n.running_mean for n in norms])
    variance = torch.cat([n.running_var for n in norms])
    out = functional.batch_norm(
        out, mean, variance, torch.cat([n.weight for n in norms]),
        torch.cat([n.bias for n in norms]), norm.training, norm.momentum or 0.0, norm.eps,
    )  # fmt: skip
    if norm.training:
        for n, own_mean, own_variance in zip(
            norms, torch.split(mean, width), torch.split(variance, width), strict=True
        ):
            n.running_mean.copy_(own_mean)
            n.running_var.copy_(own_variance)
            n.num_batches_tracked += 1
    return torch.split(out, width, 1)


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
