"""The acquisition step on large spaces: guided generation against mutation and random ones.

The same search with the same surrogate, random start and number of candidates; only who proposes
the candidates differs (paper, Section 3.4).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
import torch
from naslib_diffusion.benchmarks.engine.landscapes import Quadratic
from naslib_diffusion.benchmarks.harness.common import (
    budget_option,
    data_option,
    need_files,
    out_option,
    processes_option,
    run_methods,
    save,
    seeds_option,
    several,
    show,
)
from naslib_diffusion.benchmarks.harness.searching import best_so_far
from naslib_diffusion.benchmarks.harness.statistics import Floats, paired
from naslib_diffusion.benchmarks.paper.ofa import FILE, AccuracyPredictor
from scipy.stats import binomtest

from naslib_diffusion.optimize.generator import GuidedGenerator
from naslib_diffusion.search import Search
from naslib_diffusion.search.strategies import STRATEGIES, GuidedStrategy, Request, Strategy
from naslib_diffusion.spaces import GPT, Budgeted, DeclaredSpace, MobileNetV3, Repeat, Space
from naslib_diffusion.spaces.declaration import Part
from naslib_diffusion.tables.hwgpt import perplexity

A = TypeVar("A", bound=Hashable)

SHARE = 0.2
"""Share of random architectures that are within the budget."""
DRAWN = 2000
"""Random architectures that tell where that is."""
WHERE = ("everywhere", "within")

METHODS: dict[str, Strategy] = {
    "guided": STRATEGIES["guided"],
    "generated": GuidedStrategy(polish=0),
    "mutation": STRATEGIES["mutation"],
    "mutation+random": STRATEGIES["mutation+random"],
    "random": STRATEGIES["random"],
}
"""Who proposes; "generated" is guided generation without the polish of its best."""

Evaluate = Callable[[Sequence[Any]], list[float]]


@dataclass(frozen=True)
class Problem:
    """A space, what is to be maximised, and the cost that a budget limits."""

    space: Any
    evaluate: Evaluate
    cost: str


def transformers(scale: str, data: Path | None) -> Problem:
    """Perplexity of HW-GPT-Bench's transformers, to be minimised."""
    name = f"hwgpt_perplexity_{scale}.safetensors"
    space, predict = GPT(scale), perplexity(need_files(data, name), scale)

    def evaluate(archs: Sequence[Any]) -> list[float]:
        with torch.no_grad():
            values: list[float] = (-predict(space.encode(archs))).tolist()
        return values

    return Problem(space, evaluate, "params")


def subnets(data: Path | None) -> Problem:
    """ImageNet accuracy of Once-for-all's sub-networks by its own predictor."""
    return Problem(MobileNetV3(), AccuracyPredictor(need_files(data, FILE)), "flops")


def stages(data: Path | None) -> Problem:
    """Three stages of two to five layers of three settings: 3e21, and a made-up objective."""
    layer: dict[str, Part] = {
        "kernel": [3, 5, 7],
        "width": [16, 32, 64],
        "activation": ["relu", "gelu", "swish"],
    }
    parts = {f"stage{i}": Repeat(layer, depth=range(2, 6)) for i in range(3)}
    work = {f"stage{i}.width": lambda width: width**2 for i in range(3)}
    space = DeclaredSpace(parts, name="stages", costs={"work": work})
    return Problem(space, Quadratic(space), "work")


PROBLEMS: dict[str, Callable[[Path | None], Problem]] = {
    "gpt-s": lambda data: transformers("s", data),
    "gpt-m": lambda data: transformers("m", data),
    "mobilenetv3": subnets,
    "stages": stages,
}


def searched(problem: Problem, where: str) -> Space[Any]:
    """Return where to search: all of a space, or the cheapest `SHARE` of it."""
    space: Space[Any] = problem.space
    if where == "everywhere":
        return space
    drawn = space.sample(DRAWN, torch.Generator().manual_seed(0))
    costs = [problem.space.cost(arch, problem.cost) for arch in drawn]
    return Budgeted(space, problem.cost, at_most=float(np.quantile(costs, SHARE)))


def run(
    name: str, data: Path | None, where: str, method: str, seed: int, budget: int
) -> list[float]:
    """Search once; return the best value, to be maximised, after each evaluation."""
    torch.manual_seed(seed)
    problem = PROBLEMS[name](data)
    search = Search(searched(problem, where), strategy=METHODS[method], seed=seed)
    best: list[float] = best_so_far(search, lambda arch: problem.evaluate([arch])[0], budget)
    return best


def reached(
    name: str, data: Path | None, where: str, method: str, seed: int, budget: int
) -> list[float]:
    """Return the best acquisition value among a method's candidates, after `budget` evaluations.

    These are the same for all methods: of a search by mutation and random candidates.
    """
    torch.manual_seed(seed)
    problem = PROBLEMS[name](data)
    space, probe = searched(problem, where), _Probe(METHODS[method])
    before = Search(space, strategy=METHODS["mutation+random"], seed=seed)
    best_so_far(before, lambda arch: problem.evaluate([arch])[0], budget)
    search = Search(space, strategy=probe, seed=seed)
    search.tell([t.arch for t in before.trials], [t.value for t in before.trials])
    search.ask()
    return [probe.best]


