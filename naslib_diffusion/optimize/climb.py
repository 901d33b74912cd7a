"""Coordinate ascent on encodings: many starts at a time, moves screened by the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from naslib_diffusion.optimize.moves import Moves
from naslib_diffusion.optimize.scores import Scores

Filter = Callable[[Tensor], Tensor]
"""Tells which of `R` encodings, `R x D`, may be stepped on: `R` booleans."""

CERTIFIED = 512
"""Where there are more moves, so many that look best by the gradient are tried at the end, so that
the cost of an ascent stays linear in the size of the encoding."""
MENDED = 256
"""Proposals that break a constraint and are led back by a second move, in each sweep."""
ESCAPES = 100
"""Steps of the best alone, at most, each of which tries all moves."""
TOLERANCE = 1e-10
"""Improvements up to this, relative to the size of the value, are rounding errors."""


def climb(
    x: Tensor,
    scores: Scores[Any],
    moves: Moves,
    *,
    screen: int = 16,
    pairs: int = 8,
    max_sweeps: int = 100,
    escapes: int = ESCAPES,
    allowed: Filter | None = None,
    valid: Filter | None = None,
) -> tuple[Tensor, Tensor]:
    """Move each start to better and better encodings, until none of the moves tried is better.

    Each sweep scores the `screen` moves that look best by the gradient, and a few combinations of
    them; without a gradient, or where there are not many more, all moves. At the end all moves
    from the best (up to `CERTIFIED`) are tried, so that it is a local optimum for certain, and the
    `screen` moves that look best after each of the `pairs` least harmful ones. If one is better,
    the ascent goes on.

    Args:
        x: encodings of architectures, `S x D`.
        scores: what to maximise.
        moves: what can be changed.
        screen: how many moves to score.
        pairs: how many moves to combine with a second one at the end.
        max_sweeps: bound on the number of sweeps of all starts; the best then goes on alone.
        escapes: how often that tries all moves, at most.
        allowed: which encodings are worth scoring; asked of all moves.
        valid: which encodings may be stepped on; asked of the best only, since it may be slow.

    Returns:
        Where the starts ended, `S' x D` with `S' <= S` since some meet, and their scores; best
        first. All that was scored is in `scores`.
    """
    if not len(x):
        return x, x.new_empty(0)
    climber = _Climber(scores, moves, screen, allowed, valid)
    x, values = climber.ascend(torch.unique(x, dim=0), None, max_sweeps)
    for _ in range(escapes):
        top = int(values.argmax())
        step = climber.escape(x[top : top + 1], values[top : top + 1], pairs)
        if step is None:
            break
        x[top : top + 1], values[top : top + 1] = climber.ascend(*step, ESCAPES)
    order = values.argsort(descending=True, stable=True)
    return x[order], values[order]


@dataclass(frozen=True)
class _Climber:
    """One ascent: see `climb`."""

    scores: Scores[Any]
    moves: Moves
    screen: int
    allowed: Filter | None
    valid: Filter | None

    @property
    def exhaustive(self) -> bool:
        """Whether each sweep scores all moves."""
        return self.moves.count <= 2 * self.screen

    def ascend(self, x: Tensor, values: Tensor | None, max_sweeps: int) -> tuple[Tensor, Tensor]:
        """Take steps until no start has a better one; starts that meet become one."""
        gradient = None
        if values is None or not self.exhaustive:
            values, gradient = self._look(x)
        ended_x, ended_values = [x[:0]], [values[:0]]
        for _ in range(max_sweeps):
            new, owners, found = self._score(x, gradient, self.screen)
            x, values, stuck = _step(x, values, new, found, owners, self.valid)
            ended_x.append(x[stuck])
            ended_values.append(values[stuck])
            x, values = _distinct(x[~stuck], values[~stuck])
            if not len(x):
                break
            if not self.exhaustive:
                values, gradient = self._look(x)
        return _distinct(torch.cat([*ended_x, x]), torch.cat([*ended_values, values]))

    def _look(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Score where the starts are, with the gradient if it is of use."""
        return (self.scores(x), None) if self.exhaustive else self.scores.gradient(x)

    def escape(self, x: Tensor, values: Tensor, pairs: int) -> tuple[Tensor, Tensor] | None:
        """Return something better than a local optimum, `1 x D`, by one move or two; or None."""
        gradient = None if self.moves.count <= CERTIFIED else self.scores.gradient(x)[1]
        new, owners, found = self._score(x, gradient, min(self.moves.count, CERTIFIED))
        moved, best, stuck = _step(x, values, new, found, owners, self.valid)
        if not bool(stuck):
            return moved, best
        near = new[found.topk(min(pairs, len(found))).indices]
        if not len(near):
            return None
        if not self.exhaustive:
            _, gradient = self.scores.gradient(near)
            if gradient is None:
                return None
        new, _, found = self._score(near, gradient, self.screen)
        owners = torch.zeros(len(new), dtype=torch.long, device=x.device)
        moved, best, stuck = _step(x, values, new, found, owners, self.valid)
        return None if bool(stuck) else (moved, best)

    def _score(
        self, x: Tensor, gradient: Tensor | None, limit: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Score moves: encodings `R x D`, the row of `x` that each comes from, and scores."""
        new, owners = self.moves.propose(x, gradient, limit)
        if self.allowed is not None and len(new):
            keep = self.allowed(new)
            mended, sources = self._mend(new[~keep], owners[~keep], gradient)
            new, owners = torch.cat([new[keep], mended]), torch.cat([owners[keep], sources])
        return new, owners, self.scores(new)

    def _mend(self, x: Tensor, owners: Tensor, gradient: Tensor | None) -> tuple[Tensor, Tensor]:
        """Lead what breaks the constraint back by a second move, the best by the gradient."""
        if not len(x) or self.allowed is None:
            return x[:0], owners[:0]
        limit = 4 * self.screen
        tried = self.moves.count if gradient is None else limit
        x, owners = (t[: max(MENDED * limit // max(tried, limit), 1)] for t in (x, owners))
        slopes = None if gradient is None else gradient[owners]
        rows, sources = self.moves.propose(x, slopes, limit)
        met = self.allowed(rows).nonzero()[:, 0]
        first = torch.full((len(x),), len(rows), device=x.device)
        first = first.scatter_reduce(0, sources[met], met, "amin")
        some = first < len(rows)
        return rows[first[some]], owners[some]


def _step(
    x: Tensor, values: Tensor, new: Tensor, found: Tensor, owners: Tensor, valid: Filter | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Move each row of `x` to the best of its proposals, if that is better; say which is not."""
    threshold = values + TOLERANCE * values.abs().clamp(1e-3, 1e300)
    winners, better = _winners(found, owners, threshold)
    if valid is not None and bool(better.any()):
        bad = torch.zeros_like(better)
        bad[better] = ~valid(new[winners[better]])
        doubtful = (bad[owners] & (found > threshold[owners])).nonzero()[:, 0]
        if len(doubtful):  # few enough, now that those with a valid winner are settled
            found = found.clone()
            found[doubtful[~valid(new[doubtful])]] = -math.inf
            winners, better = _winners(found, owners, threshold)
    chosen = winners[better]
    moved = x.clone()
    moved[better] = new[chosen]
    reached = values.clone()
    reached[better] = found[chosen]
    return moved, reached, ~better


def _winners(found: Tensor, owners: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
    """Return the best proposal of each row, and whether it is above the threshold."""
    best = torch.full_like(threshold, -math.inf).scatter_reduce(0, owners, found, "amax")
    hits = (found == best[owners]).nonzero()[:, 0]
    winners = torch.full((len(threshold),), -1, device=owners.device)
    return winners.scatter_reduce(0, owners[hits], hits, "amax"), best > threshold


def _distinct(x: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Drop repeated rows."""
    if len(x) < 2:
        return x, values
    rows, inverse = torch.unique(x, dim=0, return_inverse=True)
    return rows, torch.empty_like(values[: len(rows)]).scatter_(0, inverse, values)
