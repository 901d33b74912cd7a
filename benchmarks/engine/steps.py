"""The acquisition step on every space at hand: guided generation against what others do there.

The paper's comparison (Section 3.4) in one table: guided generation, mutants of the best, random
candidates, both by halves, and exact maximisation, all for the same surrogate; and BANANAS and
GP-UCB, which have surrogates of their own. All of them begin with the same random architectures.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
import torch
from naslib_diffusion.benchmarks.baselines.engine import Engine
from naslib_diffusion.benchmarks.baselines.method import Maker
from naslib_diffusion.benchmarks.baselines.methods import find
from naslib_diffusion.benchmarks.engine.problems import FREE, PROBLEMS, load, regrets
from naslib_diffusion.benchmarks.harness.common import (
    budget_option,
    data_option,
    out_option,
    processes_option,
    run_all,
    save,
    seeds_option,
    several,
    show,
)
from naslib_diffusion.benchmarks.harness.kept import kept
from naslib_diffusion.benchmarks.harness.statistics import Floats, paired
from scipy.stats import binomtest

from naslib_diffusion.optimize.enumeration import is_enumerable
from naslib_diffusion.optimize.generator import GuidedGenerator
from naslib_diffusion.search import Search
from naslib_diffusion.search.strategies import STRATEGIES, GuidedStrategy, Request, Strategy
from naslib_diffusion.spaces import Space

A = TypeVar("A", bound=Hashable)

START = 10
"""Random architectures that every search is told first."""
SURE = 0.05
"""A difference with a smaller p is marked."""
STEPS: dict[str, Strategy] = {
    "guided": STRATEGIES["guided"],
    "generated": GuidedStrategy(polish=0),
    **{name: STRATEGIES[name] for name in ("mutation", "mutation+random", "random", "enumerate")},
}
"""Who proposes; "generated" is guided generation without the polish of its best."""
METHODS: dict[str, Maker] = {
    **{name: functools.partial(Engine, strategy=own) for name, own in STEPS.items()},
    **{name: find(name).maker() for name in ("bananas", "bananas-guided", "gp-ucb")},
}
NOTES = [
    "In parentheses: wins-ties-losses of guided generation over seeds; * where Wilcoxon's "
    f"signed-rank test, paired by seed and two-sided, has p < {SURE}. Of all problems together: "
    "over problems and seeds, and p of the sign test.",
    "enumerate maximises the acquisition function exactly, where a space can be listed. On cells "
    "of TransNAS-Bench-101, which are a list, guided generation does the same.",
    "bananas: mutants of the best for an ensemble of networks (White et al., AAAI 2021); "
    "bananas-guided: guided generation for the same ensemble; gp-ucb: BoTorch's Gaussian process "
    "on encodings, half mutants and half random candidates.",
]
REGRET_NOTE = (
    "Regret: the gap to the best there is (of spaces that cannot be listed: that was found here), "
    "in units of that of the median random architecture; means over seeds."
)
STEP_NOTE = (
    "By how much the acquisition value (the logarithm of the expected improvement) of the best "
    "candidate falls short of that of any method; means over seeds. All steps follow the same "
    "evaluations."
)


def run(name: str, data: Path | None, method: str, seed: int, budget: int) -> list[float]:
    """Search once; return the best value, to be maximised, after each evaluation.

    A failure counts as the worst value so far for methods that know none.
    """
    torch.manual_seed(seed)
    problem = load(name, data)
    made = METHODS[method](problem.space, seed)
    start = problem.space.sample(START, torch.Generator().manual_seed(seed))
    asked = itertools.chain(start, iter(made.ask, None))
    seen: list[float] = []

    def tell(arch: Any, value: float) -> None:
        if not math.isnan(value):
            seen.append(value)
        if isinstance(made, Engine) or not math.isnan(value):
            made.tell(arch, value)
        elif seen:
            made.tell(arch, min(seen))

    found: list[float] = problem.search(lambda: next(asked), tell, budget)
    return found


def reached(name: str, data: Path | None, method: str, seed: int, budget: int) -> list[float]:
    """Return the best acquisition value among a method's candidates, after `budget` evaluations.

    These are the same for all methods: of a search by mutation and random candidates.
    """
    torch.manual_seed(seed)
    problem = load(name, data)
    before = Search(problem.space, strategy="mutation+random", seed=seed, device="cpu")
    for _ in range(budget):
        (arch,) = before.ask()
        before.tell([arch], [problem.evaluate(arch)])
    probe = _Probe(STEPS[method])
    search = Search(problem.space, strategy=probe, seed=seed, device="cpu")
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


PARTS: dict[str, Callable[..., list[float]]] = {"searches": run, "step": reached}
"""What is measured: whole searches, or the acquisition value of one step."""


def kept_run(
    part: str, name: str, data: Path | None, method: str, seed: int, budget: int, out: Path | None
) -> list[float]:
    """Measure once, or read the same where it is kept in a folder."""
    file = f"{part}__{name}__{method}__{seed}__{budget}.json".replace("/", "-")
    asked = {"part": part, "problem": name, "method": method, "seed": seed, "budget": budget}
    found = kept(
        None if out is None else out / "runs" / file,
        asked,
        lambda: {"values": PARTS[part](name, data, method, seed, budget)},
    )
    values: list[float] = found["values"]
    return values


def fits(method: str, space: Space[Any]) -> bool:
    """Whether a method can search a space."""
    return method != "enumerate" or is_enumerable(space)


def shortfalls(curves: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return by how much each falls short of the best of all, seed by seed: `seeds x values`."""
    best = np.max(list(curves.values()), axis=0)
    return {method: best - own for method, own in curves.items()}


