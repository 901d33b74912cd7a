"""Kill commands by `kill -9` at random moments, go on, and look at what that has cost."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

import naslib_diffusion
from naslib_diffusion.runtime.files import PART

PROGRAM = (sys.executable, "-m", "naslib_diffusion.cli")
EARLY = 0.2
"""Share of the kills that come at any time from the start; the others come after some progress."""
POLL = 0.01
LIMIT = 600
"""Seconds after which a process counts as hanging."""

Rows = list[list[str]]


@dataclass(frozen=True)
class Case:
    """A command that is killed.

    Attributes:
        name: of the command.
        args: that start it, but for what it writes.
        resume: that go on, beside these.
        out: what it writes, below the folder of the measurement.
        log: file that grows or changes while it works.
        rows: reads the finished evaluations, which must all be kept; the last field is the value.
        result: what must be that of an uninterrupted run.
        program: that takes the arguments.
        flag: before the path of what it writes.
    """

    name: str
    args: Sequence[str]
    resume: Sequence[str]
    out: str
    log: str
    rows: Callable[[Path], Rows]
    result: Callable[[Path], object]
    program: Sequence[str] = PROGRAM
    flag: str = "--out"

    def logged(self, out: Path) -> Rows:
        """Return the finished evaluations of a run, if there are any yet."""
        path = self.path(out)
        return self.rows(path) if path.exists() else []

    def path(self, out: Path) -> Path:
        """Return the log of a run."""
        return out.with_name(self.log) if out.suffix else out / self.log

    def can_resume(self, out: Path) -> bool:
        """Whether there is something to go on with: a run's settings, or the log beside a file."""
        return (self.path(out) if out.suffix else out / "settings.json").exists()

    def done(self, out: Path) -> bool:
        """Whether the command was killed after its last word."""
        return bool(out.suffix) and out.exists() and not self.path(out).exists()

    def start(self, out: Path, resumed: bool) -> subprocess.Popen[bytes]:
        """Start the command, or let it go on."""
        own = [*self.args, *(self.resume if resumed else ()), self.flag, str(out)]
        return subprocess.Popen(
            [*self.program, *own], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def finish(self, out: Path, resumed: bool) -> None:
        """Run the command to its end.

        Raises:
            click.ClickException: if it fails.
        """
        process = self.start(out, resumed)
        _, errors = process.communicate(timeout=LIMIT)
        if process.returncode:
            raise click.ClickException(f"{self.name} did not go on: {errors.decode()[-500:]}")


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


def measure(case: Case, folder: Path, kills: int, seed: int = 0) -> Count:
    """Kill a command so often at random moments, and go on each time; compare what comes out.

    Raises:
        click.ClickException: if the command fails, or is another at the end than at the start.
    """
    chance, count, program = random.Random(seed), Count(), _program()
    whole = folder / "whole" / case.out
    whole.parent.mkdir(parents=True)
    start = time.monotonic()
    case.finish(whole, resumed=False)
    span = time.monotonic() - start
    while count.kills < kills:
        out = folder / f"{count.runs}" / case.out
        out.parent.mkdir()
        count.runs += 1
        before = _killed_until_done(case, out, count, kills, span, chance)
        rows = case.logged(out)
        count.lost += _lost(case, out, before)
        count.differing += case.result(out) != case.result(whole)
        count.twice += len(rows) - len({tuple(row[:-1]) for row in rows})
        count.left += len(list(out.parent.rglob(f".*{PART}")))
    if _program() != program:
        raise click.ClickException("the program was changed while it was measured; measure anew")
    return count


def _killed_until_done(
    case: Case, out: Path, count: Count, kills: int, span: float, chance: random.Random
) -> Rows:
    """Run a command to its end, with kills on the way; return the rows after the last of them."""
    rows, resumed = Rows(), False
    while count.kills < kills:
        process = case.start(out, resumed)
        if chance.random() < EARLY:
            _wait(process, span * chance.random())
        else:
            wait_for_progress(case, out, process)
            _wait(process, span * chance.random() / 4)
        process.kill()
        process.communicate()
        if process.returncode == 0:
            return rows
        count.kills += process.returncode == -9
        count.failed += process.returncode != -9
        count.lost += _lost(case, out, rows)
        rows, resumed = case.logged(out), case.can_resume(out)
        if case.done(out):
            return rows
    case.finish(out, resumed)
    return rows


def _lost(case: Case, out: Path, before: Rows) -> int:
    """Return how many of these rows are not where they were; a log ends with its command."""
    if not case.path(out).exists():
        return 0
    after = case.rows(case.path(out))
    return sum(row not in after[i : i + 1] for i, row in enumerate(before))


def _wait(
    process: subprocess.Popen[bytes], seconds: float, mark: Callable[[], bool] = lambda: False
) -> None:
    """Wait until a process ends, a mark is reached or the time is over."""
    end = time.monotonic() + seconds
    while process.poll() is None and not mark() and time.monotonic() < end:
        time.sleep(POLL)


def wait_for_progress(case: Case, out: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the log of a command has changed, or its process has ended."""
    path = case.path(out)

    def stamp() -> object:
        return path.stat().st_mtime_ns if path.exists() else None

    first = stamp()
    _wait(process, LIMIT, lambda: stamp() != first)


def _program() -> str:
    """Return a digest of the package's code: what is measured must not be another meanwhile."""
    digest = hashlib.sha256()
    for path in sorted(Path(naslib_diffusion.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
