"""What `kill -9` at random moments costs: evaluations lost or made twice, other results."""

from __future__ import annotations

import csv
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from naslib_diffusion.benchmarks.harness.common import out_option, save, show
from PIL import Image
from safetensors import safe_open

from naslib_diffusion.runtime.files import PART
from naslib_diffusion.spaces import NASBench201

PROGRAM = (sys.executable, "-m", "naslib_diffusion.cli")
EARLY = 0.2
"""Share of the kills that come at any time from the start; the others come after some progress."""
POLL = 0.01
LIMIT = 600
"""Seconds after which a process counts as hanging."""


@dataclass(frozen=True)
class Case:
    """A command that is killed.

    Attributes:
        name: of the command.
        args: that start it, but for `--out`.
        resume: that go on, beside these.
        out: what it writes, below the folder of the measurement.
        log: file that grows or changes while it works.
        rows: whether `log` is one of finished evaluations, which must all be kept.
        result: what must be that of an uninterrupted run.
    """

    name: str
    args: Sequence[str]
    resume: Sequence[str]
    out: str
    log: str
    rows: bool
    result: Callable[[Path], object]


@dataclass
class Count:
    """What became of a command."""

    kills: int = 0
    runs: int = 0
    lost: int = 0
    twice: int = 0
    failed: int = 0
    differing: int = 0
    left: int = 0


def cases(folder: Path) -> list[Case]:
    """Return small runs of the commands; their tables and images are made in a folder."""
    cells = folder / "cells.csv"
    space = NASBench201()
    some = list(space)[::53]
    lines = [f"{cell},{space.cost(cell, 'params')}" for cell in some]
    cells.write_text("\n".join(["arch,params", *lines]) + "\n")
    for label in range(2):
        (folder / "images" / str(label)).mkdir(parents=True, exist_ok=True)
        for i in range(24):
            image = Image.linear_gradient("L").rotate(90 * label + i).resize((8, 8))
            image.save(folder / "images" / str(label) / f"{i}.png")
    table = ("--table", str(cells), "--objective", "params", "--seeds", "2", "--budget", "30")
    images = ("--data", str(folder / "images"), "--size", "8", "--epochs", "6", "--threads", "1")
    small = ("--channels", "2", "--cells", "1", "--batch-size", "8", "--budget", "6")
    return [
        Case("search", ("search", *table), ("--resume",), "search", "trials.csv", True,
             lambda out: (out / "trials.csv").read_bytes()),
        Case("transfer", ("transfer", *images, *small), ("--resume",), "transfer", "trials.csv",
             True, lambda out: (out / "trials.csv").read_bytes()),
        Case("zero-cost", ("zero-cost", "--space", "nasbench201", "--count", "60", "--size", "8"),
             (), "prior.safetensors", "prior.safetensors.scores.csv", True, _tensors),
        Case("train", ("train", "--steps", "400", "--batch-size", "32", "--measure", "0"),
             ("--resume",), "net.safetensors", "net.safetensors.state", False, _tensors),
    ]  # fmt: skip


def measure(case: Case, folder: Path, kills: int, seed: int = 0) -> Count:
    """Kill a command so often at random moments, and go on each time; compare what comes out."""
    chance, count = random.Random(seed), Count()
    whole = folder / "whole" / case.out
    whole.parent.mkdir(parents=True)
    start = time.monotonic()
    _finish(case, whole, resumed=False)
    span = time.monotonic() - start
    while count.kills < kills:
        out = folder / f"{count.runs}" / case.out
        out.parent.mkdir()
        count.runs += 1
        _killed_until_done(case, out, count, kills, span, chance)
        count.differing += case.result(out) != case.result(whole)
        count.twice += _repeated(case, out)
        count.left += len(list(out.parent.rglob(f".*{PART}")))
    return count


