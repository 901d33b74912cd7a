"""How trials spell the architectures of the engine's own spaces: documented parameter names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic

import optuna
from naslib_diffusion.plugins.optuna.spaces import Codec, Params, ProductCodec, Rule, Ruled
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from naslib_diffusion.spaces import Budgeted, MobileNetV3, NASBench201, NASBenchGraph, ProductSpace
from naslib_diffusion.spaces import nasbenchgraph as graph
from naslib_diffusion.spaces.base import A, Space
from naslib_diffusion.spaces.mobilenetv3 import DEPTHS, EXPANSIONS, KERNELS, Subnet
from naslib_diffusion.spaces.nasbench201 import OPERATIONS, Cell
from naslib_diffusion.spaces.nasbenchgraph import GraphNet
from naslib_diffusion.spaces.numbers import Integer, Real
from naslib_diffusion.spaces.parameters import Parameter
from naslib_diffusion.spaces.product import Point
from naslib_diffusion.spaces.restricted import Restricted
from naslib_diffusion.spaces.subset import Subset

MAX_NAMES = 5000
"""Most architectures of a space without documented parameters: each trial stores all names."""


class CellCodec:
    """Cells of NAS-Bench-201: `op0` to `op5`, names of operations in the order of the string."""

    def __init__(self, space: NASBench201, is_valid: Rule | None = None) -> None:
        self.space = restricted(space, is_valid, self.write)
        self.distributions: dict[str, BaseDistribution] = {
            f"op{i}": CategoricalDistribution(OPERATIONS) for i in range(6)
        }

    def read(self, params: Params) -> Cell:
        """Return the cell."""
        return Cell(tuple(OPERATIONS.index(params[name]) for name in self.distributions))

    def write(self, arch: Cell) -> dict[str, Any]:
        """Return the names of the operations."""
        return {f"op{i}": OPERATIONS[k] for i, k in enumerate(arch.operations)}


class SubnetCodec:
    """Once-for-all's lists: `d0` to `d4`, `ks0` to `ks19` and `e0` to `e19`.

    A trial may leave out `ks` and `e` of layers that its `d` drops.
    """

    def __init__(self, space: MobileNetV3, is_valid: Rule | None = None) -> None:
        self.space = restricted(space, is_valid, self.write)
        choices = {"d": (DEPTHS, 5), "ks": (KERNELS, 20), "e": (EXPANSIONS, 20)}
        self.distributions: dict[str, BaseDistribution] = {
            f"{key}{i}": CategoricalDistribution(values)
            for key, (values, count) in choices.items()
            for i in range(count)
        }

    def read(self, params: Params) -> Subnet:
        """Return the sub-network."""
        d = [params[f"d{i}"] for i in range(5)]
        dropped = [i % 4 >= d[i // 4] for i in range(20)]
        ks = [KERNELS[0] if dropped[i] else params[f"ks{i}"] for i in range(20)]
        e = [EXPANSIONS[0] if dropped[i] else params[f"e{i}"] for i in range(20)]
        return Subnet.from_ofa(ks, e, d)

    def write(self, arch: Subnet) -> dict[str, Any]:
        """Return all 45 values; the smallest ones for layers that are dropped."""
        lists = arch.to_ofa().items()
        return {f"{key}{i}": value for key, values in lists for i, value in enumerate(values)}


class GraphCodec:
    """NAS-Bench-Graph: `wiring`, sources such as "0012", and `op0` to `op3`, operations."""

    def __init__(self, space: NASBenchGraph, is_valid: Rule | None = None) -> None:
        self.space = restricted(space, is_valid, self.write)
        wirings = ["".join(map(str, wiring)) for wiring in graph.WIRINGS]
        self.distributions: dict[str, BaseDistribution] = {
            "wiring": CategoricalDistribution(wirings),
            **{f"op{i}": CategoricalDistribution(graph.OPERATIONS) for i in range(4)},
        }

    def read(self, params: Params) -> GraphNet:
        """Return the architecture."""
        operations = tuple(graph.OPERATIONS.index(params[f"op{i}"]) for i in range(4))
        return GraphNet(tuple(map(int, params["wiring"])), operations)

    def write(self, arch: GraphNet) -> dict[str, Any]:
        """Return the sources and the names of the operations."""
        names = {f"op{i}": graph.OPERATIONS[k] for i, k in enumerate(arch.operations)}
        return {"wiring": "".join(map(str, arch.wiring)), **names}


class NameCodec(Generic[A]):
    """Any finite space: one parameter `arch`, whose choices are the architectures' strings."""

    def __init__(self, space: Space[A], is_valid: Rule | None = None) -> None:
        if not isinstance(space, Iterable) or not space.size or space.size > MAX_NAMES:
            raise ValueError(
                f"space {space.name!r} has no documented parameters and more than {MAX_NAMES} "
                "architectures; give distributions by name instead"
            )
        self.space = restricted(space, is_valid, self.write)
        self._archs: dict[str, A] = {str(arch): arch for arch in space}
        self.distributions: dict[str, BaseDistribution] = {
            "arch": CategoricalDistribution(tuple(self._archs))
        }

    def read(self, params: Params) -> A:
        """Look the string up."""
        arch: A = self._archs[params["arch"]]
        return arch

    def write(self, arch: A) -> dict[str, Any]:
        """Return the string."""
        return {"arch": str(arch)}


