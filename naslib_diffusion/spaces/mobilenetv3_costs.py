"""What Once-for-all's sub-networks cost, layer by layer: parameters and multiply-adds.

The widths are those of MobileNetV3-Large (Howard et al., 2019) as Once-for-all trains it, width
multiplier 1.0. Everything is counted: batch normalisations and biases as parameters, and
convolutions, squeeze-and-excitation and the classifier as multiply-adds.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

WIDTHS = (16, 24, 40, 80, 112, 160)
"""Channels that go into the five stages, and those that come out of the last."""
STRIDES = (2, 2, 2, 1, 2)
SQUEEZED = (False, True, False, True, True)
"""Stages whose layers squeeze and excite."""
HEAD = (960, 1280, 1000)
"""Channels of the last two convolutions, and classes."""
LAYERS = 4
COSTS = ("params", "flops")


@dataclass(frozen=True)
class _Cost:
    """Parameters, and multiply-adds of one image."""

    params: int
    flops: int

    def __add__(self, other: _Cost) -> _Cost:
        return _Cost(self.params + other.params, self.flops + other.flops)


def rounded(channels: float, divisor: int = 8) -> int:
    """Round a number of channels as MobileNets do: to a multiple of 8, and never down by 10 %."""
    near = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * channels else near


_Table = tuple[int, tuple[tuple[int, ...], ...]]


@functools.cache
def layer_costs(name: str, resolution: int, operations: tuple[tuple[int, int], ...]) -> _Table:
    """Return a cost of what all have in common, and of each operation in each of the 20 layers.

    Args:
        name: one of `COSTS`.
        resolution: height and width of an image.
        operations: kernel size and expansion ratio of each.
    """
    side = _halved(resolution)
    common = _convolution(3, WIDTHS[0], 3, side)
    common += _depthwise(WIDTHS[0], 3, side) + _convolution(WIDTHS[0], WIDTHS[0], 1, side)
    layers = []
    for stage, (before, after) in enumerate(itertools.pairwise(WIDTHS)):
        for layer in range(LAYERS):
            inputs, stride = (after, 1) if layer else (before, STRIDES[stage])
            smaller = _halved(side) if stride == 2 else side
            layers.append(
                [_layer(inputs, after, op, side, smaller, SQUEEZED[stage]) for op in operations]
            )
            side = smaller
    common += _convolution(WIDTHS[-1], HEAD[0], 1, side)
    common += _Cost(HEAD[0] * HEAD[1], HEAD[0] * HEAD[1])
    common += _Cost((HEAD[1] + 1) * HEAD[2], HEAD[1] * HEAD[2])
    rows = tuple(tuple(int(getattr(cost, name)) for cost in layer) for layer in layers)
    return int(getattr(common, name)), rows


def _layer(
    inputs: int, outputs: int, operation: tuple[int, int], side: int, smaller: int, squeezed: bool
) -> _Cost:
    """Expand, convolve each channel, squeeze and excite, and project."""
    kernel, expansion = operation
    middle = rounded(inputs * expansion)
    cost = _convolution(inputs, middle, 1, side) + _depthwise(middle, kernel, smaller)
    if squeezed:
        few = rounded(middle // 4)
        cost += _Cost(2 * middle * few + few + middle, 2 * middle * few)
    return cost + _convolution(middle, outputs, 1, smaller)


def _convolution(inputs: int, outputs: int, kernel: int, side: int) -> _Cost:
    """A convolution with batch normalisation, to `side x side` pixels."""
    weights = inputs * outputs * kernel**2
    return _Cost(weights + 2 * outputs, weights * side**2)


def _depthwise(channels: int, kernel: int, side: int) -> _Cost:
    """The same of each channel by itself."""
    weights = channels * kernel**2
    return _Cost(weights + 2 * channels, weights * side**2)


def _halved(side: int) -> int:
    return (side + 1) // 2
