"""What the engine needs to know about a search space: the `Space` protocol, the law in blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from naslib_diffusion.spaces.paths import PathBlock

A = TypeVar("A", bound=Hashable)


@dataclass(frozen=True, eq=False)
class AtomBlock:
    """Consecutive coordinates that jointly take one of `K` equally likely values.

    The coordinates are `start .. start + width` of the flattened encoding; `atoms` is `K x width`.
    A fixed part of the encoding is a block with one atom, a categorical choice one whose atoms are
    one-hot, an integer on a grid one whose atoms are the `K x 1` grid points. Blocks of equal
    `kind` have the same choices in the same order, such as the layers of a network.
    """

    start: int
    atoms: Tensor
    kind: Hashable = None

    @property
    def width(self) -> int:
        """Number of coordinates."""
        return int(self.atoms.shape[1])

    @property
    def columns(self) -> tuple[int, ...]:
        """The coordinates."""
        return tuple(range(self.start, self.start + self.width))


@dataclass(frozen=True)
class UniformBlock:
    """One coordinate, uniform on [0, 1]."""

    start: int
    width: int = 1

    @property
    def columns(self) -> tuple[int, ...]:
        """The coordinate."""
        return (self.start,)


@dataclass(frozen=True, eq=False)
class Factor:
    """Coordinates of a `UnionBlock`, not necessarily consecutive, and the values they can take.

    `columns` count from the start of the block; `atoms` is `K x len(columns)`. `weights`, `K`, say
    how likely the values are. By default all weights are one, and all values of a union are
    equally likely.
    """

    columns: tuple[int, ...]
    atoms: Tensor
    weights: Tensor | None = None

    @property
    def total(self) -> float:
        """How likely the factor is, as against others in its place: the sum of its weights."""
        return float(len(self.atoms) if self.weights is None else self.weights.sum())

    def only(self, kept: Tensor) -> Factor:
        """Return the factor with only those of its values that a mask, `K`, keeps."""
        weights = None if self.weights is None else self.weights[kept]
        return Factor(self.columns, self.atoms[kept], weights)

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` of its values."""
        if self.weights is None:
            return _pick(self.atoms, n, generator)
        own = torch.multinomial(self.weights, max(n, 1), replacement=True, generator=generator)
        return self.atoms.double()[own[:n]]


