"""Maximising acquisition functions over discrete and mixed spaces, beside BoTorch's optimizers."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import torch
from naslib_diffusion.benchmarks.harness.common import out_option, save, several, show
from naslib_diffusion.benchmarks.hosts.acquisition_growth import growth
from naslib_diffusion.benchmarks.hosts.acquisition_peers import (
    Optimizer,
    Outcome,
    diffusion,
    enumeration,
    genetic,
    hill_climbing,
    local_search,
    measure,
    mixed_alternating,
)
from naslib_diffusion.benchmarks.hosts.acquisition_problems import (
    ACQUISITIONS,
    CASES,
    Case,
    acquisition,
    fitted,
)
from tqdm import tqdm

OURS = "diffusion"
PARTS: dict[str, Optimizer] = {
    OURS: diffusion(),
    "with generator": diffusion(generate=True),
    "without generator": diffusion(generate=False),
    "without polish": diffusion(generate=True, polish=False),
}
TOLERANCE = 1e-6
"""Values that differ by less, relative to their size, are equal."""

Row = dict[str, object]


def peers(case: Case, full: bool) -> dict[str, Optimizer]:
    """Return the optimizers to compare with; BoTorch's with its default effort if `full`.

    Otherwise those whose default takes minutes get one or two restarts.
    """
    found: dict[str, Optimizer] = {"genetic 100x60": genetic}
    small = case.nodes * case.operations <= 64 and not case.reals
    few = (2, 256) if case.nodes <= 20 else (1, 64)
    restarts, raw = (20, 4096) if small or full else few
    alternating = (20, 1024) if small or full else (2, 256)
    if small:
        found["discrete (all)"] = enumeration
    if not case.reals:
        found[f"local_search({restarts}, {raw})"] = local_search(restarts, raw)
    if not case.reals and (case.nodes <= 20 or full):
        found["16-start local search"] = hill_climbing
    if case.nodes <= 20 or full:
        found["mixed_alternating({}, {})".format(*alternating)] = mixed_alternating(*alternating)
    return found


def compare(
    case: Case,
    names: Sequence[str],
    q: int,
    seeds: Sequence[int],
    optimizers: Mapping[str, Optimizer],
) -> dict[tuple[str, str], list[Outcome]]:
    """Run all optimizers on the same problems; outcomes by acquisition function and optimizer."""
    outcomes: dict[tuple[str, str], list[Outcome]] = {}
    for seed in tqdm(seeds, desc=f"{case.name}, q={q}"):
        model, x = fitted(case, seed)
        for name in names:
            function = acquisition(name, model, x)
            with torch.no_grad():
                function(x[:2, None])  # GPyTorch computes its caches in the first call
            for label, optimizer in optimizers.items():
                found = measure(optimizer, case, function, q, seed)
                outcomes.setdefault((name, label), []).append(found)
    return outcomes


def summary(case: Case, q: int, outcomes: Mapping[tuple[str, str], list[Outcome]]) -> list[Row]:
    """Return one row for each acquisition function and optimizer."""
    rows = []
    for name, label in outcomes:
        mine = outcomes[name, label]
        others = [v for (n, key), v in outcomes.items() if n == name and key not in PARTS]
        everyone = [v for (n, _), v in outcomes.items() if n == name]
        best = [max(run[i].value for run in everyone) for i in range(len(mine))]
        gaps = [b - o.value for b, o in zip(best, mine, strict=True)]
        hits = sum(g <= TOLERANCE * max(1, abs(b)) for g, b in zip(gaps, best, strict=True))
        row: Row = {
            "case": f"{case.name}, q={q}",
            "function": name,
            "optimizer": label,
            "best": f"{hits}/{len(mine)}",
            "mean gap": f"{statistics.fmean(gaps):.4f}",
            "CPU s": f"{statistics.median(o.seconds for o in mine):.3f}",
            "evaluations": f"{statistics.median(o.evaluations for o in mine):.0f}",
            "valid": f"{100 * statistics.fmean(_valid(case, o.candidates) for o in mine):.0f} %",
        }
        if q > 1:
            row["diversity"] = f"{statistics.fmean(_diversity(case, o) for o in mine):.2f}"
        if label == OURS and others:
            row |= _against(mine, others)
        rows.append(row)
    keys = dict.fromkeys(key for row in rows for key in row)
    return [{key: row.get(key, "") for key in keys} for row in rows]


def _against(mine: Sequence[Outcome], others: Sequence[Sequence[Outcome]]) -> Row:
    """Compare with the best of the others, and with the fastest of those that reach the value."""
    high, ratios, fewer = 0, [], 0
    for i, own in enumerate(mine):
        slack = TOLERANCE * max(1.0, abs(own.value))
        high += own.value >= max(run[i].value for run in others) - slack
        equal = [run[i] for run in others if run[i].value >= own.value - slack]
        if equal:
            ratios.append(own.seconds / min(o.seconds for o in equal))
            fewer += own.evaluations < min(o.evaluations for o in equal)
    return {
        "at least all others": f"{high}/{len(mine)}",
        "time / fastest equal": f"{statistics.median(ratios):.2f}" if ratios else "none equal",
        "fewer evaluations": f"{fewer}/{len(ratios)}",
    }


def _valid(case: Case, candidates: torch.Tensor) -> float:
    """Return the share of candidates that are points of the space."""
    hot = candidates[:, : case.nodes * case.operations].view(len(candidates), case.nodes, -1)
    good = ((hot == 0) | (hot == 1)).all(-1).all(-1) & (hot.sum(-1) == 1).all(-1)
    share: float = good.double().mean().item()
    return share


def _diversity(case: Case, outcome: Outcome) -> float:
    """Return the mean share of choices in which two candidates of a batch differ."""
    hot = outcome.candidates[:, : case.nodes * case.operations]
    q = len(hot)
    same: float = ((hot @ hot.T).sum() - hot.square().sum()).item()
    share: float = same / (q * (q - 1) * case.nodes)
    return 1 - share


@click.command()
@out_option
@several("--case", CASES, "Space and size to measure")
@click.option(
    "--function",
    "names",
    multiple=True,
    type=click.Choice(ACQUISITIONS),
    help="Acquisition function to maximise; may be given several times.  [default: all]",
)
@click.option(
    "--problems",
    default=10,
    show_default=True,
    help="Number of random problems of each case, or size.",
)
@click.option(
    "--first-seed",
    default=0,
    show_default=True,
    help="First seed of the problems; those below 100 were used to choose the defaults.",
)
@click.option(
    "--parts/--no-parts",
    default=True,
    help="Whether to measure ours without each of its phases, too.",
)
@click.option(
    "--batch",
    default=1,
    show_default=True,
    help="Number of points that are chosen together (q); above 1, of qLogNEI only.",
)
@click.option(
    "--peer",
    "wanted",
    multiple=True,
    help="Measure, beside ours, only the optimizers whose names begin so.",
)
@click.option(
    "--full", is_flag=True, help="Measure all peers, with their default effort, which takes hours."
)
@click.option(
    "--growth-only", is_flag=True, help="Measure only how the time grows with nodes x operations."
)
def main(
    out: Path | None,
    cases: tuple[str, ...],
    names: tuple[str, ...],
    problems: int,
    first_seed: int,
    parts: bool,
    batch: int,
    wanted: tuple[str, ...],
    full: bool,
    growth_only: bool,
) -> None:
    """Maximise acquisition functions, and compare value, evaluations and CPU time with BoTorch's.

    All optimizers run in the same process, with one thread.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    if growth_only:
        growth(out, problems)
        return
    ours = PARTS if parts else {OURS: PARTS[OURS]}
    seeds = range(first_seed, first_seed + problems)
    for case in (CASES[name] for name in cases or CASES):
        chosen = ("qLogNEI",) if batch > 1 else names or ACQUISITIONS
        others = peers(case, full)
        if wanted:
            others = {name: o for name, o in others.items() if name.startswith(wanted)}
        if batch > 1:
            others = {name: o for name, o in others.items() if name.startswith("local_search")}
        outcomes = compare(case, chosen, batch, seeds, ours | others)
        found = summary(case, batch, outcomes)
        show(f"{case.name}: {case.points} points, {problems} problems", found)
        name = "_".join(["acquisition", case.name, f"q{batch}", *names])
        save(out, name, found, problems=problems, first_seed=first_seed, full=full)


if __name__ == "__main__":
    main()
