"""A search on images that is cut off anywhere ends as one that never was."""

import dataclasses
import itertools

import pytest
import torch

from naslib_diffusion.runs.trials import TrialLog
from naslib_diffusion.search import Search
from naslib_diffusion.transfer import image_search
from naslib_diffusion.transfer.image_search import ImageRun, ImageSettings, search_images
from naslib_diffusion.transfer.image_set import ImageSet
from naslib_diffusion.transfer.priors import load_image_priors
from naslib_diffusion.transfer.recipe import Recipe

ACCURACIES = (100.0, 100.0, float("nan"))  # equal ones leave the choice to the last bits
SETTINGS = ImageSettings(
    data="photos", budget=3, strategy="mutation", prior=("cells",), size=8, preset="quick",
    holdout=0.2, seed=0, recipe=Recipe(epochs=1), fingerprint="", prior_fingerprint="",
)  # fmt: skip
MOMENTS = ("asked", "trained", "before the log", "after the log")


class Killed(BaseException):
    """Stands for a signal that nothing can catch."""


@pytest.fixture(scope="module")
def images():
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (20, 3, 8, 8), generator=random, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(20) % 2, ("a", "b"))


@pytest.fixture
def search(images, monkeypatch):
    """Search in a folder, and be killed at a moment of a step; the trainings are not real."""
    prior = load_image_priors(("cells",), images, 0)
    where, steps = [None], itertools.count()

    def pass_by(moment, step):
        if where[0] == (moment, step):
            raise Killed

    class Trained:
        def __init__(self, step, cell, checkpoint):
            self.accuracy = ACCURACIES[step]
            checkpoint.write_text(str(cell))

        def save(self, path):
            path.write_text(str(self.accuracy))

    def train(cells, *_, checkpoints, **options):
        trained = []
        for cell, checkpoint in zip(cells, checkpoints, strict=True):
            step = next(steps)
            pass_by("asked", step)
            trained.append(Trained(step, cell, checkpoint))
            pass_by("trained", step)
        return trained

    def append(log, *evaluations, real=TrialLog.append):
        pass_by("before the log", evaluations[0].step - 1)
        real(log, *evaluations)
        pass_by("after the log", evaluations[-1].step - 1)

    monkeypatch.setattr(image_search, "train_cells", train)
    monkeypatch.setattr(TrialLog, "append", append)

    def call(folder, kill=None, settings=SETTINGS):
        nonlocal steps
        where[0] = kill
        with ImageRun(folder) as run:
            new = not run.settings.exists()
            done = run.start(settings) or [] if new else run.resume(settings)
            steps = itertools.count(len(done))
            list(search_images(images, settings, prior, run, done))
        left = [path.name for path in folder.glob("training*.safetensors")]
        return run.trials.read_text(), run.best.read_text(), left

    return call


def test_it_goes_on_from_any_moment_as_if_nothing_had_happened(search, tmp_path, monkeypatch):
    expected = []

    def ask(self, n, real=Search.ask):
        (cell,) = real(self, n)
        expected.append((cell, self.predict(cell)))
        return [cell]

    monkeypatch.setattr(Search, "ask", ask)
    whole = search(tmp_path / "whole")
    asked = expected.copy()
    for step, moment in itertools.product(range(SETTINGS.budget), MOMENTS):
        folder = tmp_path / f"{moment} {step}"
        with pytest.raises(Killed):
            search(folder, (moment, step))
        expected.clear()
        assert search(folder) == whole, f"killed: {moment}, step {step}"
        left = asked[step + (moment == "after the log") :]
        assert expected == left, "other expectations, if only in the last bits"


def test_cells_side_by_side_are_logged_together(search, tmp_path):
    pairs = dataclasses.replace(SETTINGS, batch=2)
    whole = search(tmp_path / "whole", settings=pairs)
    assert whole[0].count("\n") == 1 + SETTINGS.budget
    assert not whole[2], "what was in training is removed"
    for step, moment in itertools.product(range(SETTINGS.budget), ("asked", "trained")):
        folder = tmp_path / f"{moment} {step}"
        with pytest.raises(Killed):
            search(folder, (moment, step), pairs)
        assert search(folder, settings=pairs) == whole, f"killed: {moment}, step {step}"
