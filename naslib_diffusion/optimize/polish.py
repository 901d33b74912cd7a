"""Discrete polish: coordinate ascent on the architectures themselves, many starts at a time."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide, score
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
        parts.append(score(guide, x).detach().to("cpu", torch.double))
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
        Every architecture that was scored and is not known, with its score, best first; of those
        with equal canonical form, the one that the guide prefers.
    """
    scored: dict[A, float] = {}

    def score(candidates: Sequence[A]) -> None:
        new = [arch for arch in dict.fromkeys(candidates) if arch not in scored]
        scored.update(zip(new, evaluate(space, new, guide, device).tolist(), strict=True))

    score(archs)
    climbing = list(dict.fromkeys(archs))
    for _ in range(max_sweeps):
        around = [(arch, space.neighbors(arch, generator)) for arch in climbing]
        score([neighbor for _, neighbors in around for neighbor in neighbors])
        steps = [(arch, max(near, key=scored.__getitem__, default=arch)) for arch, near in around]
        climbing = list(dict.fromkeys(b for a, b in steps if scored[b] > scored[a]))
        if not climbing:
            break

    best: dict[Hashable, tuple[A, float]] = {}
    for arch, value in sorted(scored.items(), key=lambda entry: -entry[1]):
        best.setdefault(space.canonical(arch), (arch, value))
    return [entry for key, entry in best.items() if key not in known]
