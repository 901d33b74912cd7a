"""Between Optuna's parameters and the engine's spaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from naslib_diffusion.spaces import MobileNetV3, NASBench201, ProductSpace
from naslib_diffusion.spaces.base import A, Space
from naslib_diffusion.spaces.mobilenetv3 import DEPTHS, EXPANSIONS, KERNELS, Subnet
from naslib_diffusion.spaces.nasbench201 import OPERATIONS, Cell
from naslib_diffusion.spaces.parameters import Categorical, Integer, Parameter, Real
from naslib_diffusion.spaces.product import Point
from naslib_diffusion.spaces.restricted import Restricted

Params = Mapping[str, Any]
Rule = Callable[[dict[str, Any]], bool]

T = TypeVar("T")


class Codec(Protocol[A]):
    """Reads an architecture of `space` from a trial's parameters, and writes it as such."""

    @property
    def space(self) -> Space[A]:
        """The space of the architectures."""

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The parameters that spell an architecture."""

    def read(self, params: Params) -> A:
        """Return the architecture; KeyError or ValueError if `params` do not spell one."""

    def write(self, arch: A) -> dict[str, Any]:
        """Inverse of `read`."""


def parameter(name: str, distribution: BaseDistribution) -> Parameter:
    """Return a distribution as a parameter; a categorical one has the indices of its choices.

    Raises:
        ValueError: if the engine cannot represent it, such as integers beyond 2**40.
    """
    if isinstance(distribution, CategoricalDistribution):
        return Categorical(range(len(distribution.choices)), name, repr(distribution.choices))
    if isinstance(distribution, IntDistribution):
        low, high, step = distribution.low, distribution.high, distribution.step
        return Integer(low, high, step, distribution.log, name=name)
    if isinstance(distribution, FloatDistribution):
        floats = distribution.low, distribution.high
        return Real(*floats, distribution.log, distribution.step, name=name)
    raise ValueError(f"unknown kind of distribution: {distribution!r}")


def representable(distribution: BaseDistribution) -> bool:
    """Whether the engine can search over a distribution."""
    try:
        parameter("x", distribution)
    except ValueError:
        return False
    return True


class ProductCodec:
    """Any list of distributions as a `ProductSpace`.

    Args:
        distributions: by name.
        is_valid: bans combinations, given as a dictionary of values.
        constants: what else `is_valid` gets to see.
    """

    def __init__(
        self,
        distributions: Mapping[str, BaseDistribution],
        is_valid: Rule | None = None,
        constants: Params | None = None,
    ) -> None:
        self.distributions = dict(distributions)
        self._constants = dict(constants or {})
        rule = None if is_valid is None else ruled(is_valid, self._all)
        parameters = [parameter(name, d) for name, d in self.distributions.items()]
        self.space = ProductSpace(parameters, rule)

    def read(self, params: Params) -> Point:
        """Return the point in the distributions' internal representation."""
        values: list[int | float] = []
        for name, distribution in self.distributions.items():
            internal = distribution.to_internal_repr(params[name])
            whole = not isinstance(distribution, FloatDistribution)
            values.append(int(internal) if whole else internal)
        return Point(tuple(values))

    def write(self, arch: Point) -> dict[str, Any]:
        """Return values as Optuna's users see them."""
        pairs = zip(self.distributions.items(), arch.values, strict=True)
        return {name: d.to_external_repr(value) for (name, d), value in pairs}  # type: ignore[arg-type]

    def _all(self, arch: Point) -> dict[str, Any]:
        return {**self._constants, **self.write(arch)}


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


class NameCodec(Generic[A]):
    """Any finite space: one parameter `arch`, whose choices are the architectures' strings."""

    def __init__(self, space: Space[A], is_valid: Rule | None = None) -> None:
        if not isinstance(space, Iterable):
            raise ValueError(
                f"space {space.name!r} has no documented parameters, and cannot be enumerated"
            )
        self.space = restricted(space, is_valid, self.write)
        self._archs: dict[str, A] = {str(arch): arch for arch in space}
        self.distributions: dict[str, BaseDistribution] = {
            "arch": CategoricalDistribution(tuple(self._archs))
        }

    def read(self, params: Params) -> A:
        """Look the string up."""
        return self._archs[params["arch"]]

    def write(self, arch: A) -> dict[str, Any]:
        """Return the string."""
        return {"arch": str(arch)}


class PointCodec:
    """A `ProductSpace` that the user built: one parameter for each of its own."""

    def __init__(self, space: ProductSpace, is_valid: Rule | None = None) -> None:
        self.space = restricted(space, is_valid, self.write)
        pairs = zip(space.names, space.parameters, strict=True)
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


def codec_of(space: Any, is_valid: Rule | None = None) -> Codec[Any]:
    """Return how trials spell the architectures of a space, or of a mapping of distributions."""
    if isinstance(space, Mapping):
        return ProductCodec(space, is_valid)
    if isinstance(space, NASBench201):
        return CellCodec(space, is_valid)
    if isinstance(space, MobileNetV3):
        return SubnetCodec(space, is_valid)
    if isinstance(space, ProductSpace):
        return PointCodec(space, is_valid)
    return NameCodec(space, is_valid)


def suggest(trial: optuna.Trial, space: Space[A]) -> A:
    """Suggest all parameters of a space to a trial, and return the architecture.

    Example:
        def objective(trial):
            cell = suggest(trial, space)
            return train(str(cell))
    """
    codec: Codec[A] = codec_of(space)
    return codec.read({n: trial._suggest(n, d) for n, d in codec.distributions.items()})


def restricted(
    space: Space[A], is_valid: Rule | None, write: Callable[[A], dict[str, Any]]
) -> Space[A]:
    """Return the space less what `is_valid` bans."""
    return space if is_valid is None else Restricted(space, ruled(is_valid, write))


def ruled(is_valid: Rule, write: Callable[[T], dict[str, Any]]) -> Callable[[T], bool]:
    """Return a user's rule on parameters as one on architectures.

    A rule that asks for a parameter that is not searched jointly with these cannot judge them.
    """

    def allowed(arch: T) -> bool:
        try:
            return bool(is_valid(write(arch)))
        except KeyError:
            return True

    return allowed


def _distribution(p: Parameter) -> BaseDistribution:
    if isinstance(p, Integer):
        return IntDistribution(p.low, p.high, p.log, p.step)
    if isinstance(p, Real):
        return FloatDistribution(p.low, p.high, p.log, p.step)
    values: Sequence[Any] = p.values or ()
    return CategoricalDistribution(values)


def groups(
    trials: Iterable[Mapping[str, BaseDistribution]],
) -> list[dict[str, BaseDistribution]]:
    """Split parameters into the coarsest groups of which each trial has all or nothing.

    A parameter whose range changed counts with its latest one.
    """
    latest: dict[str, BaseDistribution] = {}
    parts: list[set[str]] = []
    for distributions in trials:
        latest.update(distributions)
        left = set(distributions)
        cut = []
        for part in parts:
            cut += [part & left, part - left]
            left -= part
        parts = [part for part in (*cut, left) if part]
    return sorted(({name: latest[name] for name in sorted(part)} for part in parts), key=list)
