"""`trials.csv`: one line per evaluation, written as soon as it is finished."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from naslib_diffusion.runtime.closing import Closing
from naslib_diffusion.runtime.logs import RowLog, read_rows

COLUMNS = ("seed", "step", "arch", "value")


@dataclass(frozen=True)
class Evaluation:
    """One finished evaluation; `step` counts from 1 within its seed."""

    seed: int
    step: int
    arch: str
    value: float


class TrialLog(Closing):
    """Appends evaluations to a file; see `RowLog`."""

    def __init__(self, path: Path) -> None:
        self._rows = RowLog(path, [COLUMNS])

    def append(self, *evaluations: Evaluation) -> None:
        """Write evaluations; raises OSError, and leaves the file as it was, if it cannot."""
        self._rows.append(*((e.seed, e.step, e.arch, repr(e.value)) for e in evaluations))

    def close(self) -> None:
        """Close the file."""
        self._rows.close()


def read_trials(path: Path) -> list[Evaluation]:
    """Read what a `TrialLog` wrote, if anything; a last line that was cut short is left out.

    Raises:
        ValueError: if any other line is not an evaluation; says which.
    """
    trials = []
    for number, row in enumerate(read_rows(path, [COLUMNS]), start=2):
        try:
            seed, step, arch, value = row
            trials.append(Evaluation(int(seed), int(step), arch, float(value)))
        except ValueError:
            raise ValueError(f"{path}, record {number} is not an evaluation") from None
    return trials
