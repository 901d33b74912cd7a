"""What a score network is made of, how it is trained, and the noise levels that follow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

LARGEST = 4096
"""Largest number in a configuration: a damaged file shall not fill the memory."""
POSITIVE = (
    "steps", "batch_size", "learning_rate", "clip", "sigma_median", "sigma_spread", "save_every",
)  # fmt: skip
"""Options that must be positive."""


@dataclass(frozen=True)
class NetworkConfig:
    """The architecture of a score network.

    Args:
        width: number of features of each node.
        depth: number of transformer blocks.
        heads: number of attention heads, which has to divide the width.
        expansion: number of hidden units of the blocks' perceptrons, in units of the width.
        positional: whether nodes are told apart by their position (Eq. 4).
        directed: whether attention sees the direction of edges (Eq. 5). Without it and without
            positions, the network is equivariant to permutations, as those for undirected graphs.
        absence: whether nodes can be absent, all-zero rows; `ScoreNetwork.for_space` finds out.
        head: "posterior" for Bayes' rule with a learned prior; "linear" for the usual
            preconditioned regression (Karras et al. 2022, Eq. 7). See `ScoreNetwork`.
    """

    width: int = 64
    depth: int = 2
    heads: int = 2
    expansion: int = 4
    positional: bool = True
    directed: bool = True
    absence: bool = True
    head: Literal["posterior", "linear"] = "posterior"

    def __post_init__(self) -> None:
        for name in ("width", "depth", "heads", "expansion"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= LARGEST:
                raise ValueError(f"{name} must be from 1 to {LARGEST}, not {value!r}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of {self.heads} heads")
        if self.head not in ("posterior", "linear"):
            raise ValueError(f"head must be 'posterior' or 'linear', not {self.head!r}")


@dataclass(frozen=True)
class TrainConfig:
    """How a score network is trained.

    Args:
        steps: number of steps of the optimiser.
        minutes: training stops after so long if `steps` are not done by then. The learning rate
            falls accordingly, so that the result depends on the machine. By default there is no
            such limit.
        batch_size: number of architectures in a step of each process.
        learning_rate: the largest learning rate, after the warm-up and before the cosine decay.
        warmup: number of steps during which the learning rate rises linearly.
        weight_decay: the weight decay of AdamW.
        ema: decay of the moving average of the weights, which is the result of the training.
        clip: the largest norm of the gradient; longer ones are shortened.
        sigma_min: smallest noise level. The default range covers the levels of `karras_sigmas`
            with a margin.
        sigma_max: largest noise level.
        sigma_median: median noise level. The logarithm of noise levels is normal, as in Karras
            (Table 1), cut off at the range. The default is where choices are made: with less
            noise they are as good as known, with more noise everything is open.
        sigma_spread: standard deviation of the logarithm of noise levels.
        seed: determines weights, architectures and noise, and so the whole result on the CPU.
        precision: "32", or "bf16" for mixed precision on a GPU.
        save_every: number of steps between two saved states.
    """

    steps: int = 2000
    minutes: float | None = None
    batch_size: int = 256
    learning_rate: float = 6e-3
    warmup: int = 100
    weight_decay: float = 0.0
    ema: float = 0.99
    clip: float = 1.0
    sigma_min: float = 0.02
    sigma_max: float = 5.0
    sigma_median: float = 0.5
    sigma_spread: float = 1.0
    seed: int = 0
    precision: str = "32"
    save_every: int = 100

    def __post_init__(self) -> None:
        for name in POSITIVE:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes must be positive, not {self.minutes}")
        if not 0 < self.sigma_min < self.sigma_max:
            raise ValueError(
                f"need 0 < sigma_min < sigma_max, not {self.sigma_min} and {self.sigma_max}"
            )
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be in [0, 1), not {self.ema}")
        if self.precision not in ("32", "bf16"):
            raise ValueError(f"precision must be '32' or 'bf16', not {self.precision!r}")


def noise_levels(config: TrainConfig, share: Tensor) -> Tensor:
    """Return the noise levels below which given shares of the noise levels of a training lie.

    Maps `B` shares to `B` noise levels.
    """
    low, median, high = (
        math.log(v) for v in (config.sigma_min, config.sigma_median, config.sigma_max)
    )
    ends = torch.tensor([low - median, high - median], dtype=torch.double) / config.sigma_spread
    first, last = torch.special.ndtr(ends)
    normal = torch.special.ndtri(first + (last - first) * share.double())
    return torch.exp(median + config.sigma_spread * normal).to(share)
