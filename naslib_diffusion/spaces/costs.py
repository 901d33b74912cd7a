"""What a network costs: parameters and multiply-adds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]


def parameters(network: nn.Module, shape: Shape = ()) -> float:
    """Return the number of weights that training would change."""
    return float(sum(p.numel() for p in network.parameters() if p.requires_grad))


def multiply_adds(network: nn.Module, shape: Shape) -> float:
    """Return the multiply-adds of convolutions and matrix products for one input of `shape`."""
    training = network.training
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.eval()(torch.zeros(1, *shape))
    network.train(training)
    return counter.get_total_flops() / 2


COSTS: dict[str, Callable[[nn.Module, Shape], float]] = {
    "params": parameters,
    "flops": multiply_adds,
}
"""By name: number of parameters, and multiply-adds of one input."""


def check_cost(name: str, known: Iterable[str]) -> None:
    """Raise ValueError that says which costs are known, if that of a name is not."""
    names = tuple(known)
    if name not in names:
        raise ValueError(f"unknown cost {name!r}; known: {', '.join(names) or 'none'}")


def network_cost(network: nn.Module, name: str, shape: Shape) -> float:
    """Return one of the `COSTS` of a network for inputs of `shape`, without the batch.

    Raises:
        ValueError: if the cost is unknown.
    """
    check_cost(name, COSTS)
    return COSTS[name](network, shape)
