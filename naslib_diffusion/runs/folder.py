"""The folder of a run: nothing in it is overwritten, and a run that was cut off goes on."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from naslib_diffusion.runs.settings import Settings
from naslib_diffusion.runs.trials import Evaluation, read_trials
from naslib_diffusion.runtime.closing import Closing
from naslib_diffusion.runtime.files import read_json, write_atomically
from naslib_diffusion.runtime.locks import Busy, claimed
from naslib_diffusion.runtime.versions import changed_since, versions


class RunError(ValueError):
    """A run cannot start, or go on, in this folder; the message is one line for the user."""


class Stored(Protocol):
    """Settings that can be kept."""

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""


class RunFolder(Closing):
    """Where a run keeps its trials, predictions, settings, summary and report.

    A context manager: from `start` or `stored` until its end no other process can use the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trials = path / "trials.csv"
        self.predictions = path / "predictions.csv"
        self.settings = path / "settings.json"
        self.summary = path / "summary.json"
        self.report = path / "report.html"
        self._claim, self._held = ExitStack(), False
        self._begun_with: dict[str, str] = versions()

    def start(self, settings: Stored) -> None:
        """Create the folder for a new run.

        Raises:
            RunError: if it holds a run already, another process uses it, or it cannot be created.
        """
        self.refuse_used()
        self._claimed()
        self.refuse_used()  # the other process may just have ended
        self.store(settings)

    def store(self, settings: Stored) -> None:
        """Write the settings of the run, and what it was begun with, in place of what there was.

        Raises:
            RunError: if they cannot be written.
        """
        try:
            content = {**settings.to_json(), "versions": self._begun_with}
            write_atomically(self.settings, json.dumps(content, indent=2) + "\n")
        except OSError as error:
            raise RunError(f"cannot write to {self.path}: {error.strerror}") from None

    def stored(self) -> dict[str, Any]:
        """Return the settings of the run in this folder, as they are stored.

        Raises:
            RunError: if there are none, or another process uses the folder.
        """
        if not self.settings.exists():
            raise RunError(f"there is no run to resume in {self.path}")
        self._claimed()
        try:
            found = read_json(self.settings)
        except (OSError, ValueError) as error:
            raise RunError(f"cannot resume: {error}") from None
        self._begun_with = found.pop("versions", self._begun_with)
        return found

    @property
    def other_versions(self) -> str:
        """What a resumed run was begun with and is no longer installed; empty if all is."""
        return changed_since(self._begun_with)

    def _claimed(self) -> None:
        """Make the folder, and keep other processes out of it until the end of the context."""
        if self._held:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._claim.enter_context(claimed(self.path))
            self._held = True
        except OSError as error:
            raise RunError(f"cannot write to {self.path}: {error.strerror}") from None
        except Busy as error:
            raise RunError(str(error)) from None

    def close(self) -> None:
        """Let other processes use the folder."""
        self._claim.close()

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
            RunError: if there are none, or another process uses the folder.
        """
        facts = self.stored()
        try:
            return Settings.from_json(facts)
        except ValueError as error:
            raise RunError(f"cannot read {self.settings}: {error}") from None

    def load_trials(self, settings: Settings) -> dict[int, list[Evaluation]]:
        """Return the finished evaluations of each seed.

        Raises:
            RunError: if the file does not belong to a run with these settings.
        """
        try:
            return _by_seed(self.trials, read_trials(self.trials), settings)
        except OSError as error:
            raise RunError(f"cannot resume {self.trials}: {error.strerror}") from None
        except ValueError as error:
            raise RunError(f"cannot resume: {error}") from None


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
