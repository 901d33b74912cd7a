"""What a transformer of the GPT space costs, in closed form: parameters and multiply-adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

HEAD = 64
"""Width of one attention head, whatever the width of the embedding, as in HW-GPT-Bench."""


class Rates(NamedTuple):
    """What a cost is made of at one embedding width: it is the sum of

    `fixed`, and for each layer `layer + ratio * its MLP ratio + head * its number of heads`.
    """

    fixed: int
    layer: int
    ratio: int
    head: int


def parameters(width: int, bias: bool, vocabulary: int, context: int) -> Rates:
    """Return the rates of the number of parameters.

    Token embedding and output, each with its own matrix, as in the networks whose parameters
    HW-GPT-Bench reports (tied, there would be `vocabulary * width` fewer); layer norms of weight
    and bias each, two in a layer and one at the end; four projections of attention; two of the
    MLP. Positions are rotary.
    """
    return Rates(
        fixed=2 * vocabulary * width + 2 * width,
        layer=4 * width + bias * 2 * width,
        ratio=2 * width**2 + bias * width,
        head=4 * HEAD * width + bias * 3 * HEAD,
    )


def multiply_adds(width: int, bias: bool, vocabulary: int, context: int) -> Rates:
    """Return the rates of the multiply-adds of all matrix products for `context` tokens.

    Attention counts in full, as if it were not causal.
    """
    return Rates(
        fixed=context * vocabulary * width,
        layer=0,
        ratio=context * 2 * width**2,
        head=context * 4 * HEAD * width + 2 * context**2 * HEAD,
    )


COSTS: Mapping[str, Callable[[int, bool, int, int], Rates]] = {
    "params": parameters,
    "flops": multiply_adds,
}
"""By name: number of parameters, and multiply-adds of one sequence of full length."""