class _Probe:
    """A strategy that keeps what the acquisition function says of the best candidate."""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy, self.best = strategy, math.nan

    def propose(self, generator: GuidedGenerator[A], request: Request) -> list[A]:
        """Propose what the strategy does."""
        found = self._strategy.propose(generator, request)
        with torch.no_grad():
            values = request.acquisition(generator.space.encode(found).to(generator.device))
        self.best = float(values.max())
        return found


PARTS = {"searches": run, "step": reached}
"""What is measured: the best value of whole searches, or the acquisition value of one step."""


@click.command()
@data_option
@out_option
@click.option(
    "--part",
    type=click.Choice(list(PARTS)),
    default="searches",
    show_default=True,
    help="Best value of whole searches, or best acquisition value of one step after them.",
)
@several("--problem", PROBLEMS, "Space and objective")
@several("--where", WHERE, f"All of the space, or what the cheapest {SHARE:.0%} cost", "both")
@several("--method", METHODS, "Who proposes candidates", "all but generated")
@seeds_option(default=10)
@budget_option(default=60)
@processes_option
def main(
    data: Path | None,
    out: Path | None,
    part: str,
    problems: Sequence[str],
    wheres: Sequence[str],
    methods: Sequence[str],
    seeds: int,
    budget: int,
    processes: int,
) -> None:
    """Compare guided generation, mutation and random candidates on large spaces.

    All of them find candidates for the same surrogate.
    """
    chosen = tuple(methods) or tuple(method for method in METHODS if method != "generated")
    for name in problems or PROBLEMS:
        PROBLEMS[name](data)  # says at once what is missing
    curves: dict[str, dict[str, Floats]] = {}
    for name, where in itertools.product(problems or PROBLEMS, wheres or WHERE):
        title = f"{name}, {where}"
        one = functools.partial(PARTS[part], name, data, where, budget=budget)
        curves[title] = run_methods(one, chosen, seeds, processes, title)
        rows = rows_of(curves)
        save(out, f"steps_{part}", rows, seeds=seeds, budget=budget)
        save(out, f"steps_{part}_runs", runs_of(curves), seeds=seeds, budget=budget)
    notes = [
        f"w-t-l: wins, ties and losses of {chosen[0]} over seeds, halfway and after {budget}",
        "p: Wilcoxon's signed-rank test, paired by seed, two-sided; of all problems together, the "
        "sign test over problems and seeds without ties",
    ]
    title = "Best value" if part == "searches" else "Best acquisition value of candidates"
    show(f"{title}, mean of {seeds} seeds", rows, notes)


def runs_of(curves: Mapping[str, Mapping[str, Floats]]) -> list[dict[str, object]]:
    """Return the best value after each evaluation of each search, a row each."""
    return [
        {"problem": title, "method": method, "seed": seed, "best": " ".join(map(str, curve))}
        for title, own in curves.items()
        for method, values in own.items()
        for seed, curve in enumerate(values.tolist())
    ]


def rows_of(curves: Mapping[str, Mapping[str, Floats]]) -> list[dict[str, object]]:
    """Return a row for each problem and method, and one for each method of all problems."""
    rows: list[dict[str, object]] = []
    totals: dict[str, dict[str, list[float]]] = {}
    for title, own in curves.items():
        first = next(iter(own))
        for method, values in own.items():
            row: dict[str, object] = {"problem": title, "method": method}
            for when, place in _places(values).items():
                row[when] = f"{values[:, place].mean():.4f}"
                differences = own[first][:, place] - values[:, place]
                p = f"{paired(own[first][:, place], values[:, place]):.3f}"
                row |= _counted(when, differences, p) if method != first else _counted(when)
                if method != first:
                    totals.setdefault(method, {}).setdefault(when, []).extend(differences)
            rows.append(row)
    for method, differences_of in totals.items():
        row = {"problem": "all", "method": method}
        for when, found in differences_of.items():
            row |= {when: ""} | _counted(when, found, _sign_test(found))
        rows.append(row)
    return rows


def _places(curves: Floats) -> dict[str, int]:
    """Return which steps of curves to look at."""
    half = {"half": curves.shape[1] // 2 - 1} if curves.shape[1] > 1 else {}
    return half | {"end": -1}


def _sign_test(differences: Sequence[float]) -> str:
    wins, losses = (sum(sign * d > 0 for d in differences) for sign in (1, -1))
    return f"{binomtest(wins, wins + losses).pvalue:.1g}" if wins + losses else "1"


def _counted(when: str, differences: Sequence[float] = (), p: str = "") -> dict[str, object]:
    """Count wins, ties and losses; nothing of the first method against itself."""
    signs = [int(np.sign(d)) for d in differences]
    counts = "-".join(str(signs.count(sign)) for sign in (1, 0, -1)) if signs else ""
    return {f"{when}: w-t-l": counts, f"{when}: p": p}


if __name__ == "__main__":
    main()
