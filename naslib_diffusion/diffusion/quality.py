"""How good a denoiser is: against the exact one, and by what is sampled from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from naslib_diffusion.diffusion.exact import Denoiser, Sigma, per_row
from naslib_diffusion.diffusion.graph import GraphLayout
from naslib_diffusion.diffusion.samplers import Sampler, sample_dpmpp_2m
from naslib_diffusion.diffusion.schedules import karras_sigmas, randn_like
from naslib_diffusion.spaces.base import Space

LEVELS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 3.0)
"""Noise levels at which denoisers are compared, over the range of `karras_sigmas`."""
CHUNK = 1024
"""Rows sampled at a time."""

Law = Callable[[int, torch.Generator], Sequence[Any]]
"""Draws architectures."""


@torch.no_grad()
def relative_error(
    denoiser: Denoiser, exact: Denoiser, x0: Tensor, sigma: float, generator: torch.Generator
) -> float:
    """`E |D - D*|^2 / E |D* - E D*|^2`: the error of a denoiser relative to the variance there.

    Args:
        denoiser: the one to judge, D.
        exact: the posterior mean, D*.
        x0: clean encodings, `B x *shape`.
        sigma: noise level.
        generator: of the noise.
    """
    x = x0 + sigma * randn_like(x0, generator)
    estimate = exact(x, sigma)
    error = (denoiser(x, sigma) - estimate).square().sum()
    variance = (estimate - estimate.mean(0)).square().sum()
    return float(error) / float(variance)


class RowsAlone:
    """The best denoiser that ignores what rows tell of each other, for a yardstick.

    It has the marginal law of each row, of as many samples, and estimates it from that row alone;
    as each edge, where wiring varies.

    Args:
        x0: clean encodings, `B x N x C`.
        layout: where V and E lie.
    """

    def __init__(self, x0: Tensor, layout: GraphLayout) -> None:
        self._operations = layout.operations
        operations, edges = x0[..., : layout.operations], x0[..., layout.operations :]
        self._nodes = _states(operations).mean(0)
        self._edges = edges.mean(0)

    def __call__(self, x: Tensor, sigma: Sigma) -> Tensor:
        """Return the estimate, `B x N x C`."""
        evidence = (x - 0.5) / per_row(sigma, x) ** 2
        operations, edges = evidence[..., : self._operations], evidence[..., self._operations :]
        logits = functional.pad(operations, (0, 1)) + self._nodes.log().to(x)
        nodes = logits.softmax(-1)[..., :-1]
        return torch.cat([nodes, (edges + self._edges.logit().to(x)).sigmoid()], dim=-1)


@torch.no_grad()
def draw(
    denoiser: Denoiser,
    shape: tuple[int, ...],
    n: int,
    generator: torch.Generator,
    *,
    sigmas: Tensor | None = None,
    sampler: Sampler = sample_dpmpp_2m,
) -> Tensor:
    """Sample `n` relaxed architectures, `n x *shape`; nothing is rejected.

    The sampler is one of second order unless told: with few steps, the exact denoiser has
    the marginals of the space then, so that what deviates is the network's.
    """
    sigmas = karras_sigmas(20) if sigmas is None else sigmas
    parts = []
    for start in range(0, n, CHUNK):
        middle = torch.full((min(CHUNK, n - start), *shape), 0.5, dtype=torch.double)
        middle = denoiser(middle, float(sigmas[0]))
        x = middle + float(sigmas[0]) * randn_like(middle, generator)
        parts.append(sampler(denoiser, x, sigmas, generator=generator))
    return torch.cat(parts)


def node_distance(x: Tensor, y: Tensor) -> float:
    """Mean total variation between marginals of single rows, of `x` and `y` (`B x N x F`).

    Rows are nodes, or edges too (see `choices`); an empty row counts as one more operation.
    """
    difference = _states(x).mean(0) - _states(y).mean(0)
    return float(difference.abs().sum(-1).mean()) / 2


def pair_distance(x: Tensor, y: Tensor) -> float:
    """Mean total variation between joint marginals of two rows, of `x` and `y` (`B x N x F`)."""
    nodes = x.shape[1]
    first, second = torch.triu_indices(nodes, nodes, 1)
    difference = (_pairs(x) - _pairs(y))[first, :, second]
    return float(difference.abs().sum((1, 2)).mean()) / 2


def thresholded_validity(space: Space[Any], x: Tensor) -> float:
    """Share of samples, `B x *shape`, that are valid without the help of decoding.

    The paper's rule: entries above one half are one, the others zero, and that must be the
    encoding of a valid architecture.
    """
    archs = space.decode(x)
    same = (space.encode(archs) == (x > 0.5)).flatten(1).all(1).tolist()
    valid: list[bool] = [a and space.is_valid(b) for a, b in zip(same, archs, strict=True)]
    return sum(valid) / len(valid)


@dataclass(frozen=True)
class Quality:
    """What `measure` finds; shares and distances are between 0 and 1."""

    relative_errors: dict[str, float] | None
    """By noise level; None if there is no exact denoiser."""
    node_distance: float
    pair_distance: float
    perfect_node_distance: float
    """What as many samples of the law itself have."""
    perfect_pair_distance: float
    validity: float
    thresholded_validity: float
    distinct: float
    perfect_distinct: float
    """Distinct strings, of samples and of as many draws from the law."""
    per_second: float
    """Samples per second of processor time, which other work on the machine does not change."""


def measure(
    denoiser: Denoiser,
    space: Space[Any],
    exact: Denoiser | None = None,
    *,
    law: Law | None = None,
    n: int = 10_000,
    steps: int = 20,
    seed: int = 0,
) -> Quality:
    """Judge a denoiser on the CPU by `n` samples in `steps` steps.

    Args:
        denoiser: the one to judge.
        space: of which it is.
        exact: the exact one, if there is.
        law: draws from the law that it was to learn; `space.sample` unless told. Marginals are
            compared with those of ten times as many draws as samples.
        n: how many samples.
        steps: of the sampler.
        seed: of samples and draws.
    """
    random = torch.Generator().manual_seed(seed)
    law = law or space.sample
    reference = choices(space, law(10 * n, random))
    perfect = law(n, random)
    start = time.process_time()
    x = draw(denoiser, space.shape, n, random, sigmas=karras_sigmas(steps))
    archs = space.decode(x)
    seconds = time.process_time() - start
    found, ideal = choices(space, archs), choices(space, perfect)
    return Quality(
        relative_errors=_errors(denoiser, exact, space, random) if exact else None,
        node_distance=node_distance(found, reference),
        pair_distance=pair_distance(found, reference),
        perfect_node_distance=node_distance(ideal, reference),
        perfect_pair_distance=pair_distance(ideal, reference),
        validity=sum(map(space.is_valid, archs)) / n,
        thresholded_validity=thresholded_validity(space, x),
        distinct=_distinct(archs),
        perfect_distinct=_distinct(perfect),
        per_second=n / seconds,
    )


def _errors(
    denoiser: Denoiser, exact: Denoiser, space: Space[Any], random: torch.Generator
) -> dict[str, float]:
    x0 = space.encode(space.sample(4 * CHUNK, random))
    return {str(sigma): relative_error(denoiser, exact, x0, sigma, random) for sigma in LEVELS}


def choices(space: Space[Any], archs: Sequence[Any]) -> Tensor:
    """Return all that is chosen in architectures, one row for each choice, `B x R x F`.

    Rows are the nodes and, where wiring varies, then all pairs (i, j) with i < j: an edge has the
    first operation, a missing edge none.
    """
    layout = GraphLayout.of(space)
    x = space.encode(archs).float()
    operations = x[..., : layout.operations]
    if layout.edges is not None:
        return operations
    first, second = torch.triu_indices(layout.nodes, layout.nodes, 1)
    edges = x[:, first, layout.operations + second, None]
    padded = functional.pad(edges, (0, layout.operations - 1))
    return torch.cat([operations, padded], dim=1)


def _distinct(archs: Sequence[Any]) -> float:
    return len({str(arch) for arch in archs}) / len(archs)


def _states(x: Tensor) -> Tensor:
    """Append a column for empty rows, `B x N x (F + 1)`."""
    return torch.cat([x, 1 - x.sum(-1, keepdim=True)], dim=-1)


def _pairs(x: Tensor) -> Tensor:
    """Joint frequencies of states, `N x (F + 1) x N x (F + 1)`."""
    states = _states(x)
    flat = states.flatten(1)
    return (flat.T @ flat / len(flat)).view(*states.shape[1:], *states.shape[1:])
