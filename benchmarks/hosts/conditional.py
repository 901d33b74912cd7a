"""Conditional spaces in Optuna: parameters that exist under others only."""

from __future__ import annotations

import functools
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import optuna
from naslib_diffusion.benchmarks.harness.common import (
    budget_option,
    need_modules,
    out_option,
    processes_option,
    run_methods,
    save,
    seeds_option,
    several,
    show,
)
from naslib_diffusion.benchmarks.harness.statistics import Floats, paired
from naslib_diffusion.plugins.optuna import DiffusionNAGSampler, suggest
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from naslib_diffusion.spaces import DeclaredSpace, Integer, Real, When

Outcome = tuple[float, Sequence[float]]
"""What is to be minimised, and constraints, which are met if not positive."""
Evaluate = Callable[[Mapping[str, Any]], Outcome]


@dataclass(frozen=True)
class Problem:
    """A conditional space, what is to be minimised, and how sb-arch-opt writes the values."""

    space: DeclaredSpace
    evaluate: Evaluate
    vector: Callable[[Mapping[str, Any]], list[float]] = lambda values: []


BRANCHES: Mapping[str, Mapping[str, Any]] = {
    "kernel": {"scale": Real(1e-3, 1e3, log=True), "noise": Real(1e-6, 1.0, log=True)},
    "forest": {"trees": Integer(10, 1000, log=True), "share": Real(0.1, 1.0)},
    "network": {"activation": ["relu", "gelu", "tanh", "sine"], "decay": Real(0.0, 0.5)},
    "neighbours": {"count": Integer(1, 33, step=2), "power": Integer(1, 4)},
    "linear": {"penalty": ["l1", "l2", "both", "none"], "loss": ["huber", "square", "absolute"]},
}
"""The parameters of each of five methods."""
CENTRES = {
    "kernel": (0.3, 0.7, 0.4),
    "forest": (0.0, 0.6, 0.8),
    "network": (0.5, 0.25, 0.2),
    "neighbours": (0.9, 0.5, 1 / 3),
    "linear": (0.2, 0.75, 0.5),
}
"""Where each method is at its best: the share of data, and its own parameters, from 0 to 1."""
FLOORS = {"kernel": 0.05, "forest": 0.12, "network": 0.0, "neighbours": 0.3, "linear": 0.2}
"""The best value of each method."""
ORDERS = (0.75, 0.0, 0.5, 0.25), (0.5, 0.0, 1.0)
"""Places of choices from 0 to 1, by how many there are: not in the order in which they stand."""


def branches() -> Problem:
    """Five methods with two parameters each, and one that all share: twelve; the least is 0."""
    shared = Real(0.1, 1.0)
    own = {
        f"{branch}_{name}": When(part, method=branch)
        for branch, parts in BRANCHES.items()
        for name, part in parts.items()
    }
    space = DeclaredSpace({"method": list(BRANCHES), "share": shared, **own}, name="branches")

    def evaluate(values: Mapping[str, Any]) -> Outcome:
        branch = values["method"]
        parts: dict[str, Any] = {"share": shared} | {
            f"{branch}_{name}": part for name, part in BRANCHES[branch].items()
        }
        places = [_place(part, values[name]) for name, part in parts.items()]
        a, b, c = (x - centre for x, centre in zip(places, CENTRES[branch], strict=True))
        return FLOORS[branch] + a * a + b * b + c * c + b * c + 0.5 * a * b, ()

    return Problem(space, evaluate)


def _place(part: Any, value: Any) -> float:
    """Return where a value lies between the least and the largest, from 0 to 1."""
    if isinstance(part, list):
        order = next(order for order in ORDERS if len(order) == len(part))
        return order[part.index(value)]
    low, high, own = part.low, part.high, value
    if part.log:
        low, high, own = math.log(low), math.log(high), math.log(value)
    return float((own - low) / (high - low))


