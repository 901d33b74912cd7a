"""A search on a table, one evaluation at a time: what most measurements count on."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import torch

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.search import Search
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.nasbench201 import Cell
from naslib_diffusion.surrogates import GaussianProcess, ObjectiveScale
from naslib_diffusion.surrogates.prior import Prior, informed
from naslib_diffusion.tables import Table

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


def predictor(table: Table[Cell], cells: Sequence[Cell], priors: Sequence[Prior] = ()) -> Guide:
    """Return the mean of the surrogate that was fitted to some cells of a table.

    Without any cells, it is what the priors say.
    """
    space = NASBench201()
    values = torch.tensor([table[cell] for cell in cells], dtype=torch.double)
    targets = ObjectiveScale.of(values)(values) if cells else values
    model = informed(GaussianProcess(space), priors).fit(space.encode(cells), targets)
    return lambda x: model.posterior(x)[0]


def evaluations_until(best: list[float], enough: float, budget: int) -> int:
    """Return how many evaluations it took to reach `enough`; `budget + 1` if it was missed."""
    return len(best) if best[-1] >= enough else budget + 1
