"""`predictions.csv`: what a search expected of each architecture before it was evaluated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from naslib_diffusion.runs.trials import Evaluation
from naslib_diffusion.runtime.closing import Closing
from naslib_diffusion.runtime.logs import RowLog, read_rows
from naslib_diffusion.search.trials import Prediction

COLUMNS = ("seed", "step", "mean", "deviation")


@dataclass(frozen=True)
class Forecast:
    """A prediction of the evaluation `step` of `seed`, in the unit of the objective."""

    seed: int
    step: int
    mean: float
    deviation: float


class PredictionLog(Closing):
    """Appends predictions to a file as soon as they are made; a context manager.

    The file goes with the report. A run needs it neither to go on nor to be repeated, so that one
    that is damaged begins anew.
    """

    def __init__(self, path: Path) -> None:
        self._rows = RowLog.expendable(path, [COLUMNS])

    def append(self, evaluation: Evaluation, prediction: Prediction | None) -> None:
        """Write the prediction of one evaluation, if there was one; random ones have none."""
        if prediction is not None:
            e, p = evaluation, prediction
            self._rows.append((e.seed, e.step, repr(p.mean), repr(p.deviation)))

    def close(self) -> None:
        """Close the file."""
        self._rows.close()


def read_predictions(path: Path) -> list[Forecast]:
    """Read what a `PredictionLog` wrote; what is damaged is left out."""
    try:
        rows = read_rows(path, [COLUMNS])
    except ValueError:
        return []
    found: dict[tuple[int, int], Forecast] = {}
    for seed, step, mean, deviation in rows:
        try:
            forecast = Forecast(int(seed), int(step), float(mean), float(deviation))
        except ValueError:
            continue
        if math.isfinite(forecast.mean) and math.isfinite(forecast.deviation):
            found[forecast.seed, forecast.step] = forecast
    return list(found.values())
