"""`naslib-diffusion transfer --data`: a search that trains what it proposes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_diffusion.commands.errors import Interrupted, UserError
from naslib_diffusion.commands.output import note_versions, say

if TYPE_CHECKING:
    from naslib_diffusion.runs import Evaluation
    from naslib_diffusion.transfer.image_search import ImageRun, ImageSettings
    from naslib_diffusion.transfer.image_set import ImageSet
    from naslib_diffusion.transfer.timing import Pace

BUDGET = 5
"""Cells to train, unless told."""

RECIPE = (
    *("epochs", "batch_size", "lr", "momentum", "weight_decay", "channels", "cells"),
    *("flip", "crop"),
)
"""Options that are fields of `Recipe`."""

INSTALL = "pip install 'naslib-diffusion[transfer]'"


@dataclass(frozen=True)
class _Task:
    """All that is known before the first training."""

    images: ImageSet
    settings: ImageSettings
    prior: Sequence[Any]
    baselines: Mapping[str, float]
    pace: Pace
    device: str
    left_out: bool
    """Whether the prior that looks at the images lacks its packages."""


def run_images(params: dict[str, Any], *, explicit: Sequence[str]) -> None:
    """Run what the options of `transfer --data` say, and write and print the results.

    Args:
        params: the options by name.
        explicit: names of those that the user gave.
    """
    from naslib_diffusion.runs import RunError
    from naslib_diffusion.runtime.extras import require
    from naslib_diffusion.runtime.threads import threads
    from naslib_diffusion.transfer.image_search import ImageRun

    start, quiet = time.perf_counter(), params["quiet"]
    require("matplotlib", "report", "reports")
    require("PIL", "transfer", "images")
    _check_options(params, explicit)
    try:
        with ImageRun(params["out"]) as run:
            if not params["resume"]:
                run.refuse_used()
            task = _prepare(params, run, "holdout" in explicit)
            done = run.resume(task.settings) if params["resume"] else []
            if not params["resume"]:
                run.start(task.settings)
            note_versions(run)
            if not quiet:
                _announce(task, len(done))
            with threads(task.pace.threads):
                trials = _search(task, run, done, quiet)
            _finish(task, trials, run, start, params["export"], quiet)
    except RunError as error:
        raise UserError(str(error)) from None


def _check_options(params: dict[str, Any], explicit: Sequence[str]) -> None:
    """Refuse what cannot work before anything is read."""
    from naslib_diffusion.spaces import NASBench201
    from naslib_diffusion.transfer.trained import check_export

    wrong = {"table", "benchmark", "objective", "direction", "distinct", "api_file"}
    wrong |= {"seeds"}
    clash = sorted(wrong.intersection(explicit))
    if clash:
        name = clash[0].replace("_", "-")
        raise UserError(f"--{name} belongs to tables; --data trains on images")
    if params["out"] is None:
        raise UserError("--data needs --out, the folder of the results")
    if params["space"] not in (None, NASBench201.name):
        raise UserError(f"--data trains cells of nasbench201, not of {params['space']!r}")
    for kind in params["export"]:
        try:
            check_export(f".{kind}")
        except ValueError as error:
            raise UserError(f"--export {kind}: {error}") from None


def _prepare(params: dict[str, Any], run: ImageRun, own_holdout: bool) -> _Task:
    """Read images and prior, settle the recipe, and time a step; nothing is written."""
    import torch

    from naslib_diffusion.transfer.baselines import baselines
    from naslib_diffusion.transfer.dataset import has_image_encoder, image_encoder
    from naslib_diffusion.transfer.priors import image_prior_names, load_image_priors
    from naslib_diffusion.transfer.recipe import recipe_for
    from naslib_diffusion.transfer.timing import measure_pace

    names = image_prior_names([name for name in params["prior"] if name != "none"])
    seed, encoder = params["seed"], image_encoder() if has_image_encoder() else None
    try:
        images = _read(params["data"], params["size"], params["quiet"])
        if own_holdout and images.held is not None:
            raise UserError("--holdout: the folder itself sets images aside, in its val/")
        train, test = images.split(params["holdout"], seed)
        prior = load_image_priors(names, train, seed)
    except ValueError as error:
        raise UserError(str(error)) from None
    recipe = recipe_for(
        train, params["preset"], seed=seed, given={name: params[name] for name in RECIPE}
    )
    most, fixed = params["threads"] or torch.get_num_threads(), params["threads"] is not None
    return _Task(
        images,
        _settings(params, images, names, recipe, run),
        prior,
        baselines(train, test, encoder),
        measure_pace(train, recipe, params["device"], most, fixed),
        params["device"],
        left_out="default" in params["prior"] and encoder is None,
    )


def _settings(
    params: dict[str, Any], images: ImageSet, names: tuple[str, ...], recipe: Any, run: ImageRun
) -> ImageSettings:
    from naslib_diffusion.transfer.image_search import ImageSettings, fingerprint
    from naslib_diffusion.transfer.priors import image_prior_fingerprint

    data, earlier = params["data"], run.budget() if params["resume"] else None
    return ImageSettings(
        data=str(Path(data).absolute()) if Path(data).is_dir() else data,
        budget=params["budget"] or earlier or BUDGET,
        strategy=params["strategy"],
        prior=names or ("none",),
        size=images.images.shape[-1],
        preset=params["preset"],
        holdout=params["holdout"],
        seed=params["seed"],
        recipe=recipe,
        fingerprint=fingerprint(images),
        prior_fingerprint=image_prior_fingerprint(names),
        batch=params["batch"],
    )


def _read(data: str, size: int | None, quiet: bool) -> ImageSet:
    """Read a folder of images, or what torchvision knows by name."""
    from naslib_diffusion.transfer.images import load_images
    from naslib_diffusion.transfer.torchvision_sets import load_torchvision, named

    known = None if Path(data).is_dir() else named(data)
    if known is not None:
        return load_torchvision(*known, size, quiet=quiet)
    return load_images(Path(data), size, quiet=quiet)


def _announce(task: _Task, done: int) -> None:
    """Say what is about to happen, how long it takes, and what there is to beat."""
    from naslib_diffusion.transfer.timing import spoken

    if task.left_out:
        say(f"note: prior `images` is left out; it needs: {INSTALL}", err=True)
    images, settings, pace = task.images, task.settings, task.pace
    recipe, left = settings.recipe, settings.budget - done
    skipped = f", {len(images.skipped)} files left out" if images.skipped else ""
    say(
        f"{settings.data}: {len(images):,} images of {len(images.classes)} classes, "
        f"{settings.size} x {settings.size}{skipped}; {settings.budget} cells to train, "
        f"prior: {', '.join(settings.prior)}" + (f", {done} already done" if done else "")
    )
    if images.held is not None:
        say(f"held out: the {int(images.held.sum()):,} images that the folder sets aside")
    if images.levels is not None:
        black, white = images.levels
        say(f"more than 8 bits: {black:g} becomes black, {white:g} white")
    mirrored = "mirrored at random" if recipe.flip else "not mirrored"
    shifted = f"shifted by up to {recipe.crop} pixels" if recipe.crop else "not shifted"
    say(
        f"each training: {recipe.epochs} epochs, batches of {recipe.batch_size}, "
        f"{recipe.channels} channels, {recipe.cells} cell{'s' * (recipe.cells > 1)} a stage; "
        f"{mirrored}, {shifted}"
    )
    known = "; ".join(f"{name} {value:.2f} %" for name, value in task.baselines.items())
    say(f"to beat: {known}")
    say(
        f"{left} training{'s' * (left != 1)} on {pace.threads} "
        f"thread{'s' * (pace.threads > 1)}: at most about {spoken(left * pace.seconds)}"
    )


def _search(task: _Task, run: ImageRun, done: list[Evaluation], quiet: bool) -> list[Evaluation]:
    """Train with a progress bar over epochs; on Ctrl-C say how to go on."""
    import sys

    from tqdm import tqdm

    from naslib_diffusion.transfer.image_search import search_images
    from naslib_diffusion.transfer.timing import Remaining, spoken

    settings, trials = task.settings, list(done)
    reached: dict[int, int] = {}  # epochs of the cells in training
    epochs = settings.recipe.epochs
    total, left = epochs * settings.budget, task.pace.seconds * (settings.budget - len(done))
    remaining, hidden = Remaining(total), quiet or not sys.stderr.isatty()
    with tqdm(total=total, initial=epochs * len(done), unit="epoch",
              disable=hidden, dynamic_ncols=True, leave=False) as bar:  # fmt: skip

        def epoch_done(index: int, epoch: int, loss: float) -> None:
            nonlocal left
            reached[index] = epoch
            position = epochs * len(trials) + sum(reached.values())
            left = remaining.after(position)
            number = len(trials) + index + 1
            bar.set_postfix_str(f"cell {number}, loss {loss:.4f}", refresh=False)
            bar.update(position - bar.n)

        try:
            for trial in search_images(
                task.images, settings, task.prior, run, done,
                device=task.device, epoch_done=epoch_done,
            ):  # fmt: skip
                trials.append(trial)
                reached.clear()
                rest = f"  {spoken(left)} left" if len(trials) < settings.budget else ""
                if not quiet:
                    line = f"{trial.step:4d}  {trial.value:6.2f} %  {trial.arch}{rest}"
                    tqdm.write(line, sys.stdout)
        except KeyboardInterrupt:
            raise Interrupted(
                f"{len(trials)} of {settings.budget} cells are trained; go on with the same "
                "command and --resume"
            ) from None
        except ValueError as error:
            raise UserError(str(error)) from None
    return trials


def _finish(
    task: _Task,
    trials: list[Evaluation],
    run: ImageRun,
    start: float,
    export: Sequence[str],
    quiet: bool,
) -> None:
    """Write summary, report and exports."""
    import json

    from naslib_diffusion.report.images import render_image_report
    from naslib_diffusion.runtime.files import write_atomically
    from naslib_diffusion.transfer.diagnostics import diagnose, read_courses
    from naslib_diffusion.transfer.image_search import summarise
    from naslib_diffusion.transfer.trained import load_cell

    diagnosis, settings = None, task.settings
    with contextlib.suppress(ValueError):  # a file that was lost leaves the report without it
        _, test = task.images.split(settings.holdout, settings.seed)
        diagnosis = diagnose(load_cell(run.best), test)
    summary = summarise(settings, task.images, trials, task.baselines, start, diagnosis)
    write_atomically(run.summary, json.dumps(summary, indent=2) + "\n")
    if summary["best"] is None:
        raise UserError("every training diverged; try a smaller --lr")
    write_atomically(run.report, render_image_report(summary, trials, read_courses(run.losses)))
    try:
        for kind in export:
            load_cell(run.best).export(run.path / f"best.{kind}")
    except ValueError as error:
        raise UserError(f"--export: {error}") from None
    if not quiet:
        best = summary["best"]
        say(f"best: {best['value']:.2f} %  {best['arch']}  ({run.best})")
        say(f"report: {Path(run.report)}")
