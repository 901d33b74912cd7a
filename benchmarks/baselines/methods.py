"""All methods by name, with the settings that they have everywhere."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from naslib_diffusion.benchmarks.baselines.bohb import BOHB
from naslib_diffusion.benchmarks.baselines.ednag import EDNAG
from naslib_diffusion.benchmarks.baselines.engine import Engine
from naslib_diffusion.benchmarks.baselines.evolution import RegularizedEvolution
from naslib_diffusion.benchmarks.baselines.gp_ucb import GPUCB
from naslib_diffusion.benchmarks.baselines.local_search import LocalSearch
from naslib_diffusion.benchmarks.baselines.method import Maker
from naslib_diffusion.benchmarks.baselines.nasbowl import NASBOWL
from naslib_diffusion.benchmarks.baselines.npenas import NPENAS
from naslib_diffusion.benchmarks.baselines.optuna_samplers import OptunaSampler
from naslib_diffusion.benchmarks.baselines.random_search import RandomSearch
from naslib_diffusion.benchmarks.baselines.reinforce import Reinforce


@dataclass(frozen=True)
class Entry:
    """A method.

    Attributes:
        make: its class, which takes space and seed, and the settings by name.
        source: where it is from.
        settings: the same for every table.
        start: whether it is told the random start; not if it knows other tasks.
        brief: whether it also sees short trainings, as `brief` and at `cost`.
    """

    make: Any
    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    start: bool = True
    brief: bool = False

    def maker(self) -> Maker:
        """Return what makes it of space and seed."""
        return partial(self.make, **self.settings)


_POOL = {"pool": 200, "parents": 5}
_OURS = partial(Entry, Engine)

METHODS: Mapping[str, Entry] = {
    "random": Entry(RandomSearch, "Li and Talwalkar, UAI 2019"),
    "evolution": Entry(
        RegularizedEvolution,
        "Real et al., AAAI 2019; settings of Dong and Yang, ICLR 2020",
        {"population": 10, "tournament": 3},
    ),
    "reinforce": Entry(
        Reinforce,
        "Williams, 1992; policy and settings of Dong et al., TPAMI 2021",
        {"rate": 0.01, "momentum": 0.9},
    ),
    "bohb": Entry(
        BOHB,
        "Falkner et al., ICML 2018; settings of Dong and Yang, ICLR 2020; trainings of 12 epochs "
        "count as 0.06 evaluations",
        {"samples": 4, "share": 0.15, "random": 0.0, "least": 0.3},
        brief=True,
    ),
    "ednag": Entry(
        EDNAG,
        "Zhou and Yu, arXiv:2504.17827; fitness is what is searched",
        {"population": 30, "steps": 100, "noise": 0.8, "mutated": 0.6, "spread": 5.0,
         "elites": 0.1, "diverse": 0.2},
    ),
    "local-search": Entry(LocalSearch, "White, Nolen and Savani, UAI 2021"),
    "tpe": Entry(
        OptunaSampler, "TPESampler of Optuna", {"sampler": "TPE", "n_startup_trials": 10}
    ),
    "gp-sampler": Entry(
        OptunaSampler, "GPSampler of Optuna", {"sampler": "GP", "n_startup_trials": 10}
    ),
    "gp-ucb": Entry(
        GPUCB, "Srinivas et al., ICML 2010; SingleTaskGP of BoTorch", {"deviations": 1.0, **_POOL}
    ),
    "nasbowl": Entry(NASBOWL, "Ru et al., ICLR 2021", {"depths": (0, 1, 2, 3), **_POOL}),
    "npenas": Entry(
        NPENAS,
        "Wei et al., TNNLS 2022",
        {"pool": 100, "parents": 10, "batch": 10, "width": 32, "layers": 3, "epochs": 300,
         "rate": 0.005},
    ),
    "bananas": Entry(
        Engine,
        "White et al., AAAI 2021: mutants of the best, as published",
        {"surrogate": "ensemble", "strategy": "mutation"},
    ),
    "bananas-guided": _OURS("BANANAS with guided generation", {"surrogate": "ensemble"}),
    "mutation": _OURS("our surrogate, mutants of the best", {"strategy": "mutation"}),
    "enumerate": _OURS("our surrogate, acquisition maximised exactly", {"strategy": "enumerate"}),
    "guided": _OURS("our defaults", {}),
    "guided-priors": _OURS(
        "our defaults with the priors that ship", {"prior": ("default",)}, start=False
    ),
}  # fmt: skip


def find(name: str) -> Entry:
    """Return a method by its name, or a user's own as `FILE.py:CLASS`.

    Raises:
        ValueError: if there is no such method, file or class; in one line.
    """
    if name in METHODS:
        return METHODS[name]
    file, _, attribute = name.rpartition(":")
    path = Path(file)
    if not (file.endswith(".py") and attribute):
        raise ValueError(f"unknown method {name!r}; known: {', '.join(METHODS)}, or FILE.py:CLASS")
    if not path.is_file():
        raise ValueError(f"there is no file {file}, of method {name}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, attribute):
        raise ValueError(f"{file} has no {attribute}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return Entry(getattr(module, attribute), f"{path.name}, {digest}")