def _jenatton() -> Problem:
    own = {
        "x1": [0, 1],
        "x2": When([0, 1], x1=0),
        "x3": When([0, 1], x1=1),
        "x4": When(Real(0, 1), x2=0),
        "x5": When(Real(0, 1), x2=1),
        "x6": When(Real(0, 1), x3=0),
        "x7": When(Real(0, 1), x3=1),
        "r8": When(Real(0, 1), x1=0),
        "r9": When(Real(0, 1), x1=1),
    }
    return _by_sb_arch_opt("Jenatton", own, lambda v: [v.get(name, 0) for name in own])


def _goldstein() -> Problem:
    own = {
        "w1": [0, 1, 2, 3],
        "w2": [0, 1],
        "x1": Real(0, 100),
        "x2": Real(0, 100),
        "x3": When(Real(0, 100), w1=[1, 3]),
        "x4": When(Real(0, 100), w1=[2, 3]),
        "x5": When(Real(0, 100), w2=1),
        "z1": When(Integer(0, 2), w1=[0, 2]),
        "z2": When(Integer(0, 2), w1=[0, 1]),
        "z3": Integer(0, 2),
        "z4": Integer(0, 2),
    }
    order = [name for name in own if name not in ("w1", "w2")] + ["w1", "w2"]
    return _by_sb_arch_opt(
        "HierarchicalGoldstein", own, lambda v: [v.get(name, 0) for name in order]
    )


def _rosenbrock() -> Problem:
    low, high = Real(-1.0, 0.5), Real(0.0, 1.5)
    own = {
        "w": [0, 1, 2, 3],  # its two choices, w1 and w2, since x3 depends on both
        "x1": low,
        "x2": high,
        "x3": When(low, w=[0, 1, 2]),
        "x4": When(high, w=[0, 1, 2]),
        "x5": When(low, w=[1, 3]),
        "x6": When(high, w=[1, 3]),
        "x7": When(low, w=[1, 2, 3]),
        "x8": When(high, w=[1, 2, 3]),
        "z1": Integer(0, 1),
        "z2": Integer(0, 1),
        "z3": When(Integer(0, 2), w=[1, 3]),
    }

    def vector(values: Mapping[str, Any]) -> list[float]:
        rest = [values.get(name, 0) for name in own if name != "w"]
        return [*rest, values["w"] // 2, values["w"] % 2]

    return _by_sb_arch_opt("HierarchicalRosenbrock", own, vector)


def _by_sb_arch_opt(
    name: str, declaration: Mapping[str, Any], vector: Callable[[Mapping[str, Any]], list[float]]
) -> Problem:
    """Return a hierarchical problem of sb-arch-opt (Bussemaker, JOSS 2023).

    Args:
        name: of its class.
        declaration: its design space.
        vector: writes values as the problem's design vector; what does not exist is imputed there.
    """
    from sb_arch_opt.problems import hierarchical  # type: ignore[import-not-found,unused-ignore]

    problem = getattr(hierarchical, name)()

    def evaluate(values: Mapping[str, Any]) -> Outcome:
        out = problem.evaluate(np.array([vector(values)], dtype=float), return_as_dictionary=True)
        limits = out["G"][0].tolist() if out.get("G") is not None else []
        return float(out["F"][0, 0]), limits

    return Problem(DeclaredSpace(declaration, name=name), evaluate, vector)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "branches": branches,
    "jenatton": _jenatton,
    "goldstein": _goldstein,
    "rosenbrock": _rosenbrock,
}
"""The first is our own, the others are of sb-arch-opt."""

REGISTRY = "OPTUNAHUB_REGISTRY"
"""Environment variable with a checkout of OptunaHub's registry; downloaded unless it is set."""


