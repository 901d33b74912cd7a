"""A declaration laid out: its decisions in order, when each exists, and how they nest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from naslib_diffusion.spaces.declaration import Maybe, Part, Repeat, When, as_parameter
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

    def under(self, number: int, allowed: frozenset[int]) -> _Here:
        guards = dict(self.guards)
        guards[number] = guards.get(number, allowed) & allowed
        return replace(self, guards=guards)


class Layout:
    """The decisions of a declaration, and the tree that they hang in.

    Args:
        declaration: see `naslib_diffusion.spaces.declaration`.

    Raises:
        ValueError: that says which part is wrong.
    """

    def __init__(self, declaration: Part) -> None:
        if not isinstance(declaration, Mapping) or not declaration:
            raise ValueError("a space is declared by a mapping of names to parts")
        self.names = tuple(declaration)
        self.decisions: list[Decision] = []
        self.root = self._lay(declaration, _Here("", "", {}, {}, None, 1))

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield name, values and conditions of what was declared, once for all copies."""
        seen = set()
        for decision in self.decisions:
            if decision.declared not in seen:
                seen.add(decision.declared)
                times = "" if decision.place is None else f" x {decision.places}"
                conditions = [self._condition(*guard) for guard in decision.guards.items()]
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
        depths = (part.depth,) if isinstance(part.depth, int) else tuple(part.depth)
        if not depths or not all(type(d) is int and d >= 0 for d in depths) or max(depths) < 1:
            raise ValueError(f"depth of {here.name} must be numbers of copies, not {part.depth!r}")
        number, copies = None, []
        if len(depths) > 1:
            number = self._decide(Categorical(depths), "depth", here)
        for i in range(max(depths)):
            own = replace(here, name=f"{here.name}.{i}", place=i, places=max(depths))
            if number is not None and i >= min(depths):
                own = own.under(number, frozenset(k for k, d in enumerate(depths) if d > i))
            copies.append(self._lay(part.body, own))
            if _is_ambiguous(copies[-1]):
                raise ValueError(f"{here.name} has null as a choice, which stands for no copy")
        return RepeatNode(here.guards, number, depths, tuple(copies))

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


def _decides(node: Node) -> int | None:
    """Return the decision that a part's name means: its value, copies, or whether it exists."""
    if isinstance(node, LeafNode):
        return node.number
    if isinstance(node, RepeatNode):
        return node.depth
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