@dataclass(frozen=True, eq=False)
class UnionBlock:
    """Consecutive coordinates that jointly take one of the values of several products.

    Such a block describes a space that bans combinations, or has optional parts. Each part is the
    product of independent factors, which it names by index and which cover all coordinates. Parts
    have no value in common. All values of all parts are equally likely, unless factors have
    `weights`. Two examples with two choices of K:

    * "the second may be absent": (K values, zero) or (K values, K values);
    * "not both skip": (no skip, K values) or (skip, no skip).
    """

    start: int
    factors: tuple[Factor, ...]
    parts: tuple[tuple[int, ...], ...]

    @property
    def width(self) -> int:
        """Number of coordinates."""
        return sum(len(self.factors[i].columns) for i in self.parts[0])

    @property
    def columns(self) -> tuple[int, ...]:
        """The coordinates."""
        return tuple(range(self.start, self.start + self.width))

    @property
    def products(self) -> list[list[Factor]]:
        """The factors of each part."""
        return [[self.factors[i] for i in part] for part in self.parts]

    def expand(self) -> AtomBlock:
        """Return the same law, without `weights`, as one block with an atom for each value."""
        return AtomBlock(self.start, torch.cat([self._product(part) for part in self.products]))

    def choose(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Find the value nearest to each of `B x width`.

        Return its part, `B`, and for each factor the atom that it would take, `B` each.
        """
        best = []
        for factor in self.factors:
            atoms = factor.atoms.to(x)
            squares = atoms.square().sum(1) - 2 * x[:, list(factor.columns)] @ atoms.mT
            best.append(squares.min(1))
        costs = torch.stack([own.values for own in best])
        parts = torch.stack([costs[list(part)].sum(0) for part in self.parts])
        return parts.argmin(0), [own.indices for own in best]

    def nearest(self, x: Tensor) -> Tensor:
        """Return the value nearest to each of `B x width`."""
        own, atoms = self.choose(x)
        values = torch.empty_like(x)
        for i, part in enumerate(self.parts):
            rows = (own == i).nonzero()[:, 0]
            for k in part:
                chosen = self.factors[k].atoms.to(x)[atoms[k][rows]]
                values[rows[:, None], list(self.factors[k].columns)] = chosen
        return values

    def having(self, fixed: Mapping[int, float], tolerance: float) -> UnionBlock | None:
        """Return the block whose columns, counted from the start, have given values."""
        factors = []
        for factor in self.factors:
            kept = torch.ones(len(factor.atoms), dtype=torch.bool)
            for place, column in enumerate(factor.columns):
                if column in fixed:
                    kept &= (factor.atoms[:, place] - fixed[column]).abs() <= tolerance
            factors.append(factor.only(kept))
        parts = [part for part in self.parts if all(len(factors[i].atoms) for i in part)]
        used = sorted({i for part in parts for i in part})
        left = tuple(tuple(used.index(i) for i in part) for part in parts)
        return UnionBlock(self.start, tuple(factors[i] for i in used), left) if parts else None

    def _product(self, factors: Sequence[Factor]) -> Tensor:
        grids = torch.meshgrid(*(torch.arange(len(f.atoms)) for f in factors), indexing="ij")
        values = torch.empty(grids[0].numel(), self.width, dtype=factors[0].atoms.dtype)
        for factor, chosen in zip(factors, grids, strict=True):
            values[:, list(factor.columns)] = factor.atoms[chosen.flatten()]
        return values


Block = AtomBlock | UnionBlock | PathBlock | UniformBlock


def count_values(block: AtomBlock | UnionBlock | PathBlock) -> int:
    """Return how many values a block has, without listing them."""
    if isinstance(block, AtomBlock):
        return len(block.atoms)
    if isinstance(block, PathBlock):
        return block.count
    return sum(math.prod(len(factor.atoms) for factor in part) for part in block.products)


def values_of(block: AtomBlock | UnionBlock | PathBlock) -> Tensor:
    """Return all values of a block, `K x width`."""
    if isinstance(block, PathBlock):
        return block.values()
    return (block.expand() if isinstance(block, UnionBlock) else block).atoms


def draw(blocks: Sequence[Block], n: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw `n` flattened encodings, `n x D`, from a law."""
    x = torch.empty(n, sum(block.width for block in blocks), dtype=torch.double)
    for block in blocks:
        if isinstance(block, UniformBlock):
            values = torch.rand(n, 1, generator=generator, dtype=torch.double)
        elif isinstance(block, AtomBlock):
            values = _pick(block.atoms, n, generator)
        elif isinstance(block, PathBlock):
            values = block.draw(n, generator)
        else:
            values = _draw_union(block, n, generator)
        x[:, list(block.columns)] = values
    return x


def _draw_union(block: UnionBlock, n: int, generator: torch.Generator | None) -> Tensor:
    """Draw from a union, `n x width`: a part by its number of values, then each factor."""
    logs = [sum(math.log(f.total) for f in part) for part in block.products]
    shares = torch.softmax(torch.tensor(logs, dtype=torch.double), 0)
    own = torch.multinomial(shares, max(n, 1), replacement=True, generator=generator)[:n]
    x = torch.empty(n, block.width, dtype=torch.double)
    for i, factors in enumerate(block.products):
        rows = (own == i).nonzero()[:, 0]
        for factor in factors:
            x[rows[:, None], list(factor.columns)] = factor.draw(len(rows), generator)
    return x


def _pick(atoms: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    return atoms[torch.randint(len(atoms), (n,), generator=generator)].double()


def count_encodings(blocks: Sequence[Block]) -> int | None:
    """Return how many values a law can take; None if it has a continuum."""
    total = 1
    for block in blocks:
        if isinstance(block, UniformBlock):
            return None
        total *= count_values(block)
    return total


class HardlyAnyValid(ValueError):  # noqa: N818 - it reads as what happened
    """Fewer random architectures than were wanted turned out to be valid.

    Attributes:
        found: those that did.
    """

    def __init__(self, message: str, found: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.found = list(found)


class Space(Protocol[A]):
    """A set of architectures and its tensor form.

    An architecture is any hashable value whose `str` is its public string form. Its encoding is a
    tensor of shape `space.shape` (`N x F` for graphs of N nodes with F operations, `D` for
    products), with values in [0, 1]. Batches are `B x *shape`.
    """

    @property
    def name(self) -> str:
        """Name of the space, for messages and files."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one encoding."""

    @property
    def size(self) -> int | None:
        """Number of distinct canonical forms, or an upper bound of it; None if it is infinite."""

    @property
    def blocks(self) -> Sequence[Block] | None:
        """The uniform law over the space as independent blocks that cover the flattened encoding.

        None if the law does not factorise; a trained denoiser is needed then.
        """

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[A]:
        """Draw `n` architectures uniformly, with replacement."""

    def encode(self, archs: Sequence[A]) -> Tensor:
        """Encode architectures as `B x *shape`, double precision, on the CPU."""

    def decode(self, x: Tensor) -> list[A]:
        """Return the nearest architecture of each (possibly relaxed) encoding, `B x *shape`.

        It may be invalid in a space that bans combinations; see `is_valid`.
        """

    def is_valid(self, arch: A) -> bool:
        """Whether `arch` belongs to the space."""

    def canonical(self, arch: A) -> Hashable:
        """Return a key, equal for architectures that compute the same family of functions."""

    def parse(self, text: str) -> A:
        """Inverse of `str(arch)`; raises ValueError that says what is wrong with `text`.

        It may read other usual forms too, such as the lists of a JSON table. A space whose
        architectures are spread over several columns of tables names these in `columns`, and reads
        a JSON object of them.
        """

    def neighbors(self, arch: A, generator: torch.Generator | None = None) -> list[A]:
        """The valid architectures that differ from `arch` in one decision.

        Decisions on a continuum give a few random steps each, drawn from `generator`.
        """

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return groups of features for a surrogate, each `B x K_i`, differentiable in `x`.

        Each group has its own length scale in a kernel, so its features should be comparable in
        scale. Architectures of equal canonical form have equal features. A space without structure
        returns its flattened encoding as the only group.
        """


FeaturesPullback = Callable[[Sequence[Tensor]], Tensor]
"""Maps the gradients of a score by groups of features, `B x K_i` each, to that by encodings,
`B x *shape`."""


@runtime_checkable
class LinearizedFeatures(Protocol):
    """A space whose features have their gradients in closed form.

    This is optional. Without it, surrogates differentiate automatically, in double precision.
    """

    def linearize_features(self, x: Tensor) -> tuple[tuple[Tensor, ...], FeaturesPullback]:
        """Return the features of `B x *shape`, in any precision, and the way back from them."""


@runtime_checkable
class NumberedForms(Protocol):
    """A space whose canonical forms are few enough to be numbered, from 0 to below `size`.

    This is optional. With it, batches are rounded and repeats found on the device, and Python
    objects are made only of what is returned. All that can be decoded must be valid.
    """

    def keys(self, x: Tensor) -> Tensor:
        """Return the number of the canonical form nearest to each of `B x *shape`, `B`."""

    def round(self, x: Tensor) -> Tensor:
        """Return the encoding of what `decode` makes of each of `B x *shape`, on its device."""

    def number(self, key: Hashable) -> int:
        """Return the number of a canonical form."""


@runtime_checkable
class Buildable(Protocol):
    """A space whose architectures can be made networks of, to be trained or looked at.

    This is optional, but zero-cost priors need it. A space of your own needs one method for it.
    """

    def build(self, arch: Any, *, inputs: int = 3, outputs: int = 10) -> nn.Module:
        """Return the untrained network of `arch`, which maps `B x inputs x H x W` to
        `B x outputs`; its weights are drawn from PyTorch's global generator.
        """


@runtime_checkable
class Costed(Protocol):
    """A space that knows what its architectures cost.

    This is optional. Costs are numbers of parameters or of multiply-adds, latencies and so on.
    """

    @property
    def costs(self) -> tuple[str, ...]:
        """Names of the costs."""

    def cost(self, arch: Any, name: str) -> float:
        """Return one of the costs of an architecture; raises ValueError that lists the names."""


Terms = list[list[list[Tensor]]]
"""For each block of a law, each part of it, each factor of the part: the cost of each atom, `K`.

A block that is no union is one part with one factor; a uniform coordinate is one atom. Paths are
one part, with a factor for each step whose atoms are its letters."""


@runtime_checkable
class Additive(Costed, Protocol):
    """A space whose costs are sums over decisions, so that its law can be kept within a budget.

    This is optional, but `Budgeted` needs it. The cost of an architecture is exactly the sum of
    the terms of its atoms. So terms are integers below 2**53, or other numbers that doubles add
    without an error. A cost that depends on a global choice, such as a width, is additive within
    each part of a `UnionBlock` that has one part for each value of that choice. What is constant
    in a part is the term of a factor with one atom.
    """

    def terms(self, name: str) -> Terms:
        """Return the terms of one of the `costs`, in double precision; raises like `cost`."""