def hierarchical(_: DeclaredSpace, seed: int) -> BaseSampler:
    """OptunaHub's TPE that samples groups of parameters under the values of others."""
    import optunahub

    name, registry = "samplers/hierarchical_tpe", os.environ.get(REGISTRY)
    module = (
        optunahub.load_local_module(name, registry_root=str(Path(registry) / "package"))
        if registry
        else optunahub.load_module(name)
    )
    sampler: BaseSampler = module.HierarchicalTPESampler(seed=seed)
    return sampler


SAMPLERS: dict[str, Callable[[DeclaredSpace, int], BaseSampler]] = {
    "diffusion": lambda space, seed: DiffusionNAGSampler(space=space, seed=seed),
    "diffusion, groups": lambda _, seed: DiffusionNAGSampler(
        group=True, seed=seed, warn_independent_sampling=False
    ),
    "TPE, groups": lambda _, seed: TPESampler(multivariate=True, group=True, seed=seed),
    "TPE": lambda _, seed: TPESampler(seed=seed),
    "hierarchical TPE": hierarchical,
    "random": lambda _, seed: RandomSampler(seed=seed),
}
"""Ours is told the space, or finds groups of parameters that occur together, as TPE does."""


def run(name: str, sampler: str, seed: int, budget: int) -> list[float]:
    """Optimise once; return the best feasible value after each trial, infinite before any."""
    warnings.filterwarnings("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = PROBLEMS[name]()
    study = optuna.create_study(sampler=SAMPLERS[sampler](problem.space, seed))
    best: list[float] = []

    def objective(trial: optuna.Trial) -> float:
        suggest(trial, problem.space)
        value, limits = problem.evaluate(trial.params)
        for i, limit in enumerate(limits):
            trial.set_constraint(f"g{i}", limit)
        feasible = all(limit <= 0 for limit in limits)
        best.append(min([value if feasible else math.inf, *best[-1:]]))
        return value

    study.optimize(objective, n_trials=budget)
    return best


@click.command()
@out_option
@several("--problem", PROBLEMS, "Conditional problem")
@several("--sampler", SAMPLERS, "Sampler to compare", "all but hierarchical TPE")
@seeds_option(default=10)
@budget_option(default=50)
@processes_option
def main(
    out: Path | None,
    problems: Sequence[str],
    samplers: Sequence[str],
    seeds: int,
    budget: int,
    processes: int,
) -> None:
    """Compare Optuna's samplers with ours where parameters exist only under some conditions."""
    names = problems or tuple(PROBLEMS)
    chosen = samplers or tuple(name for name in SAMPLERS if name != "hierarchical TPE")
    if set(names) != {"branches"}:
        need_modules("conditional", "sb_arch_opt")
    rows: list[dict[str, object]] = []
    for name in names:
        one = functools.partial(run, name, budget=budget)
        curves = run_methods(one, chosen, seeds, processes, name)
        rows += _rows(name, curves, budget)
        save(out, "conditional", rows, seeds=seeds, budget=budget)
    note = f"p: Wilcoxon's signed-rank test against {chosen[0]}, paired by seed, two-sided"
    show(f"Best feasible value, to be minimised, median of {seeds} seeds", rows, [note])


def _rows(name: str, curves: Mapping[str, Floats], budget: int) -> list[dict[str, object]]:
    """Return a row for each sampler; infinite values count as worse than all others."""
    steps = [n for n in (budget // 2, budget) if n]
    first = next(iter(curves.values()))
    rows = []
    for sampler, values in curves.items():
        row: dict[str, object] = {"problem": name, "sampler": sampler}
        row |= {f"at {n}": f"{np.median(values[:, n - 1]):.4g}" for n in steps}
        last = np.stack([first[:, -1], values[:, -1]])
        worst = np.max(last, where=np.isfinite(last), initial=0.0) + 1
        a, b = np.where(np.isfinite(last), last, worst)
        row["wins-ties-losses"] = f"{(a < b).sum()}-{(a == b).sum()}-{(a > b).sum()}"
        row["p"] = "" if values is first else f"{paired(a, b):.3f}"
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
