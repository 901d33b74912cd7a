"""A declaration laid out: its decisions in order, when each exists, and how they nest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from naslib_diffusion.spaces.declaration import (
    Maybe,
    Part,
    Repeat,
    When,
    Wiring,
    as_parameter,
)
from naslib_diffusion.spaces.layout_nodes import (
    ABSENT,
    CellNode,
    Guards,
    LeafNode,
    MaybeNode,
    Node,
    RepeatNode,
    code_of,
)
from naslib_diffusion.spaces.parameters import Categorical, Parameter, Value
from naslib_diffusion.spaces.variables import Variable
from naslib_diffusion.spaces.wired import Pair, Wired
from naslib_diffusion.spaces.wiring_node import WiringNode

MAX_DECISIONS = 10_000


@dataclass(frozen=True)
class Decision:
    """One parameter at one place.

    Attributes:
        name: where it is, such as `layers.3.ratio`.
        declared: where it was declared, such as `layers.ratio`.
        guards: when it exists.
        place: number of the copy of the innermost repeat that it is in; None if it is in none.
        places: number of these copies.
        parameter: its values.
    """

    name: str
    declared: str
    guards: Guards
    place: int | None
    places: int
    parameter: Parameter

    @property
    def discrete(self) -> bool:
        """Whether its code is the index of a value, and not the value itself."""
        return self.parameter.atoms is not None

    @property
    def absent(self) -> int | None:
        """The code where it does not exist."""
        return ABSENT if self.discrete else None

    def value(self, code: Any) -> Value:
        """Return the value of a code."""
        value: Value = (self.parameter.values or ())[code] if self.discrete else code
        return value

    def code(self, value: Value) -> Any:
        """Inverse of `value`; raises ValueError if it has no such value."""
        return code_of(self.parameter, value, self.name) if self.discrete else value


@dataclass(frozen=True)
class _Here:
    """Where a part is: its names, when it exists, the names it can depend on, its repeat."""

    name: str
    declared: str
    guards: Guards
    scope: Mapping[str, int]
    place: int | None
    places: int

    def inside(self, key: str, scope: Mapping[str, int]) -> _Here:
        name, declared = (
            f"{own}.{key}" if own else key for own in (self.name, self.declared)
        )  # fmt: skip
        return replace(self, name=name, declared=declared, scope=scope)

    def where(self, number: int | None, counts: Sequence[int], place: int) -> _Here:
        """Depend on a decision among counts: exist where that is larger than `place`."""
        if number is None or place < min(counts):
            return self
        return self.under(number, frozenset(k for k, n in enumerate(counts) if n > place))

    def under(self, number: int, allowed: frozenset[int]) -> _Here:
        guards = dict(self.guards)
        guards[number] = guards.get(number, allowed) & allowed
        return replace(self, guards=guards)


class Layout:
    """The decisions of a declaration, and the tree that they hang in.

    Args:
        declaration: see `naslib_diffusion.spaces.declaration`.

    Attributes:
        names: of the parts.
        decisions: in order; each depends on earlier ones only.
        wirings: of which decisions.
        root: of the tree.

    Raises:
        ValueError: that says which part is wrong.
    """

    def __init__(self, declaration: Part) -> None:
        if not isinstance(declaration, Mapping) or not declaration:
            raise ValueError("a space is declared by a mapping of names to parts")
        self.names = tuple(declaration)
        self.decisions: list[Decision] = []
        self.wirings: list[Wired] = []
        self.root = self._lay(declaration, _Here("", "", {}, {}, None, 1))

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield name, values and conditions of what was declared, once for all copies."""
        seen = set()
        for number, decision in enumerate(self.decisions):
            if decision.declared not in seen:
                seen.add(decision.declared)
                times = "" if decision.place is None else f" x {decision.places}"
                conditions = [self._condition(*guard) for guard in decision.guards.items()]
                conditions += [w.rule for w in self.wirings if number == min(w.decides)]
                yield decision.declared + times, _values(decision.parameter), ", ".join(conditions)

    def variables(self) -> Iterator[Variable]:
        """Yield the decisions as hosts know them: guards by name and value."""
        for decision in self.decisions:
            guards = ((self.decisions[n], allowed) for n, allowed in decision.guards.items())
            when = {own.name: tuple(map(own.value, sorted(codes))) for own, codes in guards}
            yield Variable(decision.name, decision.parameter, when)

    def _condition(self, number: int, allowed: frozenset[int]) -> str:
        decision = self.decisions[number]
        values = decision.parameter.values or ()
        return f"{decision.declared} = {' or '.join(str(values[k]) for k in sorted(allowed))}"

    def _lay(self, part: Any, here: _Here) -> Node:
        if isinstance(part, When):
            return self._lay(part.body, self._depending(part, here))
        if isinstance(part, Mapping):
            return self._cell(part, here)
        if isinstance(part, Repeat):
            return self._repeat(part, here)
        if isinstance(part, Wiring):
            return self._wiring(part, here)
        if isinstance(part, Maybe):
            if isinstance(part.body, Maybe | When):
                raise ValueError(f"{here.name} is optional twice; put the condition outside")
            number = self._decide(Categorical((False, True)), "exists", here)
            body = self._lay(part.body, here.under(number, frozenset({1})))
            return MaybeNode(here.guards, number, body)
        parameter = as_parameter(part, here.name)
        if parameter is None:
            raise ValueError(f"{here.name} is {part!r}, which is no part of a space")
        return LeafNode(here.guards, self._decide(parameter, "", here), parameter)

    def _cell(self, part: Mapping[Any, Part], here: _Here) -> Node:
        scope, parts = dict(here.scope), {}
        for key, body in part.items():
            if not isinstance(key, str) or not key or "." in key:
                raise ValueError(f"{key!r} cannot be a name: names are strings without dots")
            parts[key] = self._lay(body, here.inside(key, dict(scope)))
            scope.pop(key, None)
            number = _decides(parts[key])
            if number is not None:
                scope[key] = number
        return CellNode(here.guards, parts)

    def _repeat(self, part: Repeat, here: _Here) -> Node:
        depths = _numbers(part.depth, 0)
        if not depths or max(depths) < 1:
            raise ValueError(f"depth of {here.name} must be numbers of copies, not {part.depth!r}")
        number, copies = None, []
        if len(depths) > 1:
            number = self._decide(Categorical(depths), "depth", here)
        for i in range(max(depths)):
            own = replace(here, name=f"{here.name}.{i}", place=i, places=max(depths))
            copies.append(self._lay(part.body, own.where(number, depths, i)))
            if _is_ambiguous(copies[-1]):
                raise ValueError(f"{here.name} has null as a choice, which stands for no copy")
        return RepeatNode(here.guards, number, depths, tuple(copies))

    def _wiring(self, part: Wiring, here: _Here) -> Node:
        counts = _numbers(part.nodes, 2)
        if not counts:
            raise ValueError(f"nodes of {here.name} must be 2 or more, not {part.nodes!r}")
        pairs = [(i, j) for j in range(max(counts)) for i in range(j)]
        most = len(pairs) if part.edges is None else part.edges
        if type(most) is not int or most < max(counts) - 1:
            raise ValueError(
                f"edges of {here.name} must be {max(counts) - 1} or more, not {part.edges!r}: "
                "all nodes are on a way from input to output"
            )
        number = None
        if len(counts) > 1:
            number = self._decide(Categorical(counts), "nodes", here)
        bodies = {}
        if part.operations is not None:
            inside = here.inside("operations", here.scope)
            for i in range(1, max(counts) - 1):
                own = replace(
                    inside, name=f"{inside.name}.{i}", place=i - 1, places=max(counts) - 2
                )
                bodies[i] = self._within(part.operations, own.where(number, counts, i + 1))
        edges: dict[Pair, range] = {}
        on_edges: dict[Pair, Node] = {}
        inside, suffix = here.inside("edges", here.scope), "exists" * (part.on_edges is not None)
        for place, (i, j) in enumerate(pairs):
            own = replace(inside, name=f"{inside.name}.{i}>{j}", place=place, places=len(pairs))
            own, first = own.where(number, counts, j), len(self.decisions)
            exists = self._decide(Categorical((False, True)), suffix, own)
            if part.on_edges is not None:
                on_edges[i, j], _ = self._within(part.on_edges, own.under(exists, frozenset({1})))
            edges[i, j] = range(first, len(self.decisions))
        self.wirings.append(
            Wired(here.name, number, counts, tuple(own for _, own in bodies.values()), edges, most)
        )
        operations = tuple(node for node, _ in bodies.values())
        return WiringNode(here.guards, self.wirings[-1], operations, on_edges)

    def _within(self, part: Part, here: _Here) -> tuple[Node, range]:
        """Lay a part of a wiring; return its decisions, too."""
        first, known = len(self.decisions), len(self.wirings)
        node = self._lay(part, here)
        if len(self.wirings) > known:
            raise ValueError(f"{here.declared} has a wiring within a wiring")
        return node, range(first, len(self.decisions))

    def _depending(self, part: When, here: _Here) -> _Here:
        """Add what a part depends on, and what that depends on itself."""
        for key, wanted in part.conditions.items():
            if key not in here.scope:
                known = ", ".join(here.scope) or "nothing"
                raise ValueError(f"{here.name} depends on {key!r}; declared before it: {known}")
            number = here.scope[key]
            decision = self.decisions[number]
            if not decision.discrete:
                raise ValueError(f"{here.name} depends on {key!r}, which has no list of values")
            values = wanted if isinstance(wanted, list | tuple | set | frozenset) else [wanted]
            where = f"{here.name} depends on {key!r}, which"
            allowed = frozenset(code_of(decision.parameter, value, where) for value in values)
            for other, own in decision.guards.items():
                here = here.under(other, own)
            here = here.under(number, allowed)
        return here

    def _decide(self, parameter: Parameter, suffix: str, here: _Here) -> int:
        if len(self.decisions) >= MAX_DECISIONS:
            raise ValueError(f"a space has at most {MAX_DECISIONS:,} decisions")
        if suffix:
            here = here.inside(suffix, here.scope)
        self.decisions.append(
            Decision(here.name, here.declared, here.guards, here.place, here.places, parameter)
        )
        return len(self.decisions) - 1


