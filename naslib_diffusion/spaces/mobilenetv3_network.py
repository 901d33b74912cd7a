"""The network that a sub-network of Once-for-all's MobileNetV3 stands for, width 1.0.

Layer for layer as Cai et al. (ICLR 2020) train it, in plain PyTorch and without their weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from naslib_diffusion.spaces.mobilenetv3_costs import HEAD, SQUEEZED, STRIDES, WIDTHS, rounded

SWISHED = (False, False, True, True, True)
"""Stages whose activation is the hard swish; ReLU in the others."""
Operation = tuple[int, int]
"""Kernel size and expansion ratio of a layer."""


class MobileNetwork(nn.Module):
    """Images to class scores.

    Args:
        stages: operations of the layers that each of the five stages keeps.
        inputs: channels of an image.
        outputs: number of classes.
    """

    def __init__(self, stages: Sequence[Sequence[Operation]], inputs: int, outputs: int) -> None:
        super().__init__()
        width = WIDTHS[0]
        layers: list[nn.Module] = [
            _convolution(inputs, width, 3, nn.Hardswish(), stride=2),
            _Residual(
                _convolution(width, width, 3, nn.ReLU(), groups=width),
                _convolution(width, width, 1, None),
            ),
        ]
        plan = zip(stages, itertools.pairwise(WIDTHS), STRIDES, SQUEEZED, SWISHED, strict=True)
        for operations, (before, after), stride, squeezed, swished in plan:
            for i, operation in enumerate(operations):
                own = (after, 1) if i else (before, stride)
                layers.append(_layer(own[0], after, operation, own[1], squeezed, swished))
        layers.append(_convolution(WIDTHS[-1], HEAD[0], 1, nn.Hardswish()))
        self.body = nn.Sequential(*layers)
        self.mix = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(*HEAD[:2], 1, bias=False), nn.Hardswish()
        )
        self.head = nn.Linear(HEAD[1], outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Classify images, `B x inputs x H x W` to `B x outputs`."""
        scores: Tensor = self.head(self.mix(self.body(images)).flatten(1))
        return scores


class _Residual(nn.Sequential):
    """Layers whose input is added to their output."""

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for layer in self:
            out = layer(out)
        return x + out


class _Squeeze(nn.Module):
    """Squeeze and excitation: channels weighed by what all pixels say."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        few = rounded(channels // 4)
        self.weights = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, few, 1),
            nn.ReLU(),
            nn.Conv2d(few, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x * self.weights(x)
        return out


def _layer(
    inputs: int, outputs: int, operation: Operation, stride: int, squeezed: bool, swished: bool
) -> nn.Module:
    """Expand, convolve each channel, squeeze and excite, and project."""
    kernel, expansion = operation
    middle = rounded(inputs * expansion)
    activation = nn.Hardswish if swished else nn.ReLU
    parts = [
        _convolution(inputs, middle, 1, activation()),
        _convolution(middle, middle, kernel, activation(), stride=stride, groups=middle),
        *([_Squeeze(middle)] if squeezed else []),
        _convolution(middle, outputs, 1, None),
    ]
    return _Residual(*parts) if stride == 1 and inputs == outputs else nn.Sequential(*parts)


def _convolution(
    inputs: int,
    outputs: int,
    kernel: int,
    activation: nn.Module | None,
    *,
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """Convolution, batch normalisation, activation."""
    convolution = nn.Conv2d(
        inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
    )
    last = [] if activation is None else [activation]
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), *last)
