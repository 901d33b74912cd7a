"""What the engine's speed is held against: plain loops, bare networks, and the device itself."""

from __future__ import annotations

import functools
import itertools
import math
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from naslib_diffusion.diffusion.schedules import karras_sigmas
from naslib_diffusion.runtime.graphs import capture
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.nasbench201 import Cell
from naslib_diffusion.spaces.nasbench201_network import CellNetwork
from naslib_diffusion.surrogates import GaussianProcess
from naslib_diffusion.surrogates.posterior import squared_distances
from naslib_diffusion.transfer.joined import joined

STEPS = 10
"""Of denoising, the generator's default."""


def seconds(function: Callable[[], object], device: str, runs: int = 3, warm: int = 1) -> float:
    """Return the median time of `function` on a device, after a warm-up."""
    for _ in range(warm * (3 if device == "cuda" else 1)):  # a third call records a graph
        function()
    times = []
    for _ in range(runs):
        synchronize(device)
        start = time.perf_counter()
        function()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def synchronize(device: str) -> None:
    """Wait until the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def graphed(function: Callable[[], Tensor], device: str) -> Callable[[], Tensor]:
    """Return the function as a CUDA graph on a card, and as it is on the CPU."""
    return capture(function) if device == "cuda" else function


@functools.cache
def copy_rate(device: str) -> float:
    """Return how many bytes per second a copy reads and writes."""
    x = torch.zeros(2**28 if device == "cuda" else 2**24, device=device)
    y = torch.empty_like(x)
    return 2 * 4 * x.numel() / seconds(lambda: y.copy_(x), device)


@functools.cache
def matmul_rate(device: str, dtype: torch.dtype = torch.float) -> float:
    """Return how many operations per second a product of large matrices does."""
    size = 8192 if device == "cuda" else 768
    x = torch.randn(size, size, device=device).to(dtype)
    return 2 * size**3 / seconds(lambda: x @ x, device)


def plain_loop(gp: GaussianProcess, rows: int, device: str) -> Callable[[], Tensor]:
    """Return guided denoising of NAS-Bench-201 as one writes it down, in single precision.

    The exact denoiser, the upper confidence bound of the same Gaussian process by automatic
    differentiation, ancestral sampling; without checks, options or rejection.
    """
    space, h = NASBench201(), gp.hyperparameters
    known = [group.float() for group in gp._groups]
    weights = gp._posterior.weights.float()
    whiten = gp._posterior.whiten.float()
    sigmas: list[float] = karras_sigmas(STEPS).tolist()
    ends = torch.zeros(8, 7, device=device)
    ends[0, 0] = ends[7, 1] = 1

    def denoised(x: Tensor, sigma: float) -> Tensor:
        out = ends.expand(len(x), 8, 7).clone()
        out[:, 1:7, 2:] = torch.softmax(x[:, 1:7, 2:] / sigma**2, -1)
        return out

    def slope(x: Tensor) -> Tensor:
        x = x.requires_grad_()
        parts = zip(space.features(x), known, h.lengths, strict=True)
        rbfs = [torch.exp(-0.5 / length**2 * squared_distances(a, b)) for a, b, length in parts]
        cross = h.variance / len(known) * torch.stack(rbfs).sum(0)
        variance = (h.variance - (cross @ whiten).square().sum(1)).clamp(min=1e-6)
        (gradient,) = torch.autograd.grad((cross @ weights + 2 * variance.sqrt()).sum(), x)
        return gradient

    def loop() -> Tensor:
        x = 0.5 + sigmas[0] * torch.randn(rows, 8, 7, device=device)
        for sigma, lower in itertools.pairwise(sigmas):
            estimate = denoised(x, sigma)
            estimate = denoised(x + 5 * sigma**2 * slope(estimate), sigma)
            ratio = (lower / sigma) ** 2
            x = estimate + ratio * (x - estimate)
            if lower > 0:
                x = x + lower * math.sqrt(1 - ratio) * torch.randn_like(x)
        return x

    return loop


def bare_network(network: nn.Module, rows: int, shape: tuple[int, ...], device: str) -> float:
    """Return the time of as many passes through a score network as denoising takes, no sampler.

    On a card in bf16 and as a CUDA graph.
    """
    x = torch.rand(rows, *shape, device=device)

    def passes() -> Tensor:
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            for _ in range(STEPS):
                out: Tensor = network(x, 0.5)
        return out

    return seconds(graphed(passes, device), device, runs=2)


def network_operations(network: nn.Module, nodes: int) -> float:
    """Return how many operations one pass takes per row: two per weight and node."""
    return 2.0 * nodes * sum(p.numel() for p in network.parameters() if p.ndim == 2)


def bare_cell_training(
    cell: Cell, device: str, *, copies: int = 1, channels: int = 16, cells: int = 5
) -> float:
    """Return images per second of training steps on images that lie on the device, no loader.

    On a card in bf16, channels last, as a CUDA graph; `copies` networks in streams of their own.
    """
    card = device == "cuda"
    batch = 256 if card else 64
    streams: list[AbstractContextManager[object]] = [nullcontext()] * copies
    if card:
        streams = [torch.cuda.stream(torch.cuda.Stream()) for _ in range(copies)]  # type: ignore[no-untyped-call]
    steps = []
    for stream in streams:
        with stream:
            step = _bare_step(CellNetwork(cell, 10, channels=channels, cells=cells), device, batch)
            steps.append(graphed(step, device))

    def run() -> None:
        for stream, step in zip(streams, steps, strict=True):
            with stream:
                step()

    return batch * copies / seconds(run, device, runs=10 if card else 1)


def _bare_step(network: CellNetwork, device: str, batch: int) -> Callable[[], Tensor]:
    """Return a step of training, which returns the loss."""
    there = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained = joined(there)
    optimizer = torch.optim.SGD(
        trained.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, foreach=True
    )
    x = torch.randn(batch, 3, 32, 32, device=device).to(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (batch,), device=device)

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=False)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda", cache_enabled=False):
            loss = functional.cross_entropy(trained(x).float(), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.detach()

    return step