def _numbers(value: Any, least: int) -> tuple[int, ...]:
    """Return one or several distinct numbers as a tuple; nothing if one is none, or too small."""
    own = tuple(value) if isinstance(value, Sequence) else (value,)
    good = all(type(n) is int and n >= least for n in own)
    return own if good and len(set(own)) == len(own) else ()


def _decides(node: Node) -> int | None:
    """Return the decision that a part's name means: its value, copies, or whether it exists."""
    if isinstance(node, LeafNode):
        return node.number
    if isinstance(node, RepeatNode):
        return node.depth
    if isinstance(node, WiringNode):
        return node.wired.count
    return node.choice if isinstance(node, MaybeNode) else None


def _is_ambiguous(copy: Node) -> bool:
    """Whether a list would show a choice of None just as a copy that does not exist."""
    optional = isinstance(copy, MaybeNode) and isinstance(copy.body, LeafNode)
    return optional and None in (copy.body.parameter.values or ())  # type: ignore[attr-defined]


def _values(parameter: Parameter) -> str:
    if isinstance(parameter, Categorical):
        return ", ".join(map(str, parameter.values))
    low, high = (getattr(parameter, end) for end in ("low", "high"))
    return f"{low} to {high}{', logarithmic' if getattr(parameter, 'log', False) else ''}"
