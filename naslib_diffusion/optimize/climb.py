"""Coordinate ascent on encodings: many starts at a time, moves screened by the gradient."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide, score, value_and_gradient
from naslib_diffusion.optimize.moves import Moves

Filter = Callable[[Tensor], Tensor]
"""Tells which of `R` encodings, `R x D`, may be stepped on: `R` booleans."""

CERTIFIED = 512
"""Where there are more moves, so many that look best by the gradient are tried at the end, so that
the cost of an ascent stays linear in the size of the encoding."""
MENDED = 256
"""Proposals that break a constraint and are led back by a second move, in each sweep."""
TOLERANCE = 1e-10
"""Improvements up to this, relative to the size of the value, are rounding errors."""


class Scores:
    """A guide on flat encodings, `B x D`: evaluated in chunks, counted, and remembered.

    No architecture is scored twice: ascents meet, and come back to where others have been.

    Args:
        guide: maps encodings, `B x *shape`, to scores to be maximised, `B`.
        shape: of one encoding.
        chunk: encodings that the guide is given at once.

    Attributes:
        count: encodings that were scored.
    """

    def __init__(self, guide: Guide, shape: tuple[int, ...], chunk: int) -> None:
        self.guide, self.shape, self.chunk = guide, shape, chunk
        self.count = 0
        self._x: list[Tensor] = []
        self._values: list[Tensor] = []
        self._known: dict[bytes, float] = {}

    def relaxed(self, x: Tensor) -> Tensor:
        """Score relaxed encodings, `B x *shape`, differentiably; as a guide for a generator."""
        self.count += len(x)
        if len(x) <= self.chunk:
            return score(self.guide, x)
        return torch.cat([score(self.guide, part) for part in torch.split(x, self.chunk)])

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Score architectures, `B x D`, and remember them: `B`, double.

        Raises:
            ValueError: if a score is NaN.
        """
        keys = _keys(x)
        first = {key: i for i, key in reversed(list(enumerate(keys))) if key not in self._known}
        if first:
            new = x[sorted(first.values())]
            self._remember(new, self.relaxed(new.view(-1, *self.shape)).detach().double())
        values = [self._known[key] for key in keys]
        return torch.tensor(values, dtype=torch.double, device=x.device)

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Score architectures with the gradient of the guide: `B`, and `B x D` or None."""
        parts = [
            value_and_gradient(self.guide, part.view(-1, *self.shape))
            for part in torch.split(x, self.chunk)
        ]
        self.count += len(x)
        values = torch.cat([value for value, _ in parts]).double()
        self._remember(x, values)
        slopes = [slope.flatten(1) for _, slope in parts if slope is not None]
        return values, torch.cat(slopes) if len(slopes) == len(parts) else None

    def visited(self) -> tuple[Tensor, Tensor]:
        """Return the architectures that were scored, `R x D`, best first, and their scores."""
        if not self._x:
            return torch.empty(0, math.prod(self.shape)), torch.empty(0)
        x, values = torch.cat(self._x), torch.cat(self._values)
        order = values.argsort(descending=True, stable=True)
        return x[order], values[order]

    def _remember(self, x: Tensor, values: Tensor) -> None:
        if values.isnan().any():
            raise ValueError("the function to be maximised is NaN at some architectures")
        self._x.append(x)
        self._values.append(values)
        self._known.update(zip(_keys(x), values.tolist(), strict=True))


def _keys(x: Tensor) -> list[bytes]:
    """Return a short key of each row; equal rows have equal keys."""
    rows = x.contiguous().cpu().numpy()
    return [hashlib.blake2b(row, digest_size=16).digest() for row in rows]


def climb(
    x: Tensor,
    scores: Scores,
    moves: Moves,
    *,
    screen: int = 16,
    pairs: int = 8,
    max_sweeps: int = 100,
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
        max_sweeps: bound on the number of sweeps.
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
    for _ in range(max_sweeps):
        top = int(values.argmax())
        step = climber.escape(x[top : top + 1], values[top : top + 1], pairs)
        if step is None:
            break
        x[top : top + 1], values[top : top + 1] = climber.ascend(*step, max_sweeps)
    order = values.argsort(descending=True, stable=True)
    return x[order], values[order]


@dataclass(frozen=True)
class _Climber:
    """One ascent: see `climb`."""

    scores: Scores
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
        limit = self.moves.count if self.exhaustive else limit
        new, owners = _proposals(x, gradient, self.moves, limit)
        if self.allowed is not None and len(new):
            keep = self.allowed(new)
            mended, sources = self._mend(new[~keep], owners[~keep], gradient)
            new, owners = torch.cat([new[keep], mended]), torch.cat([owners[keep], sources])
        return new, owners, self.scores(new)

    def _mend(self, x: Tensor, owners: Tensor, gradient: Tensor | None) -> tuple[Tensor, Tensor]:
        """Lead what breaks the constraint back by a second move, the best by the gradient."""
        if not len(x) or self.allowed is None:
            return x[:0], owners[:0]
        x, owners = x[:MENDED], owners[:MENDED]
        slopes = None if gradient is None else gradient[owners]
        gains = self.moves.gains(x, slopes)
        order = gains.topk(min(4 * self.screen, self.moves.count), dim=1).indices
        rows = self.moves.apply(x.repeat_interleave(order.shape[1], 0), order.flatten())
        met = self.allowed(rows).view(order.shape) & (gains.gather(1, order) > -math.inf)
        first = met.int().argmax(1)  # the first that is allowed, hence the best
        some = met.any(1)
        rows = rows.view(*order.shape, -1)[torch.arange(len(x)), first]
        return rows[some], owners[some]


def _proposals(
    x: Tensor, gradient: Tensor | None, moves: Moves, limit: int
) -> tuple[Tensor, Tensor]:
    """Return what to score next, `R x D`, and the row of `x` that each comes from, `R`."""
    gains = moves.gains(x, gradient)
    possible = gains > -math.inf
    if limit < moves.count:
        unknown = int((gains == math.inf).sum(1).max())
        top = gains.topk(min(limit + unknown, moves.count), dim=1).indices
        chosen = torch.zeros_like(possible).scatter_(1, top, True) & possible
    else:
        chosen = possible
    owners, numbers = chosen.nonzero(as_tuple=True)
    rows = moves.apply(x[owners], numbers)
    if gradient is None:
        return rows, owners
    jumped, sources = moves.jumps(x, gains)
    return torch.cat([rows, jumped]), torch.cat([owners, sources])


def _step(
    x: Tensor, values: Tensor, new: Tensor, found: Tensor, owners: Tensor, valid: Filter | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Move each row of `x` to the best of its proposals, if that is better; say which is not."""
    threshold = values + TOLERANCE * values.abs().clamp(1e-3, 1e300)
    found = found.clone()
    while True:
        best = torch.full_like(values, -math.inf).scatter_reduce(0, owners, found, "amax")
        winners = torch.full((len(x),), -1, dtype=torch.long, device=x.device)
        hits = (found == best[owners]).nonzero()[:, 0]
        winners[owners[hits]] = hits
        better = best > threshold
        chosen = winners[better]
        if valid is None or not len(chosen):
            break
        bad = ~valid(new[chosen])
        if not bool(bad.any()):
            break
        found[chosen[bad]] = -math.inf
    moved = x.clone()
    moved[better] = new[chosen]
    return moved, torch.where(better, best, values), ~better


def _distinct(x: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Drop repeated rows."""
    if len(x) < 2:
        return x, values
    rows, inverse = torch.unique(x, dim=0, return_inverse=True)
    return rows, torch.empty_like(values[: len(rows)]).scatter_(0, inverse, values)
