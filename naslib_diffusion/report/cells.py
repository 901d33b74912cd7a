"""Architectures as pictures: what the template needs to draw a cell, or to list its decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.equality import structure
from naslib_diffusion.spaces.nasbench201 import OPERATIONS, Cell
from naslib_diffusion.spaces.nasbench201_features import EDGES
from naslib_diffusion.spaces.variables import Spelled

LABELS = {
    "none": "none",
    "skip_connect": "skip",
    "nor_conv_1x1": "conv 1×1",  # noqa: RUF001 - a multiplication sign it is
    "nor_conv_3x3": "conv 3×3",  # noqa: RUF001
    "avg_pool_3x3": "pool 3×3",  # noqa: RUF001
}

NODES = ((26.0, 150.0), (186.0, 150.0), (346.0, 150.0), (506.0, 150.0))
"""Centres of the four nodes. Nodes are on a line; longer edges are arcs above and below it."""

RADIUS = 20.0
Decided = list[tuple[str, Any]]
"""Decisions of an architecture: their names, and what was decided."""

ABSENT = "absent"
"""Stands for the value of a decision that does not exist in an architecture."""

LISTED = 24
"""Most decisions that are listed in words."""

GAP = 6.0
"""Room for the arrow head before a node."""

_APEXES = {(0, 2): 84.0, (1, 3): 216.0, (0, 3): 22.0}


@dataclass(frozen=True)
class Edge:
    """One edge of a drawing: an SVG path, and where its label goes."""

    operation: str
    label: str
    path: str
    x: float
    y: float


def draw_cell(arch: Any) -> list[Edge] | None:
    """Return the edges of a NAS-Bench-201 cell, those without operation first; else None."""
    if not isinstance(arch, Cell):
        return None
    edges = [
        _edge(source, target, OPERATIONS[operation])
        for operation, (source, target) in zip(arch.operations, EDGES, strict=True)
    ]
    # drawn first, so that faint edges are below the others
    return sorted(edges, key=lambda edge: edge.operation != "none")


def _edge(source: int, target: int, operation: str) -> Edge:
    (x0, y0), (x1, y1) = NODES[source], NODES[target]
    apex = _APEXES.get((source, target))
    if apex is None:
        path = f"M{x0 + RADIUS:.0f} {y0:.0f} L{x1 - RADIUS - GAP:.0f} {y1:.0f}"
        return Edge(operation, LABELS[operation], path, (x0 + x1) / 2 - GAP / 2, y0)
    side = -1 if apex < y0 else 1
    # leave and reach the rim of the nodes at an angle; the outermost arc is the steepest
    across, up = (0.66, 0.75) if abs(apex - y0) < 100 else (0.2, 0.98)
    start = (x0 + across * RADIUS, y0 + side * up * RADIUS)
    end = (x1 - across * (RADIUS + GAP), y1 + side * up * (RADIUS + GAP))
    # the middle of a cubic curve is 3/4 of the way to its control points
    pull = (apex - (start[1] + end[1]) / 8) * 4 / 3
    lean = 0.16 * (x1 - x0)
    path = (
        f"M{start[0]:.1f} {start[1]:.1f} C{x0 + lean:.1f} {pull:.1f} "
        f"{x1 - lean:.1f} {pull:.1f} {end[0]:.1f} {end[1]:.1f}"
    )
    return Edge(operation, LABELS[operation], path, (x0 + x1) / 2, apex)


def named_decisions(space: Space[Any], arch: Any) -> Decided:
    """Return the decisions of an architecture, by name where the space has names; none if it is
    of a kind that has no list of them."""
    if isinstance(arch, Cell):
        return [
            (f"{source} → {target}", LABELS[OPERATIONS[operation]])
            for operation, (source, target) in zip(arch.operations, EDGES, strict=True)
        ]
    values = getattr(arch, "values", None)
    if not isinstance(values, tuple):
        return _spelled(structure(space), arch)
    names = getattr(structure(space), "names", None) or [
        f"decision {i}" for i in range(len(values))
    ]
    return [(str(name), value) for name, value in zip(names, values, strict=True)]


def _spelled(space: Space[Any], arch: Any) -> Decided:
    """Return the value of each variable of a space that tells them, `ABSENT` where it has none."""
    if not isinstance(space, Spelled):
        return []
    values = space.spell(arch)
    return [(v.name, values.get(v.name, ABSENT)) for v in space.variables]


def decisions(space: Space[Any], arch: Any) -> list[tuple[str, str]]:
    """List the decisions that exist in words; of many, there is only the architecture."""
    named = [(name, value) for name, value in named_decisions(space, arch) if value != ABSENT]
    if not named or len(named) > LISTED:
        named = [("architecture", arch)]
    return [(name, str(value)) for name, value in named]
