"""Discrete polish: coordinate ascent on the architectures themselves, many starts at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.spaces.base import Space

A = TypeVar("A", bound=Hashable)

CHUNK = 8192
"""Architectures that a guide is given at once."""


@torch.no_grad()
def evaluate(
    space: Space[A],
    archs: Sequence[A],
    guide: Guide,
    device: torch.device | str | None = None,
) -> Tensor:
    """Score architectures by a guide on their encodings: `B`, double, on the CPU.

    Raises:
        ValueError: if the guide does not return one score per architecture, or a NaN.
    """
    parts = []
    for start in range(0, len(archs), CHUNK):
        x = space.encode(archs[start : start + CHUNK]).to(device)
        values = guide(x).detach()
        if values.shape != x.shape[:1]:
            raise ValueError(
                f"the guide must map {tuple(x.shape)} to ({len(x)},), not to {tuple(values.shape)}"
            )
        parts.append(values.to("cpu", torch.double))
    scores = torch.cat(parts) if parts else torch.empty(0, dtype=torch.double)
    if scores.isnan().any():
        worst = archs[int(scores.isnan().nonzero()[0])]
        raise ValueError(f"the guide is NaN at architecture {worst}")
    return scores


def polish(
    space: Space[A],
    archs: Sequence[A],
    guide: Guide,
    *,
    known: Collection[Hashable] = (),
    max_sweeps: int = 20,
    device: torch.device | str | None = None,
    generator: torch.Generator | None = None,
) -> list[tuple[A, float]]:
    """Climb from each architecture to the best of its neighbours until none is better.

    A sweep scores the neighbours of all starts in one call of the guide.

    Args:
        archs: where to start.
        guide: maps encodings, `B x *shape`, to scores to be maximised, `B`.
        known: canonical keys that may be crossed, but are not returned.
        max_sweeps: bound on the number of sweeps.
        device: where the guide gets its input.
        generator: for spaces that draw some of their neighbours at random.

    Returns:
        Every distinct architecture that was scored and is not known, with its score, best first.
    """
    scored: dict[Hashable, tuple[A, float]] = {}

    def score(candidates: Sequence[A]) -> None:
        new = {space.canonical(a): a for a in candidates}
        new = {key: arch for key, arch in new.items() if key not in scored}
        values = evaluate(space, list(new.values()), guide, device).tolist()
        scored.update({k: (a, v) for (k, a), v in zip(new.items(), values, strict=True)})

    def value(arch: A) -> float:
        return scored[space.canonical(arch)][1]

    score(archs)
    climbing = _distinct(archs, space.canonical)
    for _ in range(max_sweeps):
        around = [(arch, space.neighbors(arch, generator)) for arch in climbing]
        score([neighbor for _, neighbors in around for neighbor in neighbors])
        steps = [(arch, max(neighbors, key=value, default=arch)) for arch, neighbors in around]
        climbing = _distinct([b for a, b in steps if value(b) > value(a)], space.canonical)
        if not climbing:
            break
    unknown = [entry for key, entry in scored.items() if key not in known]
    return sorted(unknown, key=lambda entry: -entry[1])


def _distinct(archs: Sequence[A], key: Callable[[A], Hashable]) -> list[A]:
    return list({key(arch): arch for arch in archs}.values())
