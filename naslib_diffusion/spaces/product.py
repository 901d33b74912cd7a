"""Product spaces: any list of categorical, integer and real parameters."""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import (
    AtomBlock,
    Block,
    FeaturesPullback,
    HardlyAnyValid,
    Terms,
    UniformBlock,
)
from naslib_diffusion.spaces.costs import check_cost
from naslib_diffusion.spaces.parameter_costs import ParameterCosts, cost_tables
from naslib_diffusion.spaces.parameters import Categorical, Parameter, Value, kind_of
from naslib_diffusion.spaces.point import Point
from naslib_diffusion.spaces.variables import Variable, read_by

_MAX_ROUNDS = 100  # batches that `sample` draws before it gives up on a user's `is_valid`
_MIN_BATCH = 100


class ProductSpace:
    """The points of a list of parameters, independent and each uniform.

    Encodings are `B x D`: the parameters' blocks side by side, in order; a one-hot for a
    categorical parameter, one coordinate in [0, 1] for an integer or real one.

    Args:
        parameters: `Categorical`, `Integer` and `Real` parameters.
        is_valid: which points are allowed, where not all are. `sample` and `neighbors` respect it;
            `blocks` still describe the whole product, `decode` may return a banned point, and
            `size` is an upper bound.
        costs: what values cost, by name of the cost, if costs add up: for each parameter a list
            in the order of its values, a function of the value, or None; see `Budgeted`. As in
            `ProductSpace([Integer(1, 9, name="n")], costs={"params": {"n": lambda n: 64 * n}})`.
    """

    name = "product"

    def __init__(
        self,
        parameters: Sequence[Parameter],
        is_valid: Callable[[Point], bool] | None = None,
        costs: Mapping[str, ParameterCosts] | None = None,
    ) -> None:
        self.parameters = tuple(parameters)
        if not self.parameters:
            raise ValueError("parameters is empty; a product space needs at least one")
        self.names = tuple(p.name or f"x{i}" for i, p in enumerate(self.parameters))
        for name in self.names:
            if self.names.count(name) > 1:
                raise ValueError(f"parameter name {name!r} occurs twice in {self.names}")
        ends = tuple(itertools.accumulate(p.width for p in self.parameters))
        self._slices = tuple(slice(a, b) for a, b in itertools.pairwise((0, *ends)))
        self.shape: tuple[int, ...] = (ends[-1],)
        self._allowed = is_valid
        self._costs = cost_tables(costs or {}, self.names, self.parameters)

    @classmethod
    def categorical(cls, counts: Sequence[int]) -> ProductSpace:
        """Build a space of categorical parameters; number i chooses from `range(counts[i])`."""
        return cls([Categorical(range(count)) for count in counts])

    @property
    def unruled(self) -> ProductSpace:
        """The space with the points that `is_valid` bans, too."""
        return self if self._allowed is None else ProductSpace(self.parameters)

    @property
    def size(self) -> int | None:
        """Number of points; None with a continuous parameter, an upper bound with `is_valid`."""
        counts = [p.count for p in self.parameters if p.count is not None]
        return math.prod(counts) if len(counts) == len(self.parameters) else None

    @property
    def legend(self) -> tuple[str, ...]:
        """What the columns of encodings stand for: `name=value` of choices, names of numbers."""
        return tuple(
            label
            for name, p in zip(self.names, self.parameters, strict=True)
            for label in (
                [f"{name}={v}" for v in p.values] if isinstance(p, Categorical) else [name]
            )
        )

    @functools.cached_property
    def variables(self) -> tuple[Variable, ...]:
        """The parameters by name, without conditions; see `Spelled`."""
        return tuple(map(Variable, self.names, self.parameters))

    def spell(self, arch: Point) -> dict[str, Value]:
        """Return the values by name."""
        return dict(zip(self.names, arch.values, strict=True))

    def read_spelling(self, values: Mapping[str, Value]) -> Point:
        """Inverse of `spell`."""
        return Point(tuple(read_by(self.variables, values).values()), self.names)

    @functools.cached_property
    def blocks(self) -> Sequence[Block]:
        """One block per parameter; a uniform coordinate for a continuum or a large grid."""
        return tuple(
            UniformBlock(s.start) if p.atoms is None else AtomBlock(s.start, p.atoms, kind_of(p))
            for p, s in zip(self.parameters, self._slices, strict=True)
        )

    def __iter__(self) -> Iterator[Point]:
        """Iterate over all valid points; raises ValueError if they cannot be enumerated."""
        choices = []
        for name, parameter in zip(self.names, self.parameters, strict=True):
            if parameter.values is None:
                raise ValueError(f"parameter {name!r} has too many values to enumerate the space")
            choices.append(parameter.values)
        points = (Point(values, self.names) for values in itertools.product(*choices))
        return filter(self._permits, points)

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[Point]:
        """Draw `n` valid points uniformly; raises HardlyAnyValid if `is_valid` bans nearly all."""
        if self._allowed is None:
            return self._draw(n, generator)
        points: list[Point] = []
        batch = max(n, _MIN_BATCH)
        for _ in range(_MAX_ROUNDS):
            points += filter(self._permits, self._draw(batch, generator))
            if len(points) >= n:
                return points[:n]
        raise HardlyAnyValid(
            f"is_valid rejected {_MAX_ROUNDS * batch - len(points)} of {_MAX_ROUNDS * batch} "
            f"random points, which leaves fewer than the {n} wanted; "
            "it must ban less of the space",
            points,
        )

    def encode(self, archs: Sequence[Point]) -> Tensor:
        """Encode points, `B x D`; raises ValueError for a value that is not in its parameter."""
        for arch in archs:
            self._check_length(arch.values)
        x = torch.empty(len(archs), *self.shape, dtype=torch.double)
        columns = list(zip(*(a.values for a in archs), strict=True))
        for i, column in enumerate(columns):
            try:
                x[:, self._slices[i]] = self.parameters[i].encode(column)
            except ValueError as error:
                raise ValueError(f"parameter {self.names[i]!r}: {error}") from None
        return x

    def decode(self, x: Tensor) -> list[Point]:
        """Return the nearest point of each encoding, `B x D`, clamped to [0, 1]."""
        x = x.detach().double().cpu()
        parts = zip(self.parameters, self._slices, strict=True)
        return [
            Point(values, self.names)
            for values in zip(*(p.decode(x[:, s]) for p, s in parts), strict=True)
        ]

    def is_valid(self, arch: Point) -> bool:
        """Whether each value is one of its parameter's and the user's `is_valid` agrees."""
        try:
            self.canonical(arch)
        except ValueError:
            return False
        return self._permits(arch)

    def canonical(self, arch: Point) -> Hashable:
        """Return the indices of choices and grid values, and real values up to rounding."""
        self._check_length(arch.values)
        return tuple(p.key(v) for p, v in zip(self.parameters, arch.values, strict=True))

    def parse(self, text: str) -> Point:
        """Read a JSON array with one value per parameter."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{text!r} is not a JSON array: {error}") from None
        if not isinstance(values, list):
            raise ValueError(f"{text!r} is not a JSON array")
        self._check_length(values)
        own = []
        for name, parameter, value in zip(self.names, self.parameters, values, strict=True):
            try:
                own.append(parameter.read(value))
            except ValueError as error:
                raise ValueError(f"parameter {name!r} of {text!r}: {error}") from None
        point = Point(tuple(own), self.names)
        if not self._permits(point):
            raise ValueError(f"{text!r} is a point that is_valid does not allow")
        return point

    def neighbors(self, arch: Point, generator: torch.Generator | None = None) -> list[Point]:
        """Return the valid points that differ in one parameter.

        Categorical parameters and grids of at most ten values take all their other values, larger
        grids the two next values and a few random ones, continua a few Gaussian steps.
        """
        values = arch.values
        self._check_length(values)
        points = [
            Point((*values[:i], value, *values[i + 1 :]), self.names)
            for i, parameter in enumerate(self.parameters)
            for value in parameter.moves(values[i], generator)
        ]
        return list(filter(self._permits, points))

    @property
    def costs(self) -> tuple[str, ...]:
        """Names of the costs that the user gave."""
        return tuple(self._costs)

    def cost(self, arch: Point, name: str) -> float:
        """Return the sum of what the values of a point cost; raises ValueError if unknown."""
        check_cost(name, self.costs)
        rows = zip(self.parameters, self._costs[name], arch.values, strict=True)
        return math.fsum(costs.get(p.key(value), 0.0) for p, costs, value in rows)

    def terms(self, name: str) -> Terms:
        """Return what the values of each parameter cost; see `Additive`."""
        check_cost(name, self.costs)
        rows = [list(costs.values()) or [0.0] for costs in self._costs[name]]
        return [[[torch.tensor(row, dtype=torch.double)]] for row in rows]

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the encoding itself, `B x D`, as the only group."""
        return (x.flatten(1),)

    def linearize_features(self, x: Tensor) -> tuple[tuple[Tensor, ...], FeaturesPullback]:
        """Return the encoding, and that its gradient is its own; see `LinearizedFeatures`."""
        return self.features(x), lambda by: by[0].view_as(x)

    def _draw(self, n: int, generator: torch.Generator | None) -> list[Point]:
        """Draw from the whole product."""
        u = torch.rand(n, len(self.parameters), dtype=torch.double, generator=generator)
        columns = (p.draw(u[:, i]) for i, p in enumerate(self.parameters))
        return [Point(values, self.names) for values in zip(*columns, strict=True)]

    def _permits(self, point: Point) -> bool:
        if self._allowed is None:
            return True
        named = point if point.names else Point(point.values, self.names)
        return bool(self._allowed(named))

    def _check_length(self, values: Sequence[Value]) -> None:
        if len(values) != len(self.parameters):
            raise ValueError(
                f"a point of this space has {len(self.parameters)} values, not {len(values)}"
            )
