"""A table of measured architectures: what a search looks its evaluations up in."""

from __future__ import annotations

import functools
import hashlib
import math
import random
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Generic, Literal

import numpy as np
from numpy.typing import NDArray

from naslib_diffusion.spaces.base import A, Space
from naslib_diffusion.spaces.equality import whole
from naslib_diffusion.spaces.subset import Subset

Direction = Literal["maximize", "minimize"]


class TableError(ValueError):
    """A table cannot be read or used; the message is one line for the user."""


class Table(Generic[A]):
    """Architectures of a space and one objective, measured once or several times each.

    To look an architecture up, its own row is tried first, and then any row of equal canonical
    form. Some tables measure every isomorphic cell, others one of each kind.

    Args:
        name: what to call the table, for people.
        space: the space that the rows are of.
        archs: distinct architectures, one per row.
        values: the objective, one per row; NaN for a training that failed.
        objective: what the values are, for people.
        direction: "maximize" or "minimize".
        repeats: the single measurements behind each value, where they are known; none for a
            training that failed.

    Attributes:
        values: with the worst finite value for trainings that failed.
        space: `space` itself if the rows cover it, else the `Subset` of the rows: where to search.
    """

    def __init__(
        self,
        name: str,
        space: Space[A],
        archs: Sequence[A],
        values: Sequence[float],
        *,
        objective: str,
        direction: Direction = "maximize",
        repeats: Sequence[Sequence[float]] | None = None,
    ) -> None:
        self.name, self.objective, self.direction = name, objective, direction
        self.archs = tuple(archs)
        if not self.archs:
            raise TableError(f"{name} has no rows")
        if direction not in ("maximize", "minimize"):
            raise TableError(f"direction must be 'maximize' or 'minimize', not {direction!r}")
        self.values: NDArray[np.float64] = np.array(values, dtype=float)
        self._failed = np.isnan(self.values)
        if self._failed.all():
            raise TableError(f"{name} has no finite value of {objective}")
        worst = np.nanmin if direction == "maximize" else np.nanmax
        self.values[self._failed] = worst(self.values)
        self.repeats = None if repeats is None else tuple(map(tuple, repeats))
        self._rows = {arch: row for row, arch in enumerate(self.archs)}
        self._kinds: dict[Hashable, int] = {}
        for row, arch in enumerate(self.archs):
            self._kinds.setdefault(space.canonical(arch), row)
        self.complete = len(self._kinds) == space.size
        self.space: Space[A] = space if self.complete else Subset(space, self.archs)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.archs)

    def __iter__(self) -> Iterator[tuple[A, float]]:
        """Iterate over pairs of architecture and value."""
        return zip(self.archs, self.values.tolist(), strict=True)

    def __getitem__(self, arch: A) -> float:
        """Return the value of `arch`; raises KeyError if no row is it or equivalent to it."""
        return float(self.values[self._row(arch)])

    def get(self, arch: A) -> float | None:
        """Return the value of `arch`, or None if there is no row for it."""
        try:
            return self[arch]
        except KeyError:
            return None

    def __contains__(self, arch: A) -> bool:
        """Whether there is a row for `arch` or an equivalent architecture."""
        return arch in self._rows or self.space.canonical(arch) in self._kinds

    def within(self, space: Space[A]) -> Table[A]:
        """Return the rows that are in a part of the space; raises TableError if none is."""
        kept = [row for row, arch in enumerate(self.archs) if space.is_valid(arch)]
        if not kept:
            raise TableError(f"{self.name} has no row in {space.name}")
        return Table(
            self.name,
            whole(self.space),
            [self.archs[row] for row in kept],
            [math.nan if self._failed[row] else float(self.values[row]) for row in kept],
            objective=self.objective,
            direction=self.direction,
            repeats=None if self.repeats is None else [self.repeats[row] for row in kept],
        )

    def draw(self, arch: A, seed: str) -> float:
        """Return one of the repeated measurements of `arch`, the same one for the same seed.

        NaN if its training failed.
        """
        if self.repeats is None:
            raise TableError(f"{self.name} has one value per architecture: no noise to draw from")
        repeats = self.repeats[self._row(arch)] or (math.nan,)
        return float(random.Random(seed).choice(repeats))

    def outcome(self, arch: A) -> float:
        """Return what a search is told of `arch`: its value, or NaN if its training failed."""
        row = self._row(arch)
        return math.nan if self._failed[row] else float(self.values[row])

    @property
    def failures(self) -> int:
        """Number of rows whose training failed."""
        return int(self._failed.sum())

    @functools.cached_property
    def noise(self) -> float | None:
        """Standard deviation of a single measurement about the mean of its architecture's.

        Pooled over all architectures; None if none was measured twice.
        """
        repeated = [np.array(row) for row in self.repeats or () if len(row) > 1]
        if not repeated:
            return None
        squares = sum(float(((row - row.mean()) ** 2).sum()) for row in repeated)
        return math.sqrt(squares / sum(len(row) - 1 for row in repeated))

    def remarks(self) -> str:
        """Return a line on repeated measurements and failed trainings, empty without any."""
        found = []
        if self.noise is not None:
            count = sum(map(len, self.repeats or ()))
            found.append(
                f"{count:,} measurements of {len(self):,} architectures, "
                f"a single one deviates by {self.noise:.3g} from their mean"
            )
        if self.failures:
            found.append(f"{self.failures:,} without a value count as failed trainings")
        return "; ".join(found)

    @property
    def distinct(self) -> int:
        """Number of rows that differ in canonical form."""
        return len(self._kinds)

    @functools.cached_property
    def optimum(self) -> float:
        """The best value of all rows."""
        return float(self.values.max() if self.direction == "maximize" else self.values.min())

    def gap(self, value: float) -> float:
        """Return how much worse `value` is than the optimum; negative if it is better."""
        return self.optimum - value if self.direction == "maximize" else value - self.optimum

    def rank(self, value: float) -> int:
        """Return the rank that `value` takes among the rows: 1 plus the rows strictly better."""
        return 1 + int((self._gaps < self.gap(value) - 1e-12).sum())

    @functools.cached_property
    def fingerprint(self) -> str:
        """A short digest of rows and values: equal for equal tables, wherever they come from."""
        digest = hashlib.sha256("\n".join(map(str, self.archs)).encode())
        digest.update(self.values.tobytes())
        digest.update(self._failed.nonzero()[0].tobytes())
        return digest.hexdigest()[:16]

    @functools.cached_property
    def _gaps(self) -> NDArray[np.float64]:
        sign = 1.0 if self.direction == "maximize" else -1.0
        gaps: NDArray[np.float64] = sign * (self.optimum - self.values)
        return gaps

    def _row(self, arch: A) -> int:
        row = self._rows.get(arch)
        if row is None:
            row = self._kinds.get(self.space.canonical(arch))
        if row is None:
            raise KeyError(f"{arch} is not in {self.name}")
        return row


def checked_values(name: str, values: Sequence[Any]) -> list[float]:
    """Return `values` as floats; raises TableError with the first that is not a finite number."""
    numbers = [float(value) for value in values]
    for row, number in enumerate(numbers, start=1):
        if not math.isfinite(number):
            raise TableError(f"{name}: entry {row} has the value {number}; it must be finite")
    return numbers
