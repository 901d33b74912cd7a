"""Search on a folder of images: each proposal is trained for real, and the best is kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naslib_diffusion.runs.trials import Evaluation, TrialLog, read_trials
from naslib_diffusion.runtime.files import write_atomically
from naslib_diffusion.search import Search
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.surrogates.prior import Prior
from naslib_diffusion.transfer.images import ImageSet
from naslib_diffusion.transfer.training import Recipe, train_cell


@dataclass(frozen=True)
class ImageSettings:
    """What decides the outcome of a run on images.

    Attributes:
        data: the folder.
        budget: cells to train.
        strategy: where candidates come from.
        prior: what is believed beforehand: names, or "none".
        size: height and width of the images.
        holdout: share of each class that measures accuracy.
        seed: of split, search and training.
        recipe: of each training.
        fingerprint: of the images.
    """

    data: str
    budget: int
    strategy: str
    prior: tuple[str, ...]
    size: int
    holdout: float
    seed: int
    recipe: Recipe
    fingerprint: str

    def to_json(self) -> str:
        """Return a JSON object."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


class ImageRun:
    """The folder of a run: settings, trials as they finish, the best trained cell."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings, self.trials = path / "settings.json", path / "trials.csv"
        self.summary, self.report = path / "summary.json", path / "report.html"
        self.best, self.unfinished = path / "best.safetensors", path / "training.safetensors"

    def start(self, settings: ImageSettings, resume: bool) -> list[Evaluation]:
        """Make the folder, or read what is finished.

        Raises:
            ValueError: if the folder holds another run, or none to resume; in one line.
        """
        if not resume:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise ValueError(f"{self.path} is in use; name another --out, or --resume it")
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically(self.settings, settings.to_json().encode())
            return []
        if not self.settings.is_file():
            raise ValueError(f"nothing to resume in {self.path}: it has no settings.json")
        old, new = json.loads(self.settings.read_text()), json.loads(settings.to_json())
        changed = [
            f"{name} was {old.get(name)}, is {value}"
            for name, value in new.items()
            if old.get(name) != value
        ]
        if changed:
            raise ValueError(f"cannot resume with other settings: {'; '.join(changed)}")
        return read_trials(self.trials) if self.trials.exists() else []


def fingerprint(images: ImageSet) -> str:
    """Return a short digest of images and labels."""
    digest = hashlib.sha256(images.images.numpy().tobytes())
    digest.update(images.labels.numpy().tobytes())
    digest.update("\n".join(images.classes).encode())
    return digest.hexdigest()[:16]


def search_images(
    images: ImageSet,
    settings: ImageSettings,
    prior: Sequence[Prior],
    run: ImageRun,
    done: Sequence[Evaluation],
    *,
    device: str = "cpu",
    epoch_done: Callable[[int, float], None] | None = None,
) -> Iterator[Evaluation]:
    """Propose, train, learn; yield each new evaluation. The best network is kept in the folder.

    A training that diverges counts as a failure and does not end the search.
    """
    train, test = images.split(settings.holdout, settings.seed)
    search = Search(
        NASBench201(), strategy=settings.strategy, prior=prior, seed=settings.seed,
        initial=None if prior else 1,
    )  # fmt: skip
    for trial in done:
        search.tell([search.space.parse(trial.arch)], [trial.value])
    best = max((t.value for t in done if math.isfinite(t.value)), default=-math.inf)
    with TrialLog(run.trials) as log:
        for step in range(len(done) + 1, settings.budget + 1):
            (cell,) = search.ask()
            trained = train_cell(
                cell, train, test, settings.recipe,
                device=device, checkpoint=run.unfinished, callback=epoch_done,
            )  # fmt: skip
            if trained.accuracy > best:
                best = trained.accuracy
                trained.save(run.best)
            evaluation = Evaluation(settings.seed, step, str(cell), trained.accuracy)
            log.append(evaluation)
            search.tell([cell], [trained.accuracy])
            yield evaluation


def summarise(
    settings: ImageSettings, images: ImageSet, trials: Sequence[Evaluation], start: float
) -> dict[str, Any]:
    """Return what `summary.json` holds; `start` is of `time.perf_counter`."""
    finished = [trial for trial in trials if math.isfinite(trial.value)]
    best = max(finished, key=lambda trial: trial.value, default=None)
    return {
        "settings": dataclasses.asdict(settings),
        "images": len(images),
        "classes": images.classes,
        "skipped_files": images.skipped,
        "best": None if best is None else dataclasses.asdict(best),
        "diverged": len(trials) - len(finished),
        "seconds": round(time.perf_counter() - start, 1),
    }
