"""What failures cost: kills at random moments, disks that refuse, histories that break sums."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from naslib_diffusion.benchmarks.engine.bad_disks import look
from naslib_diffusion.benchmarks.engine.kill_cases import cases
from naslib_diffusion.benchmarks.engine.kills import measure
from naslib_diffusion.benchmarks.harness.common import (
    need_modules,
    out_option,
    save,
    several,
    show,
)

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


def fuzz(histories: int) -> Rows:
    """Tell histories that nobody would tell on purpose to searches, a fifth to the sampler."""
    need_modules("test", "hypothesis")
    from naslib_diffusion.benchmarks.engine.numerics import count, follow_sampler, follow_search

    laws = {"Search": (follow_search, histories), "sampler": (follow_sampler, histories // 5)}
    return [{"told to": name, **count(law, most, 0)} for name, (law, most) in laws.items()]


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
def main(
    parts: Sequence[str], kills: int, only: Sequence[str], histories: int, out: Path | None
) -> None:
    """Kill commands, take disks away, tell strange histories, and look at what that costs.

    Prints the tables of docs/reliability.md. Kills are compared with uninterrupted runs: finished
    evaluations that were lost or are there twice, other results, and files left behind.
    """
    measurements: dict[str, tuple[str, Callable[[], Rows]]] = {
        "kills": ("kill -9 at random moments", lambda: kill(kills, only)),
        "disks": ("folders that refuse", disks),
        "numerics": ("histories that nobody would tell on purpose", lambda: fuzz(histories)),
    }
    for name in parts or measurements:
        title, measurement = measurements[name]
        rows = measurement()
        show(title, rows)
        save(out, f"reliability_{name}", rows)