def _killed_until_done(
    case: Case, out: Path, count: Count, kills: int, span: float, chance: random.Random
) -> None:
    """Run a command to its end, with kills on the way."""
    resumed = False
    while count.kills < kills:
        before = _logged(case, out)
        process = _start(case, out, resumed)
        if chance.random() < EARLY:
            _wait(process, span * chance.random())
        else:
            _wait(process, LIMIT, _mark(case, out))
            _wait(process, span * chance.random() / 4)
        process.kill()
        process.communicate()
        if process.returncode == 0:
            return
        count.kills += process.returncode == -9
        count.failed += process.returncode != -9
        after = _logged(case, out)
        count.lost += len(before) if after[: len(before)] != before else 0
        resumed = _can_resume(case, out)
        if _done(case, out):
            return
    _finish(case, out, resumed)


def _start(case: Case, out: Path, resumed: bool) -> subprocess.Popen[bytes]:
    command = [*PROGRAM, *case.args, *(case.resume if resumed else ()), "--out", str(out)]
    return subprocess.Popen([*command, "--quiet"], stderr=subprocess.PIPE)


def _finish(case: Case, out: Path, resumed: bool) -> None:
    process = _start(case, out, resumed)
    _, errors = process.communicate(timeout=LIMIT)
    if process.returncode:
        raise click.ClickException(f"{case.name} did not go on: {errors.decode()[-500:]}")


def _wait(
    process: subprocess.Popen[bytes], seconds: float, mark: Callable[[], bool] = lambda: False
) -> None:
    """Wait until a process ends, a mark is reached or the time is over."""
    end = time.monotonic() + seconds
    while process.poll() is None and not mark() and time.monotonic() < end:
        time.sleep(POLL)


def _mark(case: Case, out: Path) -> Callable[[], bool]:
    """Return whether a log has changed since now."""
    path = _log(case, out)

    def stamp() -> object:
        return path.stat().st_mtime_ns if path.exists() else None

    first = stamp()
    return lambda: stamp() != first


def _log(case: Case, out: Path) -> Path:
    return out.with_name(case.log) if out.suffix else out / case.log


def _logged(case: Case, out: Path) -> list[list[str]]:
    """Return the whole rows of a log of evaluations."""
    path = _log(case, out)
    if not case.rows or not path.exists():
        return []
    text = path.read_text()
    return list(csv.reader(text[: text.rfind("\n") + 1].splitlines()))


def _repeated(case: Case, out: Path) -> int:
    """Return how many evaluations of a finished run are there twice."""
    rows = [tuple(row[:-1]) for row in _logged(case, out)]
    return len(rows) - len(set(rows))


def _can_resume(case: Case, out: Path) -> bool:
    """Whether there is something to go on with: a run in a folder, or the state of a training."""
    return (out / "settings.json").exists() if not out.suffix else _log(case, out).exists()


def _done(case: Case, out: Path) -> bool:
    """Whether the command was killed after its last word."""
    return bool(out.suffix) and out.exists() and not _log(case, out).exists()


def _tensors(out: Path) -> object:
    with safe_open(out, framework="np") as file:
        return {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118


@click.command()
@click.option(
    "--kills",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="How many times to kill each command.",
)
@click.option("--only", metavar="NAME", multiple=True, help="Commands to kill.  [default: all]")
@out_option
def main(kills: int, only: Sequence[str], out: Path | None) -> None:
    """Kill commands at random moments, go on, and compare with uninterrupted runs.

    Prints the table of docs/reliability.md: kills, finished evaluations that were lost or are
    there twice, runs that differ from an uninterrupted one, and files left behind.
    """
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for case in cases(Path(name)):
            if only and case.name not in only:
                continue
            folder = Path(name) / case.name
            count = measure(case, folder, kills)
            rows.append({"command": case.name, **vars(count)})
            click.echo(f"{case.name}: {vars(count)}", err=True)
    show("kill -9 at random moments", rows)
    if out is not None:
        save(out, "reliability", rows, kills=kills)
