"""A space whose architectures keep to a budget: parameters, multiply-adds, anything that adds up.

Hardly anything is rejected: the law, drawing, and decoding to the nearest member walk on a graph
of what has been spent on the way (see `Budget`), from which no path leads out of the window.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import (
    A,
    Additive,
    AtomBlock,
    Block,
    Costed,
    HardlyAnyValid,
    Space,
    Terms,
)
from naslib_diffusion.spaces.budget import Budget
from naslib_diffusion.spaces.view import View

LISTED = 2**16
"""Spaces of at most so many architectures are listed where their costs do not add up."""
RESERVE = 256
"""Members of which the nearest is taken where none is found otherwise."""
SCARCE = 16
"""Draws for each of them, at most, or the graph to draw from is too coarse."""
MAX_ROUNDS = 100
"""Batches that `sample` draws before it gives up."""
MIN_BATCH = 100
NEAR = 32
"""Neighbours; where fewer differ in one decision, others differ in two."""


Windows = dict[str, tuple[float, float]]
"""What is allowed, from and to, both included, by the name of a cost."""


class Budgeted(View[A]):
    """The architectures of `space` that cost at least and at most so much, and no others.

    Encodings, string forms, canonical forms and features are those of `space`, and so is how
    likely architectures are as against each other: mostly uniform over the window. So is the law
    in `blocks` where there are few distinct sums of costs, else up to a rounding of sums. `decode`
    returns the nearest member. Several budgets are nested:
    `Budgeted(Budgeted(space, "params", at_most=6e6), "flops", at_most=3e8)`.

    Args:
        space: a space whose costs add up (see `Additive`), or one with costs whose architectures
            are few enough to be listed.
        cost: the name of the cost that is bounded.
        at_most: the upper bound, itself included. By default there is none.
        at_least: the lower bound, itself included. By default there is none.

    Attributes:
        windows: the bounds by name of the cost.

    Raises:
        ValueError: if the space does not know that cost, or no architecture is in the window; the
            message says which costs exist, or what the smallest and the largest are.
    """

    def __init__(
        self,
        space: Space[A],
        cost: str,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        inner = space if isinstance(space, Budgeted) else None
        super().__init__(inner.space if inner else space)
        self.windows: Windows = dict(inner.windows) if inner else {}
        self._costed = _costed(self.space, cost)
        low, high = self.windows.get(cost, (-math.inf, math.inf))
        low = low if at_least is None else max(low, float(at_least))
        high = high if at_most is None else min(high, float(at_most))
        self.windows[cost] = low, high
        self.name = f"{self.space.name} within {self._described}"
        blocks, terms = _law(self.space, tuple(self.windows))
        lows, highs = zip(*self.windows.values(), strict=True)
        self._budget = Budget(blocks, terms, lows, highs)
        if self._budget.graph is None or not self._reserve:
            raise ValueError(self._nothing)

    @functools.cached_property
    def blocks(self) -> Sequence[Block]:
        """The law of `space` within the window."""
        return self._budget.blocks

    @functools.cached_property
    def size(self) -> int | None:
        """Number of architectures in the window, or an upper bound of it; None if infinite."""
        if self.space.size is None:
            return None
        return min(self._budget.count, self.space.size)

    def cost(self, arch: A, name: str) -> float:
        """Return what an architecture costs; raises ValueError like `space`."""
        return self._costed.cost(arch, name)

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[A]:
        """Draw `n` architectures by the law; raises HardlyAnyValid if `space` bans nearly all."""
        found: list[A] = []
        batch = max(n, MIN_BATCH)
        for _ in range(MAX_ROUNDS if n else 0):
            drawn = self._budget.draw(batch, generator).view(-1, *self.shape)
            found += filter(self.is_valid, self.space.decode(drawn))
            if len(found) >= n:
                return found[:n]
        if len(found) < n:
            raise HardlyAnyValid(
                f"{self.name}: fewer than the {n} wanted were found among "
                f"{MAX_ROUNDS * batch} that nearly are; widen the window",
                found,
            )
        return found

    def decode(self, x: Tensor) -> list[A]:
        """Return the nearest member of each encoding, `B x *shape`.

        It is the nearest, for certain, if it is one of the few hundred nearest whose costs are in
        the window up to rounding, and otherwise the nearest of a random sample.
        """
        archs = self.space.decode(x)
        outside = [i for i, arch in enumerate(archs) if not self.within(arch)]
        if not outside:
            return archs
        rows = x.detach().double().cpu().flatten(1)[outside]
        near, found = self._budget.nearest(rows)
        inside = self.space.decode(near.view(-1, *self.shape))
        for i, row, arch, known in zip(outside, rows, inside, found.tolist(), strict=True):
            archs[i] = arch if known and self.within(arch) else self._nearest_reserve(row)
        return archs

    def within(self, arch: A) -> bool:
        """Whether the costs of an architecture of `space` are in the window."""
        return all(
            low <= self._costed.cost(arch, name) <= high
            for name, (low, high) in self.windows.items()
        )

    def is_valid(self, arch: A) -> bool:
        """Whether `arch` is of `space` and in the window."""
        return self.space.is_valid(arch) and self.within(arch)

    def parse(self, text: str) -> A:
        """Read the string form of an architecture in the window."""
        arch = self.space.parse(text)
        if not self.within(arch):
            own = ", ".join(f"{name} {self.cost(arch, name):,.15g}" for name in self.windows)
            raise ValueError(f"{text!r} has {own}; allowed: {self._described}")
        return arch

    def neighbors(self, arch: A, generator: torch.Generator | None = None) -> list[A]:
        """Return the neighbours that are in the window, and some that differ in two decisions.

        These where there are fewer than `NEAR`: what is out of the window is led back into it by
        a second decision.
        """
        near = self.space.neighbors(arch, generator)
        found = {other: None for other in near if self.within(other)}
        if len(found) >= NEAR:
            return list(found)
        order = torch.randperm(len(near), generator=generator).tolist()
        for i in order:
            seconds = self.space.neighbors(near[i], generator)
            found.update((o, None) for o in seconds if o != arch and self.within(o))
            if len(found) >= NEAR:
                break
        others = (other for other in self._reserve[:NEAR] if other != arch)
        return list(found) or list(dict.fromkeys(others))

    @property
    def budget(self) -> Budget:
        """The same on encodings."""
        return self._budget

    @functools.cached_property
    def _reserve(self) -> list[A]:
        """Some members, the same ones always; makes the graph finer until there are enough."""
        while True:
            x = self._budget.draw(RESERVE * SCARCE, torch.Generator().manual_seed(0))
            drawn = self.space.decode(x.view(-1, *self.shape))
            found = list(filter(self.is_valid, drawn))
            if len(found) >= RESERVE or not self._budget.refine():
                return found[:RESERVE]

    @functools.cached_property
    def _reserve_encodings(self) -> Tensor:
        return self.encode(self._reserve).flatten(1)

    def _nearest_reserve(self, row: Tensor) -> A:
        distances = (self._reserve_encodings - row).square().sum(1)
        return self._reserve[int(distances.argmin())]

    @property
    def _described(self) -> str:
        """The windows in words."""
        parts = []
        for name, (low, high) in self.windows.items():
            lower, upper = f"{low:,.15g} <= " * (low > -math.inf), f" <= {high:,.15g}"
            parts.append(f"{lower}{name}{upper * (high < math.inf)}")
        return " and ".join(parts)

    @property
    def _nothing(self) -> str:
        """Say what exists, where nothing is in the window."""
        bounds = zip(self.windows, self._budget.low, self._budget.high, strict=True)
        listed = "; ".join(f"{name}: {low:,.15g} to {high:,.15g}" for name, low, high in bounds)
        none = "no architecture was found" if self._budget.graph else "there is no architecture"
        return f"{none} of {self.space.name} with {self._described}; it has {listed}{self._gap}"

    @property
    def _gap(self) -> str:
        """Say which costs are nearest to a window that lies between others."""
        if len(self.windows) > 1 or self._budget.graph is not None:
            return ""
        below, above = self._budget.around()
        if not (math.isfinite(below) and math.isfinite(above)):
            return ""
        nearest = (f"{float(f'{cost:.4g}'):,.15g}" for cost in (below, above))
        return f", but none between about {' and '.join(nearest)}"


def within(space: Space[A], windows: Windows) -> Space[A]:
    """Return the part of a space that keeps to several budgets; itself where there is none.

    Raises:
        ValueError: like `Budgeted`.
    """
    for cost, (low, high) in windows.items():
        space = Budgeted(space, cost, at_most=high, at_least=low)
    return space


def _costed(space: Space[Any], cost: str) -> Costed:
    """Return a space as one that knows a cost; raises ValueError if it does not."""
    costs = space.costs if isinstance(space, Costed) else ()
    if not isinstance(space, Costed) or cost not in costs:
        known = f"it knows: {', '.join(costs)}" if costs else "it knows none"
        raise ValueError(f"space {space.name!r} does not know the cost {cost!r}; {known}")
    return space


def _law(space: Space[Any], costs: Sequence[str]) -> tuple[Sequence[Block], list[Terms]]:
    """Return a law in blocks whose terms add up: the space's own, or the list of all.

    Raises:
        ValueError: if there is neither.
    """
    if isinstance(space, Additive) and space.blocks is not None:
        return space.blocks, [space.terms(name) for name in costs]
    if not isinstance(space, Iterable) or not space.size or space.size > LISTED:
        raise ValueError(
            f"the costs of {space.name!r} do not add up (see `Additive`), and it has more than "
            f"{LISTED:,} architectures, too many to list"
        )
    archs = list(space)
    block = AtomBlock(0, space.encode(archs).flatten(1))
    assert isinstance(space, Costed)
    costs_of = [[space.cost(arch, name) for arch in archs] for name in costs]
    return (block,), [[[[torch.tensor(own, dtype=torch.double)]]] for own in costs_of]
