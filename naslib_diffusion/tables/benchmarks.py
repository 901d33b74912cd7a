"""Benchmarks by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from naslib_diffusion.spaces.gpt import SCALES
from naslib_diffusion.tables.analog import OBJECTIVES, analog
from naslib_diffusion.tables.apis import DATASETS, nasbench201_api, nats_bench
from naslib_diffusion.tables.hwgpt import hwgpt
from naslib_diffusion.tables.nasbench201 import FILES, nasbench201
from naslib_diffusion.tables.nasbenchgraph import GRAPHS, nasbenchgraph
from naslib_diffusion.tables.table import Table, TableError

_WITH_FILE = ("nasbench201-api/", "nats-bench/", "hwgpt/")


class _Loader(Protocol):
    def __call__(self) -> Table[Any]: ...


def _loaders(api_file: str | Path | None) -> dict[str, _Loader]:
    loaders: dict[str, _Loader] = {}
    loaders.update({f"nasbench201/{name}": partial(nasbench201, name) for name in FILES})
    loaders.update({f"analog/{name}": partial(analog, name) for name in OBJECTIVES})
    loaders.update({f"nasbenchgraph/{name}": partial(nasbenchgraph, name) for name in GRAPHS})
    for prefix, load in (("nasbench201-api", nasbench201_api), ("nats-bench", nats_bench)):
        loaders.update(
            {f"{prefix}/{name}": partial(load, name, api_file or "") for name in DATASETS}
        )
    loaders.update({f"hwgpt/{name}": partial(hwgpt, name, api_file or "") for name in SCALES})
    return loaders


def benchmark_names() -> tuple[str, ...]:
    """Return the names that `benchmark` knows."""
    return tuple(_loaders(None))


def space_name(benchmark: str) -> str:
    """Return the name of a benchmark's space, without loading it."""
    family, _, name = benchmark.partition("/")
    return {"nasbenchgraph": family, "hwgpt": f"gpt-{name}"}.get(family, "nasbench201")


def benchmark(name: str, *, api_file: str | Path | None = None) -> Table[Any]:
    """Return a benchmark by its name.

    Args:
        name: one of `benchmark_names()`.
        api_file: the user's data file, which `nasbench201-api/...`, `nats-bench/...` and
            `hwgpt/...` need.

    Raises:
        TableError: if the name is unknown, or a package or file is missing.
    """
    loaders = _loaders(api_file)
    if name not in loaders:
        raise TableError(f"unknown benchmark {name!r}; {_advice(name, tuple(loaders))}")
    needs_file = name.startswith(_WITH_FILE)
    if needs_file and not api_file:
        raise TableError(f"benchmark {name} needs its data file or folder (--data)")
    if api_file and not needs_file:
        raise TableError(f"benchmark {name} takes no data file (--data)")
    return loaders[name]()


def _advice(name: str, known: Sequence[str]) -> str:
    """Suggest the name that is nearest, with or without its prefix, or list all."""
    full = {known_name.rpartition("/")[2]: known_name for known_name in reversed(known)}
    full |= {known_name: known_name for known_name in known}
    near = difflib.get_close_matches(name.lower(), full, n=1)
    return f"did you mean {full[near[0]]}?" if near else f"known: {_grouped(known)}"


def _grouped(names: Iterable[str]) -> str:
    """Write a/x, a/y, b/z as a/{x,y}, b/{z}."""
    groups: dict[str, list[str]] = {}
    for name in names:
        prefix, _, rest = name.partition("/")
        groups.setdefault(prefix, []).append(rest)
    return ", ".join(f"{prefix}/{{{','.join(rest)}}}" for prefix, rest in groups.items())
