"""Scores of untrained networks: what can be told of an architecture without any training.

Each is a pure function of a network with fresh weights and a batch of images, which may be noise.
Higher is better. They work on any network whose nonlinearities are `nn.ReLU` modules.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from naslib_diffusion.spaces.costs import multiply_adds, parameters

NOTHING = -math.inf
"""Score of a network that no signal passes."""


def log_parameters(network: nn.Module, images: Tensor) -> float:
    """Return the log number of parameters: the baseline that few scores beat (White et al. 2022,
    "A deeper look at zero-cost proxies")."""
    return math.log(max(parameters(network), 1.0))


def log_flops(network: nn.Module, images: Tensor) -> float:
    """Return the log number of multiply-adds of one image."""
    return math.log(max(multiply_adds(network, images.shape[1:]), 1.0))


def nwot(network: nn.Module, images: Tensor) -> float:
    """Return how well random weights tell images apart (Mellor et al. 2021, NASWOT, Section 3).

    Each image switches some ReLUs on; the kernel counts on how many ReLUs two images agree, and
    the score is its log determinant.
    """
    kernel = torch.zeros(len(images), len(images), dtype=torch.double)

    def count(_: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        on = (out.detach().flatten(1) > 0).float()
        kernel.add_((on @ on.mT + (1 - on) @ (1 - on).mT).double())

    relus = [module for module in network.modules() if isinstance(module, nn.ReLU)]
    hooks = [relu.register_forward_hook(count) for relu in relus]
    try:
        with torch.no_grad():
            network.train()(images)
    finally:
        for hook in hooks:
            hook.remove()
    sign, log_determinant = torch.linalg.slogdet(kernel)
    return float(log_determinant) if sign > 0 else NOTHING


def log_synflow(network: nn.Module, images: Tensor) -> float:
    """Return the log of the synaptic flow (Tanaka et al. 2020; Abdelfattah et al. 2021).

    Of the network whose weights are their absolute values, without normalisation, in answer to an
    image of ones: the sum of each weight times the gradient of the output by it. No image matters.
    """
    linear = copy.deepcopy(network).double().eval()
    for name, module in list(linear.named_modules()):
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            linear.set_submodule(name, nn.Identity())
    with torch.no_grad():
        for weight in linear.parameters():
            weight.abs_()
    out: Tensor = linear(torch.ones_like(images[:1], dtype=torch.double)).sum()
    weights = [weight for weight in linear.parameters() if weight.requires_grad]
    slopes = torch.autograd.grad(out, weights, allow_unused=True)
    flow = sum(
        float((weight.detach() * slope).sum())
        for weight, slope in zip(weights, slopes, strict=True)
        if slope is not None
    )
    return math.log(flow) if flow > 0 else NOTHING


Score = Callable[[nn.Module, Tensor], float]

SCORES: dict[str, Score] = {
    "params": log_parameters,
    "flops": log_flops,
    "nwot": nwot,
    "synflow": log_synflow,
}
"""By name."""

COMBINED = ("params", "nwot", "synflow")
"""Scores whose standardised mean is what an untrained network tells of its architecture."""
