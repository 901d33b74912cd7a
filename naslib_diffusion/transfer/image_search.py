"""Search on a folder of images: each proposal is trained for real, and the best is kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naslib_diffusion.runs.folder import RunError, RunFolder
from naslib_diffusion.runs.trials import Evaluation, TrialLog, read_trials
from naslib_diffusion.search import Search
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.surrogates.prior import Prior
from naslib_diffusion.transfer.diagnostics import Diagnosis, LossLog
from naslib_diffusion.transfer.image_set import ImageSet
from naslib_diffusion.transfer.recipe import Recipe
from naslib_diffusion.transfer.training import train_cells


@dataclass(frozen=True)
class ImageSettings:
    """What decides the outcome of a run on images.

    Attributes:
        data: the folder.
        budget: cells to train.
        strategy: where candidates come from.
        prior: what is believed beforehand: names, or "none".
        size: height and width of the images.
        preset: name of the length of trainings.
        holdout: share of each class that measures accuracy, where the source sets none aside.
        seed: of split, search and training.
        recipe: of each training.
        fingerprint: of the images.
        prior_fingerprint: of the files of the prior.
        batch: cells that are proposed, and trained side by side, at a time.
    """

    data: str
    budget: int
    strategy: str
    prior: tuple[str, ...]
    size: int
    preset: str
    holdout: float
    seed: int
    recipe: Recipe
    fingerprint: str
    prior_fingerprint: str
    batch: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        facts: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return facts


class ImageRun(RunFolder):
    """The folder of a run; beside the usual, the best trained cell and those in training."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.best, self.losses = path / "best.safetensors", path / "losses.csv"

    def unfinished(self, index: int = 0) -> Path:
        """Return the file that keeps the cell of this number among those in training."""
        return self.path / f"training{f'-{index + 1}' * (index > 0)}.safetensors"

    def budget(self) -> int | None:
        """Return the budget of the run in this folder, if it has one; `resume` says what is wrong.

        Raises:
            RunError: if there is no run, or another process uses the folder.
        """
        budget = self.stored().get("budget")
        return budget if type(budget) is int and budget > 0 else None

    def resume(self, settings: ImageSettings) -> list[Evaluation]:
        """Return what is finished; a larger budget than before is kept from now on.

        Raises:
            RunError: if there is no run in the folder, or another one.
        """
        new = settings.to_json()
        later = {"prior_fingerprint": new["prior_fingerprint"], "batch": 1}  # than some runs
        old = {**later, **self.stored()}
        names = {"fingerprint": "the images", "prior_fingerprint": "the prior"}
        changed = [
            names.get(name, f"{name} was {old.get(name)}, is {value}")
            for name, value in new.items()
            if old.get(name) != value and name != "budget"
        ]
        if changed:
            raise RunError(f"cannot resume with other settings: {'; '.join(changed)}")
        try:
            done = read_trials(self.trials)
        except ValueError as error:
            raise RunError(f"cannot resume: {error}") from None
        if [(t.seed, t.step) for t in done] != [(settings.seed, i + 1) for i in range(len(done))]:
            raise RunError(f"cannot resume: {self.trials} has rows out of place for this run")
        if len(done) > settings.budget:
            raise RunError(
                f"cannot resume: {len(done)} cells are trained, more than --budget "
                f"{settings.budget}"
            )
        if old != new:
            self.store(settings)
        return done


def fingerprint(images: ImageSet) -> str:
    """Return a short digest of images and labels."""
    digest = hashlib.sha256(images.images.numpy().tobytes())
    digest.update(images.labels.numpy().tobytes())
    digest.update("\n".join(images.classes).encode())
    if images.held is not None:
        digest.update(images.held.numpy().tobytes())
    return digest.hexdigest()[:16]


def search_images(
    images: ImageSet,
    settings: ImageSettings,
    prior: Sequence[Prior],
    run: ImageRun,
    done: Sequence[Evaluation],
    *,
    device: str = "cpu",
    epoch_done: Callable[[int, int, float], None] | None = None,
) -> Iterator[Evaluation]:
    """Propose, train, learn; yield each new evaluation. The best network is kept in the folder.

    A training that diverges counts as a failure and does not end the search.

    Args:
        images: to learn from, and to measure accuracy on.
        settings: of the run.
        prior: what is believed beforehand.
        run: the folder.
        done: evaluations that it holds already.
        device: where to train.
        epoch_done: called after each epoch of each cell with the cell's number among those in
            training, the epoch's number and the mean loss.
    """
    train, test = images.split(settings.holdout, settings.seed)
    search = Search(
        NASBench201(), strategy=settings.strategy, prior=prior, seed=settings.seed,
        initial=None if prior else 1,
    )  # fmt: skip
    for trial in done:
        search.tell([search.space.parse(trial.arch)], [trial.value])
    best = max((t.value for t in done if math.isfinite(t.value)), default=-math.inf)
    with TrialLog(run.trials) as log, LossLog(run.losses) as losses:
        for first in range(len(done) + 1, settings.budget + 1, settings.batch):
            cells = search.ask(min(settings.batch, settings.budget + 1 - first))
            clocks = [time.perf_counter()] * len(cells)

            def after(
                index: int, epoch: int, loss: float, first: int = first,
                clocks: list[float] = clocks,
            ) -> None:  # fmt: skip
                now = time.perf_counter()
                losses.append(first + index, epoch, loss, now - clocks[index])
                clocks[index] = now
                if epoch_done is not None:
                    epoch_done(index, epoch, loss)

            trained = train_cells(
                cells, train, test, settings.recipe, device=device,
                checkpoints=[run.unfinished(i) for i in range(len(cells))], callback=after,
            )  # fmt: skip
            for one in trained:
                if one.accuracy > best:
                    best = one.accuracy
                    one.save(run.best)
            evaluations = [
                Evaluation(settings.seed, step, str(cell), one.accuracy)
                for step, (cell, one) in enumerate(zip(cells, trained, strict=True), start=first)
            ]
            log.append(*evaluations)
            search.tell(cells, [one.accuracy for one in trained])
            yield from evaluations
    for index in range(settings.batch):  # not before: a kill would cost the training
        run.unfinished(index).unlink(missing_ok=True)


def summarise(
    settings: ImageSettings,
    images: ImageSet,
    trials: Sequence[Evaluation],
    baselines: Mapping[str, float],
    start: float,
    diagnosis: Diagnosis | None = None,
) -> dict[str, Any]:
    """Return what `summary.json` holds; `start` is of `time.perf_counter`.

    Args:
        settings: of the run.
        images: all of them.
        trials: of the run.
        baselines: accuracies to compare with, by name.
        start: when the run began, by `time.perf_counter`.
        diagnosis: of the best network, if there is one.
    """
    _, test = images.split(settings.holdout, settings.seed)
    finished = [trial for trial in trials if math.isfinite(trial.value)]
    best = max(finished, key=lambda trial: trial.value, default=None)
    return {
        "settings": dataclasses.asdict(settings),
        "images": len(images),
        "held_out": len(test),
        "classes": images.classes,
        "skipped_files": images.skipped,
        "baselines": dict(baselines),
        "best": None if best is None else dataclasses.asdict(best),
        "diagnosis": None if diagnosis is None else dataclasses.asdict(diagnosis),
        "diverged": len(trials) - len(finished),
        "seconds": round(time.perf_counter() - start, 1),
    }
