"""Spaces that are declared: a mapping of names to choices, numbers, repeats and conditions."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from naslib_diffusion.spaces.base import Block, FeaturesPullback, Terms, draw
from naslib_diffusion.spaces.costs import check_cost
from naslib_diffusion.spaces.declaration import Part, read_yaml
from naslib_diffusion.spaces.declared_costs import Costs, CostTable
from naslib_diffusion.spaces.declared_features import Features
from naslib_diffusion.spaces.declared_law import Law
from naslib_diffusion.spaces.declared_neighbors import neighbors
from naslib_diffusion.spaces.layout import Layout
from naslib_diffusion.spaces.layout_nodes import Node
from naslib_diffusion.spaces.parameters import Value
from naslib_diffusion.spaces.variables import Variable, read_by

Build = Callable[[Any, Mapping[str, Any]], nn.Module | None]
"""Makes the network's part of one value, given all values and `inputs` and `outputs`."""


@dataclass(frozen=True)
class Design:
    """An architecture of a declared space; its string form is JSON, nested as was declared.

    Attributes:
        codes: one for each decision, in order. It is the index of a value, or a number itself, and
            `ABSENT` or None for a decision that does not exist.
    """

    codes: tuple[Any, ...]
    root: Node = field(repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the values, nested as they were declared, without those that do not exist."""
        values: dict[str, Any] = self.root.render(self.codes)
        return values

    def __getitem__(self, name: str) -> Any:
        """Return what was declared as `name`; raises KeyError if it does not exist."""
        return self.as_dict()[name]

    def __str__(self) -> str:
        return json.dumps(self.as_dict())


class DeclaredSpace:
    """All architectures of a declaration.

    Example:
        DeclaredSpace({
            "width": [64, 128, 256],
            "layers": Repeat({"kernel": [3, 5, 7], "expansion": [3, 4, 6]}, depth=[2, 3, 4]),
            "head": Maybe({"units": Integer(16, 256, step=16)}),
            "optimiser": ["sgd", "adam"],
            "momentum": When(Real(0.0, 0.99), optimiser="sgd"),
        })

    Encodings are `B x D`: one-hots and coordinates side by side (see `legend`). Decisions that do
    not exist are encoded as zero, and numbers that do not exist as 0.5.

    Args:
        declaration: see `naslib_diffusion.spaces.declaration`.
        name: of the space.
        costs: for each cost, by name, what the values of each decision cost: a mapping of declared
            names, such as `layers.kernel`, to a function of the value or a mapping of values.
            `layers.depth` is the number of copies. The empty name is for what all architectures
            have in common.
        build: functions that make the parts of a network, in order, by declared names. The
            function of a repeat is called for each copy. A function whose name was not declared is
            called once, with None.

    Raises:
        ValueError: that says what part of the declaration or the costs is wrong.
    """

    def __init__(
        self,
        declaration: Part,
        *,
        name: str = "declared",
        costs: Mapping[str, Costs] | None = None,
        build: Mapping[str, Build] | None = None,
    ) -> None:
        self.name, self._build = name, dict(build or {})
        self.layout = Layout(declaration)
        self.law = Law(self.layout.decisions, self.layout.wirings)
        self.shape = (self.law.width,)
        self._costs = {key: CostTable(self.law, key, own) for key, own in (costs or {}).items()}
        self.costs = tuple(self._costs)
        self._features: dict[tuple[torch.device, torch.dtype], Features] = {}

    @functools.cached_property
    def size(self) -> int | None:
        """Number of distinct architectures, or an upper bound; None if it is infinite."""
        return self.law.size

    @classmethod
    def read(cls, path: str | Path, **options: Any) -> DeclaredSpace:
        """Return the space of a YAML file, named after it; raises ValueError, in one line."""
        try:
            return cls(read_yaml(path), **{"name": Path(path).stem, **options})
        except ValueError as error:
            text = str(error)
            raise ValueError(text if str(path) in text else f"{path}: {text}") from None

    def __str__(self) -> str:
        """Return a table of what was declared."""
        rows = [("parameter", "values", "exists where"), *self.layout.rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(2)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}".rstrip() for a, b, c in rows]
        count = "infinitely many" if self.size is None else f"{self.size:,}"
        return "\n".join([f"{self.name}: {count} architectures", *lines])

    @functools.cached_property
    def legend(self) -> tuple[str, ...]:
        """What the columns of encodings stand for: `name=value` of choices, names of numbers."""
        labels = [""] * self.law.width
        for columns, decision in zip(self.law.columns, self.layout.decisions, strict=True):
            values = decision.parameter.values or ()
            for i, column in enumerate(columns):
                value = f"={values[i]}" if len(columns) > 1 or len(values) == 1 else ""
                labels[column] = decision.name + value
        return tuple(labels)

    @functools.cached_property
    def variables(self) -> tuple[Variable, ...]:
        """The decisions, with names such as `layers.3.kernel`; see `Spelled`."""
        return tuple(self.layout.variables())

    def spell(self, arch: Design) -> dict[str, Value]:
        """Return the values of the decisions that exist, by name."""
        pairs = zip(self.layout.decisions, arch.codes, strict=True)
        return {d.name: d.value(code) for d, code in pairs if code != d.absent}

    def read_spelling(self, values: Mapping[str, Value]) -> Design:
        """Inverse of `spell`; edges that break a wiring's rules become the nearest that do not."""
        own = read_by(self.variables, values)
        codes = (d.code(own[d.name]) if d.name in own else d.absent for d in self.layout.decisions)
        arch = Design(tuple(codes), self.layout.root)
        if self.law.breaks(arch.codes):
            (arch,) = self.decode(self.encode([arch]))
        return arch

    @functools.cached_property
    def blocks(self) -> Sequence[Block] | None:
        """The law in blocks; None where too many combinations of conditions are possible."""
        return self.law.blocks

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[Design]:
        """Draw `n` architectures uniformly. A number under conditions counts as one value.

        Where the law has no blocks, decisions are drawn one after the other, each uniformly.
        """
        if self.blocks is not None:
            return self.decode(draw(self.blocks, n, generator))
        x = torch.rand(n, self.law.width, dtype=torch.double, generator=generator)
        for d in self.law.discrete:
            rows = self.law.rows[d][:-1]
            chosen = torch.randint(len(rows), (n,), generator=generator)
            x[:, list(self.law.columns[d])] = rows[chosen]
        return self.decode(x)

    def encode(self, archs: Sequence[Design]) -> Tensor:
        """Encode architectures, `B x D`; see the class."""
        return self.law.encode([arch.codes for arch in archs])

    def decode(self, x: Tensor) -> list[Design]:
        """Return the nearest architecture of each encoding, `B x D`."""
        return self._designs(self.law.decode(x.detach().double().cpu()))

    def _designs(self, codes: Iterable[tuple[Any, ...]]) -> list[Design]:
        return [Design(own, self.layout.root) for own in codes]

    def is_valid(self, arch: Design) -> bool:
        """Whether each decision that exists, and no other, has one of its values, and wirings
        keep to their rules.
        """
        return self.law.has(arch.codes)

    def canonical(self, arch: Design) -> Hashable:
        """Return the codes, with numbers up to rounding, of what exists.

        Isomorphic wirings have the same codes.
        """
        return self.law.form(arch.codes)

    def parse(self, text: str) -> Design:
        """Read the JSON of `str(arch)`."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{text!r} is not JSON: {error}") from None
        codes: list[Any] = [d.absent for d in self.law.decisions]
        try:
            self.layout.root.read(data, codes, "")
        except ValueError as error:
            raise ValueError(f"{text!r} is not of {self.name}: {error}".rstrip()) from None
        return Design(tuple(codes), self.layout.root)

    def neighbors(self, arch: Design, generator: torch.Generator | None = None) -> list[Design]:
        """Return the architectures that differ in one decision, and in what then comes or goes.

        The values of decisions that come into being are drawn, three times. Where a changed edge
        would break the rules of a wiring, as few other edges as possible change with it.
        """
        return self._designs(neighbors(self.law, arch.codes, generator))

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return groups of features, linear in `x` except for wirings; see `Features`."""
        return self._features_for(x)(x)

    def linearize_features(self, x: Tensor) -> tuple[tuple[Tensor, ...], FeaturesPullback]:
        """Return the features and the way back; see `LinearizedFeatures`."""
        return self._features_for(x).linearize(x)

    def _features_for(self, like: Tensor) -> Features:
        """Return the features, copied to each device once."""
        place = like.device, like.dtype
        if place not in self._features:
            self._features[place] = Features.of(self.law).to(like)
        return self._features[place]

    def cost(self, arch: Design, name: str) -> float:
        """Return one of the `costs` of an architecture.

        Raises:
            ValueError: if the cost is unknown.
        """
        check_cost(name, self.costs)
        return self._costs[name].of(arch.codes)

    def terms(self, name: str) -> Terms:
        """Return what each atom of `blocks` adds to a cost; see `Additive`.

        Raises:
            ValueError: if the cost is unknown, or the law has no blocks.
        """
        check_cost(name, self.costs)
        if self.blocks is None:
            raise ValueError(f"space {self.name!r} has no blocks to which costs could be put")
        return self._costs[name].terms()

    def build(self, arch: Design, *, inputs: int = 3, outputs: int = 10) -> nn.Module:
        """Return the network that the functions `build` make of the values, one after the other.

        Args:
            arch: what to build.
            inputs: handed to the functions, such as the channels of images.
            outputs: handed to the functions, such as the number of classes.

        Raises:
            ValueError: if the space was made without such functions.
        """
        if not self._build:
            raise ValueError(f"space {self.name!r} has no functions to build networks by")
        values = arch.as_dict()
        context = {**values, "inputs": inputs, "outputs": outputs}
        parts: list[nn.Module | None] = []
        for name, function in self._build.items():
            own = values.get(name)
            if own is None and name in self.layout.names:
                continue  # it does not exist in this architecture
            copies = own if isinstance(own, list) else [own]
            parts += [function(value, context) for value in copies]
        return nn.Sequential(*(part for part in parts if part is not None))
