"""Choose from what was scored: architectures, with the values of their own encodings."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Hashable, Iterator
from typing import TypeVar

import torch

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.optimize.continua import meets
from naslib_diffusion.optimize.region import Member
from naslib_diffusion.optimize.scores import Scores

A = TypeVar("A", bound=Hashable)

DECODED = 32
"""Encodings decoded at a time, of which most are not wanted."""
SETTLED = 4
"""Architectures whose neighbours are tried where rounding has moved what was found."""
MOVED = 1e-6
"""Rounding by more than this has moved an encoding."""


def best(
    scores: Scores[A], key: Callable[[A], Hashable | None], slack: Guide | None = None
) -> Iterator[tuple[A, float]]:
    """Yield what was scored and is valid, distinct in `key`, best first.

    An encoding that is rounded when it is decoded, or in which something has no effect, is not
    that of its architecture: constraint and value are those of the latter.

    Args:
        scores: what has been visited.
        key: of an architecture; None for one that is not wanted.
        slack: how far encodings are from breaking constraints, `R x D` to `R x M`; what breaks one
            is left out.
    """
    x, values = scores.visited()
    seen: set[Hashable] = set()
    waiting: list[tuple[float, int, Hashable, A]] = []
    order = itertools.count()  # among equals, the first
    for start in range(0, len(x), DECODED):
        wanted: dict[Hashable, A] = {}
        for arch in scores.decode(x[start : start + DECODED]):
            own = key(arch)
            if own is not None and own not in seen and scores.space.is_valid(arch):
                wanted.setdefault(own, arch)
        for own, arch, value in _valued(scores, wanted, slack):
            heapq.heappush(waiting, (-value, next(order), own, arch))
        ahead = float(values[start + DECODED]) if start + DECODED < len(x) else -torch.inf
        while waiting and -waiting[0][0] >= ahead:
            value, _, own, arch = heapq.heappop(waiting)
            if own not in seen:
                seen.add(own)
                yield arch, -value


def _valued(
    scores: Scores[A], archs: dict[Hashable, A], slack: Guide | None
) -> list[tuple[Hashable, A, float]]:
    """Score the encodings of architectures; leave out what breaks a constraint."""
    if not archs:
        return []
    rows, x = list(archs.items()), scores.encode(list(archs.values()))
    if slack is not None:
        met = meets(slack, x)
        rows, x = [row for row, ok in zip(rows, met.tolist(), strict=True) if ok], x[met]
    return [
        (key, arch, value) for (key, arch), value in zip(rows, scores(x).tolist(), strict=True)
    ]


def settle(
    scores: Scores[A], allowed: Member, rounds: int, random: torch.Generator | None = None
) -> None:
    """Where continua are rounded, to fine grids, climb from the rounded best to neighbours.

    Args:
        scores: what has been visited.
        allowed: which encodings, `S x D`, may be scored.
        rounds: steps, at most.
        random: for spaces that draw some of their neighbours at random.
    """
    x, _ = scores.visited()
    archs = scores.decode(x[:SETTLED])
    if not archs or not bool(((scores.encode(archs) - x[:SETTLED]).abs() > MOVED).any()):
        return
    reached = -torch.inf
    for _ in range(rounds):
        near = [other for arch in archs for other in scores.space.neighbors(arch, random)]
        near = list(dict.fromkeys([*archs, *near]))
        rows = scores.encode(near)
        met = allowed(rows).nonzero()[:, 0]
        values = scores(rows[met])
        if not len(met) or float(values.max()) <= reached:
            break
        reached = float(values.max())
        top = met[values.topk(min(SETTLED, len(met))).indices]
        archs = [near[i] for i in top.tolist()]
