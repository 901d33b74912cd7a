"""A law in blocks under a budget: drawing, finding the nearest, and the law that is left.

All of it happens on encodings, by walking on a graph of what was spent (see `spending`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naslib_diffusion.spaces.base import AtomBlock, Block, Terms, UniformBlock, UnionBlock, draw
from naslib_diffusion.spaces.decisions import Decisions
from naslib_diffusion.spaces.paths import PathBlock, Written, best_paths
from naslib_diffusion.spaces.spending import Spending, Window, spending

LAW_EDGES = 2**13
"""Transitions of the graph that is the law of the denoiser, which walks it at each step."""
EDGES = 2**15
"""Transitions of the graph on which the nearest encodings are found, and others drawn."""
FINER, FINEST = 8, 2**18
"""How much finer a graph is made to draw from where the window is narrow, and where that ends."""
CELLS = 2**22
"""Transitions times rows that are looked at together, to bound memory."""
PRECISION = 1e-3
"""To what share the nearest sums are told where a window has none."""
BEAMS = (1, 16, 256)
"""How many of the nearest paths are looked at for one in the window, as long as there is none."""


class Budget:
    """A law in blocks, and the window that the sums of its terms have to keep to.

    Args:
        blocks: the law.
        terms: of the blocks, for each of `m` costs.
        at_least: lower bounds, `m`.
        at_most: upper bounds, `m`.

    Attributes:
        low: the least that anything costs, `m`.
        high: the most that anything costs, `m`.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        terms: Sequence[Terms],
        at_least: Sequence[float],
        at_most: Sequence[float],
    ) -> None:
        self._all, self._terms = tuple(blocks), terms
        self._window = Window(np.array(at_least), np.array(at_most))
        discrete = [i for i, b in enumerate(self._all) if not isinstance(b, UniformBlock)]
        self._decisions = self._under(discrete)
        fixed = self._fixed(discrete)
        self._inner = self._window.less(fixed)
        self._at_least = torch.tensor(self._inner.at_least)
        self._at_most = torch.tensor(self._inner.at_most)
        self.low, self.high = (fixed + bound for bound in self._decisions.extremes())
        self.graph = self._drawn = spending(self._decisions, self._inner, EDGES)
        self._edges = EDGES

    @functools.cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The law that is left: what costs vary with as paths, all else as it was.

        It is exact where there are few distinct sums, else up to a rounding of them.
        """
        varied = [i for i in range(len(self._all)) if self._constant(i) is None]
        if not varied:
            return self._all
        decisions, window = self._under(varied), self._window.less(self._fixed(varied))
        graph = spending(decisions, window, LAW_EDGES, nominal=True)
        kept = [block for i, block in enumerate(self._all) if i not in varied]
        return (*kept, _paths(decisions, graph))

    def refine(self) -> bool:
        """Make what is drawn more often in the window; return False if that goes no further."""
        if self._drawn is None or self._drawn.exact or self._edges * FINER > FINEST:
            return False
        self._edges *= FINER
        self._drawn = spending(self._decisions, self._inner, self._edges)
        self.__dict__.pop("_cover", None)
        return self._drawn is not None

    @functools.cached_property
    def _cover(self) -> tuple[Block, ...]:
        """A law of at least all that is in the window: few paths are not in it."""
        kept = [block for block in self._all if isinstance(block, UniformBlock)]
        return (*kept, _paths(self._decisions, self._drawn))

    def around(self) -> tuple[float, float]:
        """Return, to a thousandth, the nearest sums below and above a window that has none.

        Of one cost; not finite where there is none on that side.
        """
        least, most = (float(end[0]) for end in self._decisions.extremes())
        fixed = float(self.low[0]) - least
        below = self._nearest_sum(float(self._inner.at_least[0]), least)
        above = self._nearest_sum(float(self._inner.at_most[0]), most)
        return below + fixed, above + fixed

    def _nearest_sum(self, bound: float, end: float) -> float:
        """Return the sum nearest to a bound on the side of an extreme, from which on there is one.

        Not finite if the extreme is on the other side of the bound.
        """
        side = -1 if end == self._decisions.extremes()[0][0] else 1
        if side * (end - bound) < 0 or not math.isfinite(bound):
            return side * math.inf
        near, far = bound, end
        while abs(far - near) > PRECISION * abs(far):
            middle = (near + far) / 2
            least, most = sorted((bound, middle))
            window = Window(np.array([least]), np.array([most]))
            met = spending(self._decisions, window, EDGES) is not None
            near, far = (near, middle) if met else (middle, far)
        return far

    @property
    def count(self) -> int:
        """Number of discrete encodings in the window, or an upper bound of it."""
        (paths,) = (b for b in self._cover if isinstance(b, PathBlock))
        return paths.count

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` encodings, `n x D`: by the law within the window, and few others."""
        return draw(self._cover, n, generator)

    def nearest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encodings in the window nearest to `B x D`, and whether there is one, `B`.

        None is found where the nearest few hundred paths are all out of the window, which they
        may be by a rounding of sums.
        """
        letters, columns = self._decisions.letters, list(self._decisions.columns)
        scores = letters @ x[:, columns].T - letters.square().sum(1, keepdim=True) / 2
        x, found = x.clone(), torch.zeros(len(x), dtype=torch.bool)
        for count in BEAMS:
            left = (~found).nonzero()[:, 0]
            if not len(left):
                break
            paths, inside = self.best(scores[:, left], count)
            first = inside.int().argmax(1)
            rows = torch.arange(len(left))
            met = inside[rows, first]
            found[left[met]] = True
            x[left[met, None], columns] = paths[rows, first][met]
        return x, found

    def best(self, scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return what has the largest scores: `B x count x w`, best first, and which is allowed.

        Args:
            scores: of the letters, `M x B`; see `letters`.
            count: how many for each row.
        """
        graph = self._known
        rows = max(1, CELLS // (graph.edges + 1))
        parts = [self._best(part, count) for part in torch.split(scores, rows, 1)]
        return torch.cat([x for x, _ in parts]), torch.cat([inside for _, inside in parts])

    def _best(self, scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
        graph = self._known
        chosen, inside = best_paths(graph.steps, scores, count)
        state = torch.zeros(chosen.shape[:2], dtype=torch.long)
        spent = torch.zeros(*chosen.shape[:2], len(self._at_most), dtype=torch.double)
        for step, costs, letter in zip(graph.steps, graph.costs, chosen.unbind(2), strict=True):
            spent += costs[state, letter]
            state = step.to[state, letter]
        inside = inside & ((spent >= self._at_least) & (spent <= self._at_most)).all(2)
        return self._written(chosen), inside

    @functools.cached_property
    def _written(self) -> Written:
        return Written(self._decisions.letters, self._known.steps)

    @property
    def columns(self) -> tuple[int, ...]:
        """Coordinates of the flattened encoding that are no continua."""
        return self._decisions.columns

    @property
    def letters(self) -> Tensor:
        """What each decision adds to the flattened encoding, `M x D`; zero for uniform ones."""
        width = sum(block.width for block in self._all)
        x = self._decisions.letters.new_zeros(len(self._decisions.letters), width)
        x[:, list(self._decisions.columns)] = self._decisions.letters
        return x

    @property
    def _known(self) -> Spending:
        if self.graph is None:
            raise ValueError("nothing is in the window")
        return self.graph

    def _under(self, chosen: Sequence[int]) -> Decisions:
        """Return some of the blocks as decisions."""
        terms = [[term[i] for i in chosen] for term in self._terms]
        return Decisions.of([self._all[i] for i in chosen], terms)

    def _fixed(self, chosen: Sequence[int]) -> NDArray[np.float64]:
        """Return what all other blocks cost, which are constant."""
        others = (self._constant(i) for i in range(len(self._all)) if i not in chosen)
        total: NDArray[np.float64] = np.zeros(len(self._terms))
        return total + sum(own for own in others if own is not None)

    def _constant(self, i: int) -> NDArray[np.float64] | None:
        """Return what all values of a block cost, `m`; None if they differ."""
        sums = []
        for term in self._terms:
            parts = [sum(float(f[0]) for f in part) for part in term[i]]
            same = all(bool((f == f[0]).all()) for part in term[i] for f in part)
            if not same or len(set(parts)) > 1:
                return None
            sums.append(parts[0])
        return np.array(sums)


@functools.lru_cache(maxsize=4)
def unlimited(blocks: tuple[Block, ...]) -> Budget:
    """Return a law as a budget that leaves out nothing: costs are zero."""
    return Budget(blocks, [list(map(_nothing, blocks))], (-math.inf,), (math.inf,))


def _nothing(block: Block) -> list[list[Tensor]]:
    """Return terms of zero for a block."""
    if isinstance(block, UnionBlock):
        counts = [[len(factor.atoms) for factor in part] for part in block.products]
    elif isinstance(block, PathBlock):
        counts = [[len(step.letters) for step in block.steps]]
    else:
        counts = [[len(block.atoms) if isinstance(block, AtomBlock) else 1]]
    return [[torch.zeros(count, dtype=torch.double) for count in part] for part in counts]


def _paths(decisions: Decisions, graph: Spending | None) -> PathBlock:
    """Return a graph of decisions as a block."""
    assert graph is not None
    start = min(decisions.columns)
    offsets = tuple(column - start for column in decisions.columns)
    return PathBlock(
        start, offsets, decisions.letters, graph.steps, decisions.weights, graph.exact
    )
