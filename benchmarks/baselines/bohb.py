"""BOHB: Hyperband that is led by two density estimates (Falkner et al., ICML 2018)."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from naslib_diffusion.benchmarks.baselines.decisions import Decisions
from numpy.typing import NDArray

from naslib_diffusion.spaces import Space
from naslib_diffusion.spaces.base import A

Choices = NDArray[np.int64]


class BOHB(Decisions[A]):  # type: ignore[misc]
    """Brackets of Hyperband over two fidelities: a short training, and the whole one.

    In turn, `1 / cost` architectures are trained briefly and the best of them in full, and two are
    trained in full at once. Architectures come from the densities of good and bad ones, at the
    highest fidelity that has enough of them.

    Args:
        space: where to search.
        seed: of all random decisions.
        brief: returns the value of a short training.
        cost: of a short training, in whole ones.
        samples: number of draws of which the best by the ratio of densities is taken.
        share: of the observations that count as good.
        random: share of draws that follow no model.
        least: bandwidth at least.

    Raises:
        UnfitSpace: if the choices of the space are not independent.
    """

    def __init__(
        self,
        space: Space[A],
        seed: int,
        *,
        brief: Callable[[A], float],
        cost: float,
        samples: int,
        share: float,
        random: float,
        least: float,
    ) -> None:
        super().__init__(space)
        self._random = np.random.default_rng(seed)
        self._brief, self._many = brief, int(1 / cost)
        self._samples, self._share, self._unled = samples, share, random
        self._least = least
        self._short: dict[Hashable, tuple[Choices, float]] = {}
        self._whole: list[tuple[Choices, float]] = []
        self._asked = 0

    def ask(self) -> A:
        """Return what is trained in full next."""
        place = self._asked % 3  # one that was promoted, and two at once
        self._asked += 1
        return self._promoted() if place == 0 else self._drawn()

    def tell(self, arch: A, value: float) -> None:
        """Record the value of a whole training."""
        self._whole.append((np.array(self.read(arch)), value))

    def _promoted(self) -> A:
        """Train many briefly, and return the best of them."""
        found: list[tuple[float, A]] = []
        for _ in range(self._many):
            arch = self._drawn()
            key = self.space.canonical(arch)
            if key not in self._short:
                self._short[key] = np.array(self.read(arch)), self._brief(arch)
            found.append((self._short[key][1], arch))
        return max(found, key=lambda pair: pair[0])[1]

    def _drawn(self) -> A:
        """Draw from the density of the good, best by its ratio to that of the bad."""
        sizes = np.array(self.sizes)
        model = None if self._random.random() < self._unled else self._model()
        if model is None:
            uniform: A = self.build(self._random.integers(sizes).tolist())
            return uniform
        good, bad = model
        rows = good.rows[self._random.integers(len(good.rows), size=self._samples)]
        kept = self._random.random(rows.shape) < 1 - good.widths
        drawn = np.where(kept, rows, self._random.integers(np.broadcast_to(sizes, rows.shape)))
        likeliest: A = self.build(drawn[np.argmax(good(drawn) / bad(drawn))].tolist())
        return likeliest

    def _model(self) -> tuple[Density, Density] | None:
        """Return the densities of good and bad ones; None while no fidelity has enough."""
        least = len(self.sizes) + 1
        for found in (self._whole, list(self._short.values())):
            if len(found) >= least + 2:
                ordered = [choices for choices, _ in sorted(found, key=lambda pair: -pair[1])]
                split = max(least, math.ceil(self._share * len(found)))
                rest = max(least, len(found) - split)
                good, bad = np.stack(ordered[:split]), np.stack(ordered[-rest:])
                return self._density(good), self._density(bad)
        return None

    def _density(self, rows: Choices) -> Density:
        return Density(rows, self.sizes, self._least)


class Density:
    """Product of Aitchison-Aitken kernels around rows, with bandwidths by the normal rule.

    Args:
        rows: of choices, `N x C`.
        sizes: number of choices of each column.
        least: bandwidth at least.
    """

    def __init__(self, rows: Choices, sizes: Sequence[int], least: float) -> None:
        self.rows, self._sizes = rows, np.array(sizes)
        rule = 1.06 * rows.std(0) * len(rows) ** (-1 / (4 + rows.shape[1]))
        most = (self._sizes - 1) / self._sizes  # there, it is uniform
        self.widths = np.minimum(np.maximum(rule, least), most)

    def __call__(self, x: Choices) -> NDArray[np.float64]:
        """Return the density at choices, `B x C`: `B`."""
        same = x[:, None] == self.rows
        parts = np.where(same, 1 - self.widths, self.widths / (self._sizes - 1))
        found: NDArray[np.float64] = parts.prod(2).mean(1) + 1e-32
        return found
