"""The page of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from naslib_diffusion.benchmarks.baselines.methods import METHODS, find
from naslib_diffusion.benchmarks.compare.summary import Row, Runs, best_so_far, facts_of
from naslib_diffusion.benchmarks.compare.tasks import Task, signed
from naslib_diffusion.benchmarks.harness.provenance import command

from naslib_diffusion.report.comparison import Panel, render_comparison
from naslib_diffusion.runtime.files import write_atomically


def write_page(
    out: Path,
    tasks: Sequence[Task],
    tables: Sequence[Sequence[Row]],
    runs: Runs,
    budget: int,
    reference: str,
    ranked: tuple[Sequence[Row], float],
    notes: Sequence[str],
) -> None:
    """Write `compare.html`: curves, tables, ranks, settings and where the data are."""
    known = dict.fromkeys(m for _, m in runs)
    strong = [m for m in known if m == reference or m not in METHODS]
    methods = [*strong, *(m for m in known if m not in strong)]
    panels = []
    for task, rows in zip(tasks, tables, strict=True):
        curves = {
            m: signed(task.searched, best_so_far(task, runs[task.name, m], budget))
            for m in methods
            if (task.name, m) in runs
        }
        start = max(
            run["start"] for (name, _), own in runs.items() if name == task.name for run in own
        )
        panels.append(Panel(task.name, task.searched, start, curves, rows))
    seeds = len(next(iter(runs.values())))
    page = render_comparison(
        title=f"{len(methods)} methods on {len(tasks)} table{'s' * (len(tasks) > 1)}",
        lead=f"The best value found so far, {seeds} seeds each: medians, and for some the middle "
        "half of the seeds. All methods start from the same random architectures, but those that "
        "know other tasks, which have none.",
        panels=panels,
        methods=methods,
        strong=strong,
        ranks=ranked,
        notes=notes,
        sources=[(m, find(m).source, dict(find(m).settings)) for m in methods],
        facts=facts_of(runs),
        command=command(),
    )
    write_atomically(out / "compare.html", page.encode())
