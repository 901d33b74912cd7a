"""The package's plan: which room may use which, and that no two modules import each other."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "naslib_diffusion"

LAYERS = (
    "runtime",
    "spaces",
    "diffusion",
    "surrogates",
    "optimize",
    "search",
    "tables",
    "runs",
    "transfer",
    "report",
    "commands",
    "cli",
    "__main__",
)
"""From the bottom to the top: a room uses itself and the rooms before it."""
BESIDE = {
    "testing": "search",
    "checkpoints": "runtime",
    "plugins": "report",
    "benchmarks": "cli",
}
"""Rooms beside the stack, with the highest layer that they may use."""
TOP = {"__init__", "__main__", "cli"}
"""Modules of no room."""


def sources() -> dict[str, Path]:
    """Return every module of the package by its dotted name, wherever its folder lies."""
    found = {}
    for folder, prefix in (
        (PACKAGE, PACKAGE),
        ("plugins", f"{PACKAGE}.plugins"),
        ("benchmarks", f"{PACKAGE}.benchmarks"),
    ):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if "hub" in parts:  # a package of OptunaHub's own form
                continue
            name = ".".join((prefix, *parts)).removesuffix(".__init__")
            found[name] = path
    return found


SOURCES = sources()


def imports(name: str) -> set[str]:
    """Return the package's modules that one imports, those inside functions and for types too."""
    found = set()
    for node in ast.walk(ast.parse(SOURCES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {n if n in SOURCES else node.module for n in whole}
    return {n for n in found if n in SOURCES and n not in (name, PACKAGE)}


def room(name: str) -> str:
    return [*name.split("."), "__init__"][1]


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_no_arrow_leads_up(name: str) -> None:
    here = room(name)
    if here == "__init__":
        return  # the public names, which are imported on first use
    highest = LAYERS.index(BESIDE.get(here, here))
    for other in imports(name):
        there = room(other)
        if there == here or (here == "commands" and there in ("plugins", "benchmarks")):
            continue
        assert there in LAYERS or there == "plugins" or BESIDE.get(there) in LAYERS
        level = LAYERS.index(BESIDE.get(there, there))
        assert level <= highest, f"{name} ({here}) must not use {other} ({there})"


def test_no_circle() -> None:
    """Raises CycleError, which names the modules, if there is one."""
    graph = {name: imports(name) for name in SOURCES if room(name) != "__init__"}
    order = list(TopologicalSorter(graph).static_order())
    assert len(order) >= len(graph)


def test_nothing_lies_loose_at_the_top() -> None:
    loose = {path.stem for path in (ROOT / PACKAGE).glob("*.py")}
    assert loose <= TOP
