"""Cells of NAS-Bench-201 as graphs of operations, for methods whose models look at graphs."""

from __future__ import annotations

from typing import Any

from naslib_diffusion.benchmarks.baselines.method import UnfitSpace

from naslib_diffusion.spaces import NASBench201, Space
from naslib_diffusion.spaces.equality import structure
from naslib_diffusion.spaces.nasbench201 import ADJACENCY, OPERATIONS, Cell

LABELS = ("input", *OPERATIONS, "output")
INPUT, OUTPUT = 0, 7
"""The first and the last of the eight nodes."""


def need_cells(space: Space[Any]) -> None:
    """Raise UnfitSpace if the architectures are no cells of NAS-Bench-201."""
    if not isinstance(structure(space), NASBench201):
        raise UnfitSpace(f"the graphs of {space.name} are not written for this method")


def live_graph(cell: Cell) -> tuple[dict[int, str], set[tuple[int, int]]]:
    """Return labels by node and the edges of what is left of a cell.

    Zeros are removed, skips contracted, and so is what lies on no path from input to output.
    """
    names = ["input", *(OPERATIONS[i] for i in cell.operations), "output"]
    edges = set(ADJACENCY)
    for node, name in enumerate(names):
        if name in ("none", "skip_connect"):
            before = [a for a, b in edges if b == node]
            after = [b for a, b in edges if a == node]
            edges = {edge for edge in edges if node not in edge}
            if name == "skip_connect":
                edges |= {(a, b) for a in before for b in after}
    live = _reached(INPUT, edges) & _reached(OUTPUT, {(b, a) for a, b in edges})
    live |= {INPUT, OUTPUT}
    labels = {node: names[node] for node in sorted(live)}
    return labels, {(a, b) for a, b in edges if a in live and b in live}


def _reached(start: int, edges: set[tuple[int, int]]) -> set[int]:
    found, todo = {start}, [start]
    while todo:
        node = todo.pop()
        new = {b for a, b in edges if a == node} - found
        found |= new
        todo += new
    return found
