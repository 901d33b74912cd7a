"""What each part of the engine is worth: the same searches without it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np
import torch
from naslib_diffusion.benchmarks.engine.ablation_parts import PARTS
from naslib_diffusion.benchmarks.engine.problems import FREE, PROBLEMS, load, regrets
from naslib_diffusion.benchmarks.harness.common import (
    VALIDATION_TASKS,
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

CHOSEN = (*VALIDATION_TASKS, "kernel/dedispersion_MI250X", "stages", "gpt-m", "mobilenetv3")
"""Small and large spaces, and a kernel of those on which settings were chosen."""
GROUPS = {
    "transnas": ("paths", "summary"),
    "nasbench201": ("paths", "summary"),
    "nasbenchgraph": ("counts", "counts by depth", "pairs in sequence", "outputs"),
    "gpt": ("size", "layers", "summary"),
    "stages": ("depths", "layers", "summary"),
    "mobilenetv3": ("layers", "stages", "network"),
}
"""What each group of features of a space tells, by the first word of a problem's name."""
NOTES = [
    "Regret: the gap to the best there is (of large spaces: that was found here), in units of "
    "that of the median random architecture; means over seeds.",
    "wins-ties-losses: of the whole engine against it, by the regret at the end, then halfway; "
    "p: Wilcoxon's signed-rank test at the end, paired by seed and two-sided; in the rows of all "
    "problems together, over problems and seeds.",
    "The kernel of GPU kernels' parameters has no groups of features; only cells have priors "
    "that ship.",
]


def kept_run(
    name: str, data: Path | None, part: str, seed: int, budget: int, folder: Path | None
) -> list[float]:
    """Search once, or read the same search where it is kept in a folder."""
    file = f"{name}__{part}__{seed}__{budget}.json".replace("/", "-").replace(" ", "-")
    asked = {"problem": name, "part": part, "seed": seed, "budget": budget}
    path = None if folder is None else folder / file
    found = kept(path, asked, lambda: {"best": run(name, data, part, seed, budget)})
    return found["best"]  # type: ignore[no-any-return]


def run(name: str, data: Path | None, part: str, seed: int, budget: int) -> list[float]:
    """Search once; return the best value after each evaluation, -inf while all fail."""
    torch.manual_seed(seed)
    problem, own = load(name, data), PARTS[part]
    with own.scale():
        search = own.search(problem.space, seed)
        found: list[float] = problem.search(
            lambda: search.ask()[0], lambda arch, value: search.tell([arch], [value]), budget
        )
    return found


def rows_of(found: Mapping[str, Mapping[str, Floats]]) -> list[dict[str, object]]:
    """Return a row for each problem and part, and one for each part of all problems.

    Args:
        found: regrets by problem and part, `seeds x budget` each.
    """
    rows = []
    for name, own in found.items():
        rows += [row_of(name, part, [own["whole"]], [own[part]]) for part in own]
    if len(found) == 1:
        return rows
    for part in dict.fromkeys(part for own in found.values() for part in own):
        if PARTS[part].missing is not None:  # each space has groups of its own
            continue
        those = [own for own in found.values() if part in own]
        rows.append(row_of("all", part, [o["whole"] for o in those], [o[part] for o in those]))
    return rows


def row_of(
    name: str, part: str, whole: Sequence[Floats], without: Sequence[Floats]
) -> dict[str, object]:
    """Return the mean regret, and how often the whole engine was better."""
    a, b = np.concatenate(whole), np.concatenate(without)
    half = a.shape[1] // 2
    says, missing = PARTS[part].says, PARTS[part].missing
    says = says if missing is None else f"{says}: {GROUPS[re.split('[/-]', name)[0]][missing]}"
    row: dict[str, object] = {"problem": name, "engine": part, "it is": says}
    row |= {f"regret at {half}": f"{b[:, half - 1].mean():.3f}"}
    row |= {f"at {a.shape[1]}": f"{b[:, -1].mean():.3f}"}
    signs = [np.sign(y - x) or np.sign(v - u) for x, y, u, v in ends(a, b, half)]
    counts = "-".join(str(signs.count(sign)) for sign in (1, 0, -1))
    p = f"{paired(a[:, -1], b[:, -1]):.3f}"
    blank = part == "whole"
    return row | {"wins-ties-losses": "" if blank else counts, "p": "" if blank else p}


def ends(a: Floats, b: Floats, half: int) -> list[tuple[float, float, float, float]]:
    """Return the regrets of both at the end and halfway, for each seed."""
    columns = (a[:, -1], b[:, -1], a[:, half - 1], b[:, half - 1])
    return list(zip(*(column.tolist() for column in columns), strict=True))


@click.command()
@data_option
@out_option
@several(
    "--problem",
    PROBLEMS,
    "What is searched",
    f"{', '.join(CHOSEN)}; without --data, all that need none",
)
@several("--part", PARTS, "What is left out or added")
@seeds_option(default=10)
@budget_option(default=40)
@processes_option
def main(
    data: Path | None,
    out: Path | None,
    problems: Sequence[str],
    parts: Sequence[str],
    seeds: int,
    budget: int,
    processes: int,
) -> None:
    """Leave out each part of the engine in turn, on small and large spaces.

    With --out, each search is kept in a file of its own, and the same command goes on where it
    was stopped.
    """
    names = problems or (CHOSEN if data else FREE)
    chosen = dict.fromkeys(["whole", *(parts or PARTS)])
    folder = None if out is None else out / "runs"
    if folder is not None:
        folder.mkdir(exist_ok=True)
    jobs = [
        (name, data, part, seed, budget, folder)
        for seed in range(seeds)
        for name in names
        for part in chosen
        if PARTS[part].fits(load(name, data).space)
    ]
    found = run_all(kept_run, jobs, processes, "searches")
    curves: dict[str, dict[str, list[list[float]]]] = {}
    for (name, _, part, *_), curve in zip(jobs, found, strict=True):
        curves.setdefault(name, {}).setdefault(part, []).append(curve)
    rows = rows_of(
        {
            name: regrets(load(name, data), {part: np.array(c) for part, c in own.items()})
            for name, own in curves.items()
        }
    )
    show(f"What parts of the engine are worth, {seeds} seeds", rows, NOTES)
    save(out, "ablation", rows, notes=NOTES, seeds=seeds, budget=budget)


if __name__ == "__main__":
    main()
