"""Doubt of a surrogate's length scales while a search does not get on."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from naslib_diffusion.surrogates.base import Surrogate, is_noisy

PATIENCE = 10
"""Evaluations without progress that say nothing yet: many searches have such a spell."""
HALVING = 10
"""Evaluations without progress, beyond these, after which length scales count half."""
MOST = 2.0
"""How often they are halved at most."""
PROGRESS = 0.01
"""What counts as progress, in units of the gap between the best and a typical early value."""
TURN = 2
"""One ask of so many doubts. The others believe, so that a good region is searched to its end."""


@runtime_checkable
class Shortenable(Surrogate, Protocol):
    """A surrogate that can be less sure of how far what it observed reaches."""

    def shorten(self, factor: float) -> Surrogate:
        """Return a fitted surrogate whose length scales are divided by a factor."""


def doubted(surrogate: Surrogate, values: Tensor, feasible: Tensor, repeats: bool) -> Surrogate:
    """Return a fitted surrogate with shorter length scales if the search does not get on.

    Length scales are the likeliest ones, and may be wrong. Where all good points share one value
    of a parameter, the likeliest is that it hardly matters. Then the search never varies it, and
    never learns better. With shorter length scales it looks. Berkenkamp, Schoellig and Krause
    (JMLR 2019) shrink them for ever.

    Args:
        surrogate: fitted to the values.
        values: of the objective, `B`, oldest first; higher is better.
        feasible: which of them count, `B` booleans.
        repeats: whether the user calls the objective noisy.
    """
    if not isinstance(surrogate, Shortenable) or not feasible.any():
        return surrogate
    if is_noisy(surrogate, repeats):
        return surrogate  # no progress beyond what may be luck means little
    halvings = doubt(values.where(feasible, values[feasible].min()))
    return surrogate.shorten(2.0**halvings) if halvings else surrogate


def doubt(values: Tensor) -> float:
    """Return how often length scales are to be halved after values (`B`, oldest first)."""
    count = len(values)
    if count <= PATIENCE or count % TURN == 0:
        return 0.0
    best = values.max()
    # later ones are mostly chosen near the best, which would make all progress look large
    typical = values[: max(PATIENCE, count // 2)].median()
    reached = values >= best - PROGRESS * (best - typical)
    stale = count - 1 - int(reached.nonzero()[0])
    return min(max(stale - PATIENCE, 0) / HALVING, MOST)
