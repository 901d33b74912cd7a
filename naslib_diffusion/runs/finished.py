"""Finished runs as their folders tell of them, without the table that was searched."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_diffusion.runs.folder import RunError, RunFolder
from naslib_diffusion.runs.trials import Evaluation, read_trials
from naslib_diffusion.tables import Direction

IMAGES = "accuracy on held-out images (%)"
"""The objective of runs that train on images."""


@dataclass(frozen=True)
class FinishedRun:
    """What a run found.

    Attributes:
        name: how the user named its folder.
        source: what was searched: a benchmark, a table, or a folder of images.
        objective: what its values are.
        best: the best evaluation of all seeds.
        curves: observed value of the incumbent, seeds x evaluations; NaN before there is one.
        steps_to_best: for each seed, after how many evaluations its best was found.
        optimum: the best of the table; None where it is not known.
        settings: by name, as text.
        seconds: that the search took.
    """

    name: str
    source: str
    objective: str
    direction: Direction
    best: Evaluation
    curves: NDArray[np.float64]
    steps_to_best: tuple[int, ...]
    optimum: float | None
    settings: dict[str, str]
    seconds: float

    @property
    def final(self) -> NDArray[np.float64]:
        """The best value of each seed."""
        final: NDArray[np.float64] = self.curves[:, -1]
        return final


def read_run(path: Path) -> FinishedRun:
    """Read the folder of a finished run.

    Raises:
        RunError: if it holds no finished run; in one line that says why.
    """
    folder = RunFolder(path)
    try:
        summary = json.loads(folder.summary.read_bytes())
        trials = read_trials(folder.trials)
        return _run(str(path), summary, trials)
    except FileNotFoundError:
        raise RunError(f"there is no finished run in {path}: it has no summary.json") from None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        lacks = isinstance(error, KeyError)
        reason = f"it lacks {error}" if lacks else " ".join(str(error).split())[:200]
        raise RunError(f"cannot read {path}: it is damaged ({reason})") from None


def _run(name: str, summary: dict[str, Any], trials: Sequence[Evaluation]) -> FinishedRun:
    settings = summary["settings"]
    of_table = "table" in summary
    images: dict[str, Any] = {"direction": "maximize", "objective": IMAGES}
    table = summary["table"] if of_table else images
    direction: Direction = table["direction"]
    if direction not in ("maximize", "minimize"):
        raise ValueError(f"the direction {direction!r}")
    sign = 1.0 if direction == "maximize" else -1.0
    by_seed: dict[int, list[Evaluation]] = {}
    for trial in trials:
        by_seed.setdefault(trial.seed, []).append(trial)
    finite = [trial for trial in trials if math.isfinite(trial.value)]
    if not finite:
        raise ValueError("no evaluation has a value")
    scores = [_best_so_far(own, sign) for own in by_seed.values()]
    length = min(map(len, scores))
    curves = np.array([own[:length] for own in scores])
    seconds = summary["timing"]["seconds"] if of_table else summary["seconds"]
    return FinishedRun(
        name,
        str(table["name"]) if of_table else str(settings["data"]),
        str(table["objective"]),
        direction,
        max(finite, key=lambda trial: sign * trial.value),
        sign * curves,
        tuple(int(np.nanargmax(own)) + 1 for own in curves if np.isfinite(own).any()),
        float(table["optimum"]) if of_table else None,
        _as_text(settings),
        float(seconds),
    )


def _as_text(settings: dict[str, Any]) -> dict[str, str]:
    """Return those settings that say something, as text; nested ones beside the others."""
    flat = settings | settings.get("recipe", {})
    return {
        name: ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in flat.items()
        if value is not None and name not in ("fingerprint", "recipe")
    }


def _best_so_far(trials: Sequence[Evaluation], sign: float) -> list[float]:
    """Return the best signed value after each evaluation; NaN before there is one."""
    best, found = math.nan, []
    for trial in trials:
        value = sign * trial.value
        if math.isfinite(value) and not value <= best:
            best = value
        found.append(best)
    return found
