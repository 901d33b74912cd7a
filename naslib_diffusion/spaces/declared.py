"""Spaces that are declared: a mapping of names to choices, numbers, repeats and conditions."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from naslib_diffusion.spaces.base import Block, FeaturesPullback, Terms, draw
from naslib_diffusion.spaces.costs import check_cost
from naslib_diffusion.spaces.declaration import Part, read_yaml
from naslib_diffusion.spaces.declared_costs import Costs, CostTable
from naslib_diffusion.spaces.declared_features import feature_columns
from naslib_diffusion.spaces.declared_law import NOWHERE, Law
from naslib_diffusion.spaces.layout import Layout
from naslib_diffusion.spaces.layout_nodes import Node, holds
from naslib_diffusion.spaces.parameters import Value
from naslib_diffusion.spaces.variables import Variable, read_by

Build = Callable[[Any, Mapping[str, Any]], nn.Module | None]
"""Makes the network's part of one value, given all values and `inputs` and `outputs`."""

FILLS = 3
"""Neighbours by a decision that brings others into being, whose values are drawn."""
ALL_MOVES = 10
"""Discrete decisions of up to so many values have all others as neighbours."""


@dataclass(frozen=True)
class Design:
    """An architecture of a declared space; its string form is JSON, nested as was declared.

    Attributes:
        codes: of the decisions, in order: the index of a value, or a number itself; `ABSENT` or
            None for those that do not exist.
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

    Encodings are `B x D`, see `legend`: one-hots and coordinates side by side, zero for what does
    not exist, and 0.5 for a number that does not.

    Args:
        declaration: see `naslib_diffusion.spaces.declaration`.
        name: of the space.
        costs: by the names of costs, what the values of each decision cost: a mapping of declared
            names, such as `layers.kernel`, to a function of the value or a mapping of values;
            `layers.depth` is the number of copies, and the empty name what all have in common.
        build: functions that make a network's parts, in order, by the names of what was
            declared; a repeat's is called for each copy, that of another name once with None.

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
        self.law = Law(self.layout.decisions)
        self.shape = (self.law.width,)
        self.size = self.law.size
        self._costs = {key: CostTable(self.law, key, own) for key, own in (costs or {}).items()}
        self.costs = tuple(self._costs)
        self._columns: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}

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
        """Inverse of `spell`."""
        own = read_by(self.variables, values)
        codes = (d.code(own[d.name]) if d.name in own else d.absent for d in self.layout.decisions)
        return Design(tuple(codes), self.layout.root)

    @functools.cached_property
    def blocks(self) -> Sequence[Block] | None:
        """The law in blocks; None where too many combinations of conditions are possible."""
        return self.law.blocks

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[Design]:
        """Draw `n` architectures uniformly, where numbers under conditions count as one value.

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
        law = self.law
        x = torch.full((len(archs), law.width), NOWHERE, dtype=torch.double)
        rows = [a.codes for a in archs]
        if law.numbers:
            rows = [tuple(codes[d] for d in law.discrete) for codes in rows]
        codes = np.array(rows, dtype=np.int64).reshape(len(archs), len(law.discrete))
        law.encode(torch.from_numpy(codes), x)
        for d in law.numbers:
            there = [i for i, arch in enumerate(archs) if arch.codes[d] is not None]
            values = [archs[i].codes[d] for i in there]
            x[there, law.columns[d].start] = law.decisions[d].parameter.encode(values)[:, 0]
        return x

    def decode(self, x: Tensor) -> list[Design]:
        """Return the nearest architecture of each encoding, `B x D`."""
        law, x = self.law, x.detach().double().cpu()
        found = law.decode(x).numpy().tolist()
        if not law.numbers:
            return [Design(tuple(codes), self.layout.root) for codes in found]
        values = [
            law.decisions[d].parameter.decode(x[:, list(law.columns[d])]) for d in law.numbers
        ]
        return [self._with_numbers(*row) for row in zip(found, *values, strict=True)]

    def _with_numbers(self, found: Sequence[int], *numbers: Any) -> Design:
        """Make an architecture of its discrete codes and of all numbers, needed or not."""
        codes: list[Any] = [None] * len(self.law.decisions)
        for d, code in zip(self.law.discrete, found, strict=True):
            codes[d] = code
        for d, value in zip(self.law.numbers, numbers, strict=True):
            codes[d] = value if holds(self.law.decisions[d].guards, codes) else None
        return Design(tuple(codes), self.layout.root)

    def is_valid(self, arch: Design) -> bool:
        """Whether each decision that exists, and no other, has one of its values."""
        if len(arch.codes) != len(self.law.decisions):
            return False
        try:
            return all(
                self._has(code, arch.codes, d) for d, code in enumerate(arch.codes)
            )  # fmt: skip
        except ValueError:
            return False

    def _has(self, code: Any, codes: Sequence[Any], number: int) -> bool:
        decision = self.law.decisions[number]
        if not holds(decision.guards, codes):
            return bool(code == decision.absent)
        if decision.discrete:
            return type(code) is int and 0 <= code < (decision.parameter.count or 0)
        decision.parameter.key(code)
        return True

    def canonical(self, arch: Design) -> Hashable:
        """Return the codes, numbers up to rounding: what does not exist has none."""
        if not self.law.numbers:
            return arch.codes
        keys = list(arch.codes)
        for d in self.law.numbers:
            if keys[d] is not None:
                keys[d] = self.law.decisions[d].parameter.key(keys[d])
        return tuple(keys)

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
        """Return what differs in one decision, and in what that brings into being or ends.

        Values of what comes into being are drawn, three times.
        """
        near: dict[tuple[Any, ...], None] = {}
        for d, code in enumerate(arch.codes):
            if code != self.law.decisions[d].absent:
                for other in self._moves(d, code, generator):
                    near.update(dict.fromkeys(self._changed(arch.codes, d, other, generator)))
        near.pop(arch.codes, None)
        return [Design(codes, self.layout.root) for codes in near]

    def _moves(self, number: int, code: Any, generator: torch.Generator | None) -> list[Any]:
        decision = self.law.decisions[number]
        parameter = decision.parameter
        if not decision.discrete:
            return parameter.moves(code, generator)
        count = parameter.count or 0
        if count <= ALL_MOVES or parameter.width > 1:
            return [other for other in range(count) if other != code]
        values = list(parameter.values or ())
        return [values.index(value) for value in parameter.moves(values[code], generator)]

    def _changed(
        self, codes: Sequence[Any], number: int, code: Any, generator: torch.Generator | None
    ) -> Iterator[tuple[Any, ...]]:
        """Yield architectures in which one decision has another code."""
        for _ in range(FILLS):
            own, filled = [*codes[:number], code, *codes[number + 1 :]], False
            for d in range(number + 1, len(own)):
                decision = self.law.decisions[d]
                if not holds(decision.guards, own):
                    own[d] = decision.absent
                elif own[d] == decision.absent:
                    own[d], filled = self._drawn(d, generator), True
            yield tuple(own)
            if not filled:
                return

    def _drawn(self, number: int, generator: torch.Generator | None) -> Any:
        decision = self.law.decisions[number]
        if decision.discrete:
            return int(torch.randint(decision.parameter.count or 1, (), generator=generator))
        return decision.parameter.draw(torch.rand(1, generator=generator).double())[0]

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return groups of features that are linear in `x`; see `feature_columns`."""
        return tuple(x @ columns for columns in self._feature_columns(x))

    def linearize_features(self, x: Tensor) -> tuple[tuple[Tensor, ...], FeaturesPullback]:
        """Return the features and the way back; see `LinearizedFeatures`."""
        groups = self._feature_columns(x)

        def pullback(by: Sequence[Tensor]) -> Tensor:
            parts = [own @ columns.mT for own, columns in zip(by, groups, strict=True)]
            return torch.stack(parts).sum(0)

        return self.features(x), pullback

    def _feature_columns(self, like: Tensor) -> list[Tensor]:
        """Return the columns of features, copied to each device once."""
        place = like.device, like.dtype
        if place not in self._columns:
            self._columns[place] = [own.to(*place) for own in feature_columns(self.law)]
        return self._columns[place]

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
        """Return the network: what the functions `build` make of the values, one after the other.

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
