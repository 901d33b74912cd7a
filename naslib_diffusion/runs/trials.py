"""`trials.csv`: one line per evaluation, written as soon as it is finished."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from naslib_diffusion.runtime.files import append_whole, write_atomically

COLUMNS = ("seed", "step", "arch", "value")


@dataclass(frozen=True)
class Evaluation:
    """One finished evaluation; `step` counts from 1 within its seed."""

    seed: int
    step: int
    arch: str
    value: float


class TrialLog:
    """Appends evaluations to a file, each whole and on the disk before the next is begun.

    A context manager. A new file gets its header at once.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        if self._file.tell() == 0:
            append_whole(self._file, _line(COLUMNS))

    def append(self, evaluation: Evaluation) -> None:
        """Write one evaluation; raises OSError, and leaves the file as it was, if it cannot."""
        e = evaluation
        append_whole(self._file, _line((e.seed, e.step, e.arch, repr(e.value))))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()


def read_trials(path: Path) -> list[Evaluation]:
    """Read what a `TrialLog` wrote, if anything; a last line that was cut short is left out.

    Raises:
        ValueError: if any other line is not an evaluation; says which.
    """
    if not path.exists():
        return []
    text = path.read_bytes().decode(errors="replace")
    records = list(csv.reader(io.StringIO(text, newline="")))
    if records and not text.endswith("\n"):
        records.pop()
    if records and tuple(records[0]) != COLUMNS:
        raise ValueError(f"{path} does not start with {','.join(COLUMNS)}")
    trials = []
    for number, record in enumerate(records[1:], start=2):
        try:
            seed, step, arch, value = record
            trials.append(Evaluation(int(seed), int(step), arch, float(value)))
        except ValueError:
            if number == len(records):
                break
            raise ValueError(f"{path}, record {number} is not an evaluation") from None
    return trials


def mend_trials(path: Path, trials: Iterable[Evaluation]) -> None:
    """Make the file hold just the trials that were read from it, fit to be appended to."""
    whole = format_trials(trials)
    if path.exists() and path.read_bytes() != whole:
        write_atomically(path, whole)


def format_trials(trials: Iterable[Evaluation]) -> bytes:
    """Return the contents of a file of these trials."""
    rows = [_line((t.seed, t.step, t.arch, repr(t.value))) for t in trials]
    return b"".join([_line(COLUMNS), *rows])


def _line(fields: Iterable[object]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerow(fields)
    return buffer.getvalue().encode()
