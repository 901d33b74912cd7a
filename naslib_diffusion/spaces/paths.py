"""Laws whose values are the paths of a layered graph: what is left of a product under a budget."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROUNDING = 2.0**-30
"""Random numbers this close to one are taken for less: sums of shares are rounded."""
DEAD = -1
"""Stands for the state to which no letter leads."""


@dataclass(frozen=True, eq=False)
class Step:
    """One layer of a graph: from each of `S` states, letters lead to states of the next one.

    Letters that lead to the same state from everywhere are of one class, and are treated as one.
    """

    letters: Tensor
    """Which letters there are, `A`."""
    to: Tensor
    """The state to which each leads, or `DEAD`, `S x A`."""

    @functools.cached_property
    def classes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where each of `C` classes leads, `S x C`; its letters, `C x R`, padded by `A`; and the
        class of each letter, `A`.
        """
        columns, inverse = torch.unique(self.to, dim=1, return_inverse=True)
        counts = torch.bincount(inverse, minlength=columns.shape[1])
        members = torch.full((columns.shape[1], int(counts.max())), len(self.letters))
        order = inverse.argsort(stable=True)
        place = torch.arange(len(order)) - (counts.cumsum(0) - counts)[inverse[order]]
        members[inverse[order], place] = order
        return columns, members, inverse

    @property
    def edges(self) -> int:
        """Transitions to be looked at, with one for each class."""
        return self.classes[0].numel()


@dataclass(frozen=True, eq=False)
class PathBlock:
    """Coordinates that are the sum of the letters along one of the paths of a layered graph.

    A path begins in the only state of the first layer; paths have different values. A product of
    choices is a graph with one state in each layer; states that count what was spent on the way
    keep it within a budget.
    """

    start: int
    offsets: tuple[int, ...]
    """The coordinates, from the start; there may be gaps."""
    letters: Tensor
    """What each of `M` letters adds to the coordinates, `M x w`; each coordinate is set by one
    letter of a path at most."""
    steps: tuple[Step, ...]
    weights: Tensor | None = None
    """How likely letters are as against others in their place, `M`: all one unless told, so that
    all paths are as likely."""
    exact: bool = True
    """Whether all paths are of the space, and not some up to rounding only."""

    @property
    def width(self) -> int:
        """Number of coordinates."""
        return len(self.offsets)

    @property
    def columns(self) -> tuple[int, ...]:
        """The coordinates."""
        return tuple(self.start + offset for offset in self.offsets)

    @functools.cached_property
    def count(self) -> int:
        """Number of paths."""
        total: NDArray[np.object_] = np.array([1] * self._ends, dtype=object)
        for step in reversed(self.steps):
            total = np.append(total, 0)[step.to.numpy()].sum(1)
        return int(total[0])

    def values(self) -> Tensor:
        """Return the values of all paths, `count x w`."""
        states, x = torch.zeros(1, dtype=torch.long), self.letters.new_zeros(1, self.width)
        for step in self.steps:
            to = step.to[states]
            rows, chosen = (to != DEAD).nonzero(as_tuple=True)
            states, x = to[rows, chosen], x[rows] + self.letters[step.letters[chosen]]
        return x

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw the values of `n` paths, `n x w`."""
        states, letters = torch.zeros(n, dtype=torch.long), []
        for step, ends in zip(self.steps, self._shares, strict=True):
            u = torch.rand(n, generator=generator, dtype=torch.double).clamp(max=1 - ROUNDING)
            chosen = torch.searchsorted(ends, states + u, right=True)
            letters.append(chosen % len(step.letters))
            states = step.to.flatten()[chosen]
        return self._written(torch.stack(letters, 1))

    @functools.cached_property
    def _written(self) -> Written:
        return Written(self.letters, self.steps)

    def choose(self, x: Tensor) -> Tensor:
        """Find the path nearest to `B x width`, as places among each step's letters, `B x L`."""
        letters = self.letters.to(x)
        scores = letters @ x.mT - letters.square().sum(1, keepdim=True) / 2
        return best_paths(self.steps, scores, 1)[0][:, 0]

    def nearest(self, x: Tensor) -> Tensor:
        """Return the value nearest to each of `B x width`."""
        return self._written(self.choose(x)).to(x)

    def having(self, fixed: Mapping[int, float], tolerance: float) -> PathBlock | None:
        """Return what is left where coordinates, counted among them, have given values.

        Raises:
            ValueError: if a coordinate is not set in one layer.
        """
        kept = [torch.ones(len(step.letters), dtype=torch.bool) for step in self.steps]
        for place, value in fixed.items():
            set_by = [self.letters[step.letters, place] for step in self.steps]
            layers = [i for i, values in enumerate(set_by) if bool(values.any())]
            if len(layers) > 1 and value:
                raise ValueError(f"column {self.columns[place]} cannot be fixed at {value:g}")
            if not layers and abs(value) > tolerance:
                return None
            for i in layers:
                kept[i] &= (set_by[i] - value).abs() <= tolerance
        steps, alive = [], torch.arange(self._ends)
        for step, keep in zip(reversed(self.steps), reversed(kept), strict=True):
            to = torch.cat([alive, torch.tensor([DEAD])])[step.to[:, keep]]
            rows = (to != DEAD).any(1)
            alive = torch.where(rows, rows.cumsum(0) - 1, DEAD)
            steps.append(Step(step.letters[keep], to[rows]))
        if not bool(rows[0]):
            return None
        return replace(self, steps=_reached(steps[::-1]))

    @functools.cached_property
    def _shares(self) -> list[Tensor]:
        """For each layer, how likely each of its letters is in each state, `S * A`.

        As the ends of intervals that letters have on a line, on which a state has a length of one.
        """
        tables, paths = [], torch.ones(self._ends, dtype=torch.double)
        for step in reversed(self.steps):
            through = torch.cat([paths, paths.new_zeros(1)])[step.to]
            if self.weights is not None:
                through = through * self.weights[step.letters]
            paths = through.sum(1)
            ends = (through / paths[:, None]).cumsum(1).clamp(max=1)
            tables.append((ends + torch.arange(len(ends))[:, None]).flatten())
            paths = paths / paths.max()  # no number of them is too large
        return tables[::-1]

    @property
    def _ends(self) -> int:
        """Number of states in which paths end."""
        return int(self.steps[-1].to.max()) + 1


