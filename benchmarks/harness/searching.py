"""A search on a table, one evaluation at a time: what most measurements count on."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import TypeVar

from naslib_diffusion.search import Search

A = TypeVar("A", bound=Hashable)


def best_so_far(
    search: Search[A], evaluate: Callable[[A], float], budget: int, enough: float = math.inf
) -> list[float]:
    """Return the best value (to be maximised) after each evaluation.

    The list ends after `budget` evaluations, or with the first value of at least `enough`.
    """
    best: list[float] = []
    while len(best) < budget:
        (arch,) = search.ask()
        value = evaluate(arch)
        best.append(max([value, *best[-1:]]))
        if value >= enough:
            break
        search.tell([arch], [value])
    return best


def evaluations_until(best: list[float], enough: float, budget: int) -> int:
    """Return how many evaluations it took to reach `enough`; `budget + 1` if it was missed."""
    return len(best) if best[-1] >= enough else budget + 1