@click.command()
@data_option
@out_option
@click.option(
    "--part",
    type=click.Choice(list(PARTS)),
    default="searches",
    show_default=True,
    help="Regret of whole searches, or acquisition value of one step after them.",
)
@several("--problem", PROBLEMS, "What is searched", "all that need no --data, or all with it")
@several("--method", METHODS, "Who proposes candidates; the first is compared with the others")
@seeds_option(default=10)
@budget_option(default=40)
@processes_option
def main(
    data: Path | None,
    out: Path | None,
    part: str,
    problems: Sequence[str],
    methods: Sequence[str],
    seeds: int,
    budget: int,
    processes: int,
) -> None:
    """Compare guided generation with other acquisition steps, on spaces from small to huge.

    With --out, each search is kept in a file of its own, and the same command goes on where it
    was stopped.
    """
    names = tuple(problems or (PROBLEMS if data else FREE))
    those = STEPS if part == "step" else [name for name in METHODS if name != "generated"]
    chosen = tuple(methods or those)
    if part == "step" and not set(chosen) <= set(STEPS):
        raise click.UsageError(f"--part step knows the methods {', '.join(STEPS)}")
    if out is not None:
        (out / "runs").mkdir(exist_ok=True)
    jobs = [
        (part, name, data, method, seed, budget, out)
        for seed in range(seeds)
        for name, method in itertools.product(names, chosen)
        if fits(method, load(name, data).space)
    ]
    found = run_all(kept_run, jobs, processes, "searches")
    curves: dict[str, dict[str, list[list[float]]]] = {}
    for (_, name, _, method, *_), values in zip(jobs, found, strict=True):
        curves.setdefault(name, {}).setdefault(method, []).append(values)
    arrays = {name: {m: np.array(v) for m, v in own.items()} for name, own in curves.items()}
    if part == "step":
        lost, notes = {name: shortfalls(own) for name, own in arrays.items()}, [STEP_NOTE, *NOTES]
        rows = rows_of({budget: lost}, chosen, data)
    else:
        lost = {name: regrets(load(name, data), own) for name, own in arrays.items()}
        notes = [REGRET_NOTE, *NOTES]
        rows = rows_of({end: until(end, lost) for end in (budget // 2, budget)}, chosen, data)
    show(f"Steps of acquisition: {part}, {seeds} seeds", rows, notes)
    save(out, f"steps_{part}", rows, notes=notes, seeds=seeds, budget=budget)


def until(end: int, lost: Mapping[str, Mapping[str, Floats]]) -> dict[str, dict[str, Floats]]:
    """Return regrets up to an evaluation, by problem and method."""
    return {name: {m: own[:, :end] for m, own in each.items()} for name, each in lost.items()}


def rows_of(
    found: Mapping[int, Mapping[str, Mapping[str, Floats]]],
    methods: Sequence[str],
    data: Path | None,
) -> list[dict[str, object]]:
    """Return a row for each number of evaluations and problem, and for problems together.

    Args:
        found: what is to be small, after so many evaluations, by problem and method; the last
            column counts: `seeds x values` each.
        methods: the columns; the first is compared with the others.
        data: folder of files.
    """
    rows = []
    for after, problems in found.items():
        for name, own in problems.items():
            size = load(name, data).space.size
            row: dict[str, object] = {"after": after, "problem": name}
            row |= {"architectures": "" if size is None else f"{size:.3g}"}
            rows.append(row | {method: _cell(own, methods[0], method) for method in methods})
        for title, names in _groups(problems, data).items():
            some = {name: problems[name] for name in names}
            together = {"after": after, "problem": title, "architectures": ""}
            rows.append(together | {m: _total(some, methods[0], m) for m in methods})
    return rows


def _groups(names: Iterable[str], data: Path | None) -> dict[str, list[str]]:
    """Return the problems that are counted together."""
    listed = [name for name in names if is_enumerable(load(name, data).space)]
    others = [name for name in names if name not in listed]
    both = {"all that can be listed": listed, "all too large for that": others}
    return (both if listed and others else {}) | {"all": [*listed, *others]}


def _cell(own: Mapping[str, Floats], first: str, method: str) -> str:
    """Return the mean of a method, and how the first did against it."""
    if method not in own:
        return "-"
    a, b = own[first][:, -1], own[method][:, -1]
    mean = f"{b.mean():.3f}"
    if method == first:
        return mean
    return f"{mean} ({_counts(b - a)}{'*' if paired(a, b) < SURE else ''})"


def _total(problems: Mapping[str, Mapping[str, Floats]], first: str, method: str) -> str:
    """Return the counts over problems and seeds, and p of the sign test."""
    both = [own for own in problems.values() if method in own]
    if method == first or not both:
        return ""
    differences = np.concatenate([own[method][:, -1] - own[first][:, -1] for own in both])
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    p = float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
    return f"{_counts(differences)}, p {p:.1g}"


def _counts(differences: Floats) -> str:
    """Return how many are positive, zero and negative."""
    return "-".join(str(int((np.sign(differences) == sign).sum())) for sign in (1, 0, -1))


if __name__ == "__main__":
    main()
