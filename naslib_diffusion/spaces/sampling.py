"""Random architectures of any space, also where a user's rule leaves hardly any."""

from __future__ import annotations

import weakref
from typing import Any

import torch

from naslib_diffusion.spaces.base import A, HardlyAnyValid, Space

PROBE = 32
"""Valid architectures that `sample` has to find at once, or the space counts as scarce."""
SEEDS = 8
"""Valid architectures of a scarce space from which others are reached by neighbours."""
ATTEMPTS = 100
"""Calls of `sample` in search of them: a million draws from a `ProductSpace`, at most."""
STEPS = 64
"""Architectures whose neighbours are listed for one draw from a scarce space, at most."""

_seeds: dict[int, list[Any]] = {}  # by the id of a space that is alive; none if not scarce


def sample_some(space: Space[A], n: int, generator: torch.Generator | None = None) -> list[A]:
    """Draw from a space: `n` architectures, or as many as are found where nearly all are banned.

    Where drawing at random hardly ever meets the space's rules, a few architectures are sought
    once, and then walks from neighbour to neighbour lead to others, which are not uniform.

    Raises:
        HardlyAnyValid: if none is found.
    """
    seeds = _seeds_of(space)
    if seeds:
        return _walk(space, seeds, n, generator)
    try:
        return space.sample(n, generator)
    except HardlyAnyValid as few:
        if not few.found:
            raise
        return few.found


def _seeds_of(space: Space[A]) -> list[A]:
    """Return a few architectures of a scarce space, which depend on nothing else; else none."""
    if id(space) not in _seeds:
        _seeds[id(space)] = _sought(space)
        weakref.finalize(space, _seeds.pop, id(space), None)
    return _seeds[id(space)]


def _sought(space: Space[A]) -> list[A]:
    """Draw until `SEEDS` architectures are found, if drawing `PROBE` at once is too much."""
    random = torch.Generator().manual_seed(0)
    found: list[A] = []
    for attempt in range(ATTEMPTS):
        try:
            drawn = space.sample(PROBE, random)
        except HardlyAnyValid as few:
            found += few.found
        else:
            return found + drawn if attempt else []
        if len(found) >= SEEDS:
            break
    return found


def _walk(space: Space[A], seeds: list[A], n: int, generator: torch.Generator | None) -> list[A]:
    """Go from random ones of what was reached to all their neighbours; return `n` of these."""
    reached = dict.fromkeys(seeds)
    for _ in range(STEPS):
        if len(reached) >= 2 * n:
            break
        known = list(reached)
        origin = known[int(torch.randint(len(known), (), generator=generator))]
        reached.update(dict.fromkeys(space.neighbors(origin, generator)))
    found = list(reached)
    order = torch.randperm(len(found), generator=generator).tolist()
    return [found[i] for i in order[:n]]