class PointCodec:
    """A `ProductSpace` that the user built, or a list of its points: its parameters.

    Args:
        space: of the points that may be proposed.
        whole: the space whose parameters they have.
        is_valid: bans combinations.
    """

    def __init__(
        self, space: Space[Point], whole: ProductSpace, is_valid: Rule | None = None
    ) -> None:
        self.space = restricted(space, is_valid, self.write)
        pairs = zip(whole.names, whole.parameters, strict=True)
        self.distributions: dict[str, BaseDistribution] = {
            name: _distribution(p) for name, p in pairs
        }

    def read(self, params: Params) -> Point:
        """Collect the values."""
        values = []
        for name, distribution in self.distributions.items():
            floating = isinstance(distribution, FloatDistribution)
            values.append(float(params[name]) if floating else params[name])
        return Point(tuple(values))

    def write(self, arch: Point) -> dict[str, Any]:
        """Return the values by name."""
        return dict(zip(self.distributions, arch.values, strict=True))


def codec_of(space: Any, is_valid: Rule | None = None) -> Codec[Any]:  # noqa: PLR0911 - one a kind
    """Return how trials spell the architectures of a space, or of a mapping of distributions."""
    if isinstance(space, Mapping):
        return ProductCodec(space, is_valid)
    if isinstance(space, Budgeted):
        codec = codec_of(space.space)
        codec.space = restricted(space, is_valid, codec.write)
        return codec
    if isinstance(space, NASBench201):
        return CellCodec(space, is_valid)
    if isinstance(space, MobileNetV3):
        return SubnetCodec(space, is_valid)
    whole = space.space if isinstance(space, Subset) else space
    if isinstance(whole, ProductSpace):
        return PointCodec(space, whole, is_valid)
    if isinstance(space, NASBenchGraph):
        return GraphCodec(space, is_valid)
    return NameCodec(space, is_valid)


def suggest(trial: optuna.Trial, space: Space[A]) -> A:
    """Suggest all parameters of a space to a trial, and return the architecture.

    Example:
        def objective(trial):
            cell = suggest(trial, space)
            return train(str(cell))
    """
    codec: Codec[A] = codec_of(space)
    params = {name: trial._suggest(name, d) for name, d in codec.distributions.items()}
    arch: A = codec.read(params)
    return arch


def restricted(
    space: Space[A], is_valid: Rule | None, write: Callable[[A], dict[str, Any]]
) -> Space[A]:
    """Return the space less what `is_valid` bans."""
    return space if is_valid is None else Restricted(space, Ruled(is_valid, write))


def _distribution(p: Parameter) -> BaseDistribution:
    if isinstance(p, Integer):
        return IntDistribution(p.low, p.high, p.log, p.step)
    if isinstance(p, Real):
        return FloatDistribution(p.low, p.high, p.log, p.step)
    values: Sequence[Any] = p.values or ()
    return CategoricalDistribution(values)
