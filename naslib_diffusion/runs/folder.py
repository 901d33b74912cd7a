"""The folder of a run: nothing in it is overwritten, and a run that was cut off goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Protocol

from naslib_diffusion.runs.settings import Settings
from naslib_diffusion.runs.trials import Evaluation, mend_trials, read_trials
from naslib_diffusion.runtime.files import write_atomically


class RunError(ValueError):
    """A run cannot start, or go on, in this folder; the message is one line for the user."""


class Stored(Protocol):
    """Settings that can be kept."""

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""


class RunFolder:
    """Where a run keeps its trials, predictions, settings, summary and report."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trials = path / "trials.csv"
        self.predictions = path / "predictions.csv"
        self.settings = path / "settings.json"
        self.summary = path / "summary.json"
        self.report = path / "report.html"

    def start(self, settings: Stored) -> None:
        """Create the folder for a new run.

        Raises:
            RunError: if it holds a run already, or cannot be created.
        """
        self.refuse_used()
        self.store(settings)

    def store(self, settings: Stored) -> None:
        """Write the settings of the run, in place of those that there were.

        Raises:
            RunError: if they cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            text = json.dumps(settings.to_json(), indent=2) + "\n"
            write_atomically(self.settings, text.encode())
        except OSError as error:
            raise RunError(f"cannot write to {self.path}: {error.strerror}") from None

    def refuse_used(self) -> None:
        """Raise RunError if the path is a file or the folder holds a run."""
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file; --out must be a folder")
        if os.path.lexists(self.trials) or os.path.lexists(self.settings):
            raise RunError(
                f"{self.path} already holds a run; go on with it by --resume, "
                "or choose another --out"
            )

    def load_settings(self) -> Settings:
        """Return the settings of the run in this folder.

        Raises:
            RunError: if there is none.
        """
        try:
            return Settings.from_json(json.loads(self.settings.read_bytes()))
        except FileNotFoundError:
            raise RunError(f"there is no run to resume in {self.path}") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise RunError(f"cannot read {self.settings}: {reason}") from None

    def load_trials(self, settings: Settings) -> dict[int, list[Evaluation]]:
        """Return the finished evaluations of each seed, and cut a half-written last line off.

        Raises:
            RunError: if the file does not belong to a run with these settings.
        """
        try:
            trials = read_trials(self.trials)
            saved = _by_seed(self.trials, trials, settings)
            mend_trials(self.trials, trials)
        except OSError as error:
            raise RunError(f"cannot resume {self.trials}: {error.strerror}") from None
        except ValueError as error:
            raise RunError(f"cannot resume: {error}") from None
        return saved


def _by_seed(
    path: Path, trials: list[Evaluation], settings: Settings
) -> dict[int, list[Evaluation]]:
    saved: dict[int, list[Evaluation]] = {}
    for trial in trials:
        own = saved.setdefault(trial.seed, [])
        own.append(trial)
        if trial.seed not in settings.all_seeds or not trial.step == len(own) <= settings.budget:
            raise ValueError(
                f"{path} has seed {trial.seed}, step {trial.step} out of place for this run"
            )
    return saved