class Written:
    """Maps paths to their values: each letter is added where its step has any.

    Args:
        letters: what each letter adds to coordinates, `M x w`.
        steps: of the graph.
    """

    def __init__(self, letters: Tensor, steps: Sequence[Step]) -> None:
        self._letters, self._parts = letters, []
        for step in steps:
            own = letters[step.letters]
            columns = own.any(0).nonzero()[:, 0]
            self._parts.append((columns, own[:, columns].T.contiguous()))

    def __call__(self, chosen: Tensor) -> Tensor:
        """Return the values of paths, given as places among each step's letters, `... x L`."""
        x = self._letters.new_zeros(self._letters.shape[1], *chosen.shape[:-1])
        for (columns, own), letter in zip(self._parts, chosen.unbind(-1), strict=True):
            x[columns] += own[:, letter]
        return x.movedim(0, -1).contiguous()


def _reached(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Leave out the states to which no path leads."""
    kept, states = [], torch.tensor([0])
    for step in steps:
        to = step.to[states]
        states = torch.unique(to[to != DEAD])
        places = torch.searchsorted(states, to)
        kept.append(Step(step.letters, torch.where(to == DEAD, DEAD, places)))
    return tuple(kept)


def best_paths(steps: Sequence[Step], scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Find the `count` paths of the largest total scores, exactly, best first.

    Values of states are the best that can follow, so that the beam holds the beginnings of the
    best paths and nothing else.

    Args:
        steps: of the graph.
        scores: of the letters, `M x B`.
        count: how many paths.

    Returns:
        The choice at each step, as a place among its letters, `B x count x L`, and whether there
        is such a path, `B x count`.
    """
    rows = torch.arange(scores.shape[1])[:, None]
    ahead = _values(steps, scores)
    state = torch.zeros(scores.shape[1], 1, dtype=torch.long)
    total = scores.new_zeros(state.shape)
    beams, letters = [], []
    for step, value in zip(steps, ahead, strict=True):
        to = step.to[state]  # B x W x A
        reached = total[..., None] + scores[step.letters].mT[:, None]
        hope = (reached + value.mT[rows[..., None], to]).flatten(1)
        best = hope.topk(min(count, hope.shape[1]), dim=1)
        beams.append(best.indices // to.shape[2])
        letters.append(best.indices % to.shape[2])
        state = to.flatten(1).gather(1, best.indices)
        total = reached.flatten(1).gather(1, best.indices)
        total = total.masked_fill(best.values == -torch.inf, -torch.inf)
    return _traced(beams, letters), total > -torch.inf


def _traced(beams: Sequence[Tensor], letters: Sequence[Tensor]) -> Tensor:
    """Follow a beam back from its end: which letter was chosen, from where, for each step."""
    place = torch.arange(beams[-1].shape[1]).expand_as(beams[-1])
    chosen = []
    for beam, letter in zip(reversed(beams), reversed(letters), strict=True):
        chosen.append(letter.gather(1, place))
        place = beam.gather(1, place)
    return torch.stack(chosen[::-1], 2)


def _values(steps: Sequence[Step], scores: Tensor) -> list[Tensor]:
    """Return the best score that follows after each step, `(S + 1) x B`; -inf for `DEAD`."""
    ends = int(steps[-1].to.max()) + 1
    nothing = scores.new_full((1, scores.shape[1]), -torch.inf)
    tables = [torch.cat([scores.new_zeros(ends, scores.shape[1]), nothing])]
    for step in reversed(steps[1:]):
        to, members, _ = step.classes
        padded = torch.cat([scores[step.letters], nothing])
        best, ahead = padded[members].amax(1), tables[-1]
        table = ahead.new_full((len(to), ahead.shape[1]), -torch.inf)
        for column, own in zip(to.unbind(1), best, strict=True):  # small enough to stay in cache
            torch.maximum(table, ahead[column].add_(own), out=table)
        tables.append(torch.cat([table, nothing]))
    return tables[::-1]
