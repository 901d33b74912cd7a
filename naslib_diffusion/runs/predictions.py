"""`predictions.csv`: what a search expected of each architecture before it was evaluated."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from naslib_diffusion.runs.trials import Evaluation
from naslib_diffusion.runtime.files import append_whole
from naslib_diffusion.search.trials import Prediction

COLUMNS = ("seed", "step", "mean", "deviation")


@dataclass(frozen=True)
class Forecast:
    """A prediction of the evaluation `step` of `seed`, in the unit of the objective."""

    seed: int
    step: int
    mean: float
    deviation: float


class PredictionLog:
    """Appends predictions to a file as soon as they are made; a context manager.

    The file goes with the report. A run needs it neither to go on nor to be repeated.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        if self._file.tell() == 0:
            append_whole(self._file, _line(COLUMNS))

    def append(self, evaluation: Evaluation, prediction: Prediction | None) -> None:
        """Write the prediction of one evaluation, if there was one; random ones have none."""
        if prediction is not None:
            e, p = evaluation, prediction
            append_whole(self._file, _line((e.seed, e.step, repr(p.mean), repr(p.deviation))))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()


def read_predictions(path: Path) -> list[Forecast]:
    """Read what a `PredictionLog` wrote; lines that are damaged are left out."""
    if not path.exists():
        return []
    text = path.read_bytes().decode(errors="replace")
    found: dict[tuple[int, int], Forecast] = {}
    for record in csv.reader(io.StringIO(text, newline="")):
        try:
            seed, step, mean, deviation = record
            forecast = Forecast(int(seed), int(step), float(mean), float(deviation))
        except ValueError:
            continue
        if math.isfinite(forecast.mean) and math.isfinite(forecast.deviation):
            found[forecast.seed, forecast.step] = forecast
    return list(found.values())


def _line(fields: Iterable[object]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerow(fields)
    return buffer.getvalue().encode()
