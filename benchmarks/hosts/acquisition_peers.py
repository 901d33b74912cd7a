"""The optimizers that are compared: ours, BoTorch's, and two plain ones."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.optim.optimize import optimize_acqf_discrete, optimize_acqf_discrete_local_search
from botorch.optim.optimize_mixed import optimize_acqf_mixed_alternating
from naslib_diffusion.benchmarks.hosts.acquisition_problems import Case, Counted, Indexed
from naslib_diffusion.plugins.botorch import optimize_acqf_diffusion
from naslib_diffusion.plugins.botorch.options import batch_size
from torch import Tensor

Optimizer = Callable[[Case, Counted, int, int], Tensor]
"""Maps (case, function, q, seed) to encodings of candidates, `q x D`."""

POPULATION, GENERATIONS = 100, 60
STARTS = 16


@dataclass(frozen=True)
class Outcome:
    """What one optimizer found on one problem: value, seconds of CPU, evaluations, candidates."""

    value: float
    seconds: float
    evaluations: int
    candidates: Tensor


def measure(
    optimizer: Optimizer, case: Case, function: AcquisitionFunction, q: int, seed: int
) -> Outcome:
    """Run one optimizer; the value is that of its candidates, computed afresh."""
    torch.manual_seed(seed)
    random.seed(seed)
    counted = Counted(function)
    start = time.process_time()
    candidates = optimizer(case, counted, q, seed)
    seconds = time.process_time() - start
    with torch.no_grad():
        value = float(function(candidates[None]))
    return Outcome(value, seconds, counted.evaluations, candidates)


def diffusion(**options: Any) -> Optimizer:
    """Our optimizer."""

    def run(case: Case, function: Counted, q: int, seed: int) -> Tensor:
        candidates: Tensor = optimize_acqf_diffusion(
            function, case.space, q, options={"seed": seed, **options}, return_acq_values=False
        )[0]
        return candidates

    return run


def enumeration(case: Case, function: Counted, q: int, seed: int) -> Tensor:
    """Score all points (`optimize_acqf_discrete`)."""
    space = case.space
    candidates: Tensor = optimize_acqf_discrete(function, q, space.encode(list(space)))[0]
    return candidates


def local_search(restarts: int, raw: int) -> Optimizer:
    """BoTorch's `optimize_acqf_discrete_local_search`, on integer codes."""

    def run(case: Case, function: Counted, q: int, seed: int) -> Tensor:
        indexed = Indexed(function, case)
        choices = [torch.arange(case.operations, dtype=torch.double)] * case.nodes
        codes, _ = optimize_acqf_discrete_local_search(
            indexed, choices, q, num_restarts=restarts, raw_samples=raw
        )
        candidates: Tensor = indexed.encode(codes)
        return candidates

    return run


def mixed_alternating(restarts: int, raw: int) -> Optimizer:
    """BoTorch's `optimize_acqf_mixed_alternating`, on integer codes."""

    def run(case: Case, function: Counted, q: int, seed: int) -> Tensor:
        indexed = Indexed(function, case)
        upper = [case.operations - 1.0] * case.nodes + [1.0] * case.reals
        bounds = torch.tensor([[0.0] * len(upper), upper], dtype=torch.double)
        choices = {i: list(range(case.operations)) for i in range(case.nodes)}
        codes, _ = optimize_acqf_mixed_alternating(
            indexed, bounds, cat_dims=choices, q=q, raw_samples=raw, num_restarts=restarts
        )
        candidates: Tensor = indexed.encode(codes)
        return candidates

    return run


@torch.no_grad()
def genetic(case: Case, function: Counted, q: int, seed: int) -> Tensor:
    """Tournaments of two, uniform crossover, one mutation on average; 100 x 60, elitist."""
    draw = torch.Generator().manual_seed(seed)
    indexed = Indexed(function, case)
    width = case.nodes + case.reals

    def fresh() -> Tensor:
        codes = torch.randint(case.operations, (POPULATION, case.nodes), generator=draw)
        reals = torch.rand(POPULATION, case.reals, generator=draw, dtype=torch.double)
        return torch.cat([codes.double(), reals], 1)

    pool = fresh()
    values = indexed(pool[:, None])
    for _ in range(GENERATIONS):
        rivals = torch.randint(POPULATION, (2, POPULATION, 2), generator=draw)
        winners = rivals.gather(2, values[rivals].argmax(-1, keepdim=True))[..., 0]
        mixed = torch.rand(POPULATION, width, generator=draw) < 0.5
        children = torch.where(mixed, pool[winners[0]], pool[winners[1]])
        mutated = torch.rand(POPULATION, width, generator=draw) < 1 / width
        mutants = fresh()
        steps = 0.1 * torch.randn(POPULATION, case.reals, generator=draw, dtype=torch.double)
        mutants[:, case.nodes :] = (children[:, case.nodes :] + steps).clamp(0, 1)
        children = torch.where(mutated, mutants, children)
        pool = torch.cat([pool, children])
        values = torch.cat([values, indexed(children[:, None])])
        best = values.topk(POPULATION).indices
        pool, values = pool[best], values[best]
    best_first: Tensor = indexed.encode(pool[:q])
    return best_first


@torch.no_grad()
def hill_climbing(case: Case, function: Counted, q: int, seed: int) -> Tensor:
    """Best improvement over all single changes from 16 random starts."""
    draw = torch.Generator().manual_seed(seed)
    indexed = Indexed(function, case)
    x = torch.randint(case.operations, (STARTS, case.nodes), generator=draw).double()
    values = indexed(x[:, None])
    while True:
        rows = x[:, None, None].repeat(1, case.nodes, case.operations, 1)
        for node in range(case.nodes):
            rows[:, node, :, node] = torch.arange(case.operations, dtype=torch.double)
        around = rows.flatten(1, 2)
        parts = torch.split(around.flatten(0, 1)[:, None], batch_size(function))
        scores = torch.cat([indexed(part) for part in parts]).view(STARTS, -1)
        best = scores.max(1)
        better = best.values > values + 1e-10
        if not bool(better.any()):
            best_first: Tensor = indexed.encode(x[values.topk(q).indices])
            return best_first
        x = torch.where(better[:, None], around[torch.arange(STARTS), best.indices], x)
        values = torch.where(better, best.values, values)
