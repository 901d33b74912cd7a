"""What a surrogate sees of a transformer: its size, its layers, and their summary.

Widths double from level to level, so levels from -1 to 1 are logarithmic. All features are linear
in encodings but the logarithm of the number of parameters, which is that of a product of global
choices and sums over layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import FeaturesPullback
from naslib_diffusion.spaces.levels import levels, middle

PRESENT = 1.5
"""Weight of a layer's presence beside its levels of ratio and heads."""
WIDTH = 2.0
"""Weight of the width's level beside the summary of the layers."""
SUMMARY = 9
"""Features of the summary."""
LEAST = 1e-3
"""Relaxed numbers of parameters count as at least so much of the smallest transformer's."""


@dataclass(frozen=True)
class Summary:
    """Features of encodings (`B x D`) in three groups, and the way back from their gradients.

    Size, `B x 2`: level of the width, and log parameters from -1 to 1. Layers, `B x (3 L + 1)`:
    presence and levels of ratio and heads of each, and the width's. Summary, `B x 9`: sum, trend
    and number of middle values over the layers, of ratio and of heads, and levels of width, depth
    and bias.

    Attributes:
        linear: columns of all features but the second, `D x (3 L + 11)`.
        width: columns of the one-hot width, `D x W`.
        bias: columns of the one-hot bias, `D x 2`.
        sums: columns of number of layers, sum of ratios and of heads, `D x 3`.
        rates: what a network costs at each width and bias by `(1, *sums)`, `W x 2 x 4`, relative
            to the smallest.
        log_range: logarithm of the largest number of parameters, relative to the smallest.
    """

    linear: Tensor
    width: Tensor
    bias: Tensor
    sums: Tensor
    rates: Tensor
    log_range: float

    def to(self, device: torch.device, dtype: torch.dtype) -> Summary:
        """Return the same elsewhere and in another precision."""
        tensors = {
            name: value.to(device, dtype)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **tensors)  # type: ignore[arg-type]

    def __call__(self, x: Tensor) -> tuple[tuple[Tensor, ...], FeaturesPullback]:
        """Return the groups, and what maps their gradients to that by `x`."""
        linear = x @ self.linear
        size, layers, summary = linear[:, :1], linear[:, 1:-SUMMARY], linear[:, -SUMMARY:]
        level, slope = self._parameters(x)

        def pullback(by: Sequence[Tensor]) -> Tensor:
            by_size, by_layers, by_summary = by
            by_linear = torch.cat([by_size[:, :1], by_layers, by_summary], 1)
            return by_linear @ self.linear.mT + by_size[:, 1:] * slope()

        return (torch.cat([size, level], 1), layers, summary), pullback

    def _parameters(self, x: Tensor) -> tuple[Tensor, Callable[[], Tensor]]:
        """Return log parameters from -1 to 1, `B x 1`, and what gives their gradient, `B x D`."""
        width, bias = x @ self.width, x @ self.bias
        sums = torch.cat([torch.ones_like(x[:, :1]), x @ self.sums], 1)
        each = torch.einsum("wbs,ns->nwb", self.rates, sums)
        by_width = torch.einsum("nwb,nb->nw", each, bias)
        total = (by_width * width).sum(1, keepdim=True)
        unit = 2 / self.log_range

        def slope() -> Tensor:
            by_bias = torch.einsum("nwb,nw->nb", each, width)
            by_sums = torch.einsum("wbs,nw,nb->ns", self.rates[..., 1:], width, bias)
            by_x = by_width @ self.width.mT + by_bias @ self.bias.mT + by_sums @ self.sums.mT
            return (unit * by_x / total.clamp(min=LEAST)).where(total > LEAST, 0.0)

        return unit * total.clamp(min=LEAST).log() - 1, slope


def linear_columns(
    width: Tensor, depth: Tensor, ratios: Tensor, heads: Tensor, bias: Tensor
) -> Tensor:
    """Return `Summary.linear` from the parts of an identity matrix of encodings.

    Args:
        width: `D x W`.
        depth: `D x K`.
        ratios: `D x L x K`.
        heads: `D x L x K`.
        bias: `D x 2`.
    """
    layers = ratios.shape[1]
    place = torch.stack([torch.ones(layers).double(), 3**0.5 * levels(layers)], 1)
    level = (width @ levels(width.shape[1]))[:, None]
    each, sums = [PRESENT * ratios.sum(2)], []
    for hot in (ratios, heads):
        own = levels(hot.shape[2])
        each.append(hot @ own)
        sums += [hot @ own @ place, (hot.sum(1) @ middle(own))[:, None]]
    return torch.cat(
        [
            level,
            torch.cat(each, 1) / layers**0.5,
            level,
            torch.cat(sums, 1) / layers**0.5,
            WIDTH * level,
            (depth @ levels(depth.shape[1]))[:, None],
            (bias @ -levels(2))[:, None],
        ],
        1,
    )
