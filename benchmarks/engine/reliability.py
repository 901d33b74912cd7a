"""What failures cost: kills at random moments, disks that refuse, histories that break sums."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from naslib_diffusion.benchmarks.engine.bad_disks import look
from naslib_diffusion.benchmarks.engine.kill_cases import cases
from naslib_diffusion.benchmarks.engine.kills import measure
from naslib_diffusion.benchmarks.harness.common import (
    need_modules,
    out_option,
    processes_option,
    run_all,
    save,
    several,
    show,
)
from naslib_diffusion.benchmarks.harness.kept import kept

LOT = 250
"""Histories that are drawn, and kept, together."""

Rows = list[dict[str, object]]


def kill(kills: int, only: Sequence[str]) -> Rows:
    """Kill commands so often at random moments, those named or all."""
    rows = Rows()
    with tempfile.TemporaryDirectory() as name:
        known = cases(Path(name))
        unknown = set(only).difference(case.name for case in known)
        if unknown:
            names = "; ".join(case.name for case in known)
            raise click.UsageError(f"--only {unknown.pop()!r} is none of: {names}")
        for case in known:
            if not only or case.name in only:
                found = measure(case, Path(name) / f"killed {case.name}", kills)
                rows.append({"command": case.name, **vars(found)})
                click.echo(f"{case.name}: {vars(found)}", err=True)
    return rows


def disks() -> Rows:
    """Bring a search into trouble with its folder."""
    with tempfile.TemporaryDirectory() as name:
        (case,) = (case for case in cases(Path(name)) if case.name == "search")
        rows: Rows = look(case, Path(name) / "disks")
        return rows


def fuzz(histories: int, out: Path | None, processes: int) -> Rows:
    """Tell histories that nobody would tell on purpose to searches, a fifth to the sampler."""
    need_modules("test", "hypothesis")
    told = {"Search": histories, "sampler": histories // 5}
    jobs = [
        (name, min(LOT, most - first), first, out)
        for name, most in told.items()
        for first in range(0, most, LOT)
    ]
    found = run_all(_lot, jobs, processes, f"lots of {LOT} histories")
    rows: Rows = []
    for name, most in told.items():
        own = [f for (n, *_), f in zip(jobs, found, strict=True) if n == name]
        broken = [f["broken"] for f in own if f["broken"] != "none"]
        seconds = sum(f["CPU seconds"] for f in own)
        rows.append(
            {
                "told to": name,
                "histories": most,
                "broken": broken or "none",
                "CPU seconds": seconds,
            }
        )
    return rows


def _lot(name: str, histories: int, first: int, out: Path | None) -> dict[str, Any]:
    """Tell some histories, or read what is kept of that."""
    from naslib_diffusion.benchmarks.engine.numerics import count, follow_sampler, follow_search

    law = {"Search": follow_search, "sampler": follow_sampler}[name]
    path = None if out is None else out / f"histories_{name}_{first}_runs.json"
    asked = {"told to": name, "histories": histories, "first": first}
    found: dict[str, Any] = kept(
        path,
        asked,
        lambda: count(law, histories, first),
        enough=lambda own: bool(own["broken"] == "none"),  # what broke is to be mended
    )
    return found


@click.command()
@several("--part", ["kills", "disks", "numerics"], "What to measure")
@click.option(
    "--kills",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="How many times to kill each command.",
)
@click.option(
    "--only",
    metavar="NAME",
    multiple=True,
    help="Commands to kill; may be given several times.  [default: all]",
)
@click.option(
    "--histories",
    type=click.IntRange(min=5),
    default=10_000,
    show_default=True,
    help="How many histories to tell searches; the sampler gets a fifth.",
)
@out_option
@processes_option
def main(
    parts: Sequence[str],
    kills: int,
    only: Sequence[str],
    histories: int,
    out: Path | None,
    processes: int,
) -> None:
    """Kill commands, take disks away, tell strange histories, and look at what that costs.

    Prints the tables of docs/reliability.md. Kills are compared with uninterrupted runs: finished
    evaluations that were lost or are there twice, other results, and files left behind. With
    --out, histories are kept in lots, and the same command goes on where it was stopped.
    """
    measurements: dict[str, tuple[str, Callable[[], Rows]]] = {
        "kills": ("kill -9 at random moments", lambda: kill(kills, only)),
        "disks": ("folders that refuse", disks),
        "numerics": (
            "histories that nobody would tell on purpose",
            lambda: fuzz(histories, out, processes),
        ),
    }
    for name in parts or measurements:
        title, measurement = measurements[name]
        rows = measurement()
        show(title, rows)
        save(out, f"reliability_{name}", rows)
