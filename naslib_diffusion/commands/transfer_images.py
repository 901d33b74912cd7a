"""`naslib-diffusion transfer --data`: a search that trains what it proposes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from naslib_diffusion.commands.errors import Interrupted, UserError

if TYPE_CHECKING:
    from naslib_diffusion.runs import Evaluation
    from naslib_diffusion.transfer.image_search import ImageRun, ImageSettings
    from naslib_diffusion.transfer.images import ImageSet

BUDGET = 5
"""Cells to train, unless told."""

RECIPE = ("epochs", "batch_size", "lr", "momentum", "weight_decay", "channels", "cells")


def run_images(params: dict[str, Any], *, explicit: Sequence[str]) -> None:
    """Run what the options of `transfer --data` say, and write and print the results.

    Args:
        params: the options by name.
        explicit: names of those that the user gave.
    """
    _refuse_table_options(explicit)
    from naslib_diffusion.transfer.image_search import ImageRun

    start, out = time.perf_counter(), params["out"]
    if out is None:
        raise UserError("--data needs --out, the folder of the results")
    images, settings, prior = _prepare(params)
    run = ImageRun(out)
    try:
        done = run.start(settings, params["resume"])
    except ValueError as error:
        raise UserError(str(error)) from None
    quiet = params["quiet"]
    if not quiet:
        _announce(images, settings, len(done))
    trials = _search(images, settings, prior, run, done, params["device"], quiet)
    _finish(images, settings, trials, run, start, params["export"], quiet)


def _refuse_table_options(explicit: Sequence[str]) -> None:
    wrong = {"table", "benchmark", "objective", "direction", "distinct", "api_file"}
    wrong |= {"seeds", "batch"}
    clash = sorted(wrong.intersection(explicit))
    if clash:
        name = clash[0].replace("_", "-")
        raise UserError(f"--{name} belongs to tables; --data trains on images")


def _prepare(params: dict[str, Any]) -> tuple[ImageSet, ImageSettings, Sequence[Any]]:
    """Read images and prior; refuse what cannot work before anything is written."""
    import torch

    from naslib_diffusion.spaces import NASBench201
    from naslib_diffusion.transfer.image_search import ImageSettings, fingerprint
    from naslib_diffusion.transfer.images import ImageError
    from naslib_diffusion.transfer.priors import image_prior_names, load_image_priors
    from naslib_diffusion.transfer.training import Recipe

    data = params["data"]
    if params["space"] not in (None, NASBench201.name):
        raise UserError(f"--data trains cells of nasbench201, not of {params['space']!r}")
    if params["device"].startswith("cuda") and not torch.cuda.is_available():
        raise UserError("--device cuda: there is no GPU that PyTorch can use")
    names = image_prior_names([name for name in params["prior"] if name != "none"])
    try:
        images = _read(data, params["size"], params["quiet"])
        train, _ = images.split(params["holdout"], params["seed"])
        prior = load_image_priors(names, train, params["seed"])
    except (ValueError, ImageError) as error:
        raise UserError(str(error)) from None
    recipe = Recipe(
        **{name: params[name] for name in RECIPE},
        flip=params["flip"],
        crop=params["crop"],
        seed=params["seed"],
    )
    settings = ImageSettings(
        data=str(Path(data).absolute()) if Path(data).is_dir() else data,
        budget=params["budget"] or BUDGET,
        strategy=params["strategy"],
        prior=names or ("none",),
        size=images.images.shape[-1],
        holdout=params["holdout"],
        seed=params["seed"],
        recipe=recipe,
        fingerprint=fingerprint(images),
    )
    return images, settings, prior


def _read(data: str, size: int | None, quiet: bool) -> ImageSet:
    """Read a folder of images, or what torchvision knows by name."""
    from naslib_diffusion.transfer.images import load_images
    from naslib_diffusion.transfer.torchvision_sets import load_torchvision, named

    known = None if Path(data).is_dir() else named(data)
    if known is not None:
        return load_torchvision(*known, size, quiet=quiet)
    return load_images(Path(data), size, quiet=quiet)


def _announce(images: ImageSet, settings: ImageSettings, done: int) -> None:
    skipped = f", {len(images.skipped)} files left out" if images.skipped else ""
    click.echo(
        f"{settings.data}: {len(images):,} images of {len(images.classes)} classes, "
        f"{settings.size} x {settings.size}{skipped}; {settings.budget} cells to train, "
        f"prior: {', '.join(settings.prior)}" + (f", {done} already done" if done else "")
    )


def _search(
    images: ImageSet,
    settings: ImageSettings,
    prior: Sequence[Any],
    run: ImageRun,
    done: list[Evaluation],
    device: str,
    quiet: bool,
) -> list[Evaluation]:
    """Train with a progress bar over epochs; on Ctrl-C say how to go on."""
    import sys

    from tqdm import tqdm

    from naslib_diffusion.transfer.image_search import search_images

    epochs, trials = settings.recipe.epochs, list(done)
    hidden = quiet or not sys.stderr.isatty()
    with tqdm(total=epochs * settings.budget, initial=epochs * len(done), unit="epoch",
              disable=hidden, dynamic_ncols=True, leave=False) as bar:  # fmt: skip

        def epoch_done(epoch: int, loss: float) -> None:
            bar.set_postfix_str(f"cell {len(trials) + 1}, loss {loss:.4f}", refresh=False)
            bar.update(epochs * len(trials) + epoch - bar.n)

        try:
            for trial in search_images(
                images, settings, prior, run, done, device=device, epoch_done=epoch_done
            ):
                trials.append(trial)
                if not quiet:
                    tqdm.write(f"{trial.step:4d}  {trial.value:6.2f} %  {trial.arch}", sys.stdout)
        except KeyboardInterrupt:
            raise Interrupted(
                f"{len(trials)} of {settings.budget} cells are trained; go on with the same "
                "command and --resume"
            ) from None
    return trials


def _finish(
    images: ImageSet,
    settings: ImageSettings,
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
    from naslib_diffusion.transfer.image_search import summarise
    from naslib_diffusion.transfer.training import load_cell

    summary = summarise(settings, images, trials, start)
    write_atomically(run.summary, (json.dumps(summary, indent=2) + "\n").encode())
    if summary["best"] is None:
        raise UserError("every training diverged; try a smaller --lr")
    write_atomically(run.report, render_image_report(summary, trials).encode())
    for kind in export:
        try:
            load_cell(run.best).export(run.path / f"best.{kind}")
        except ValueError as error:
            raise UserError(str(error)) from None
    if not quiet:
        best = summary["best"]
        click.echo(f"best: {best['value']:.2f} %  {best['arch']}  ({run.best})")
        click.echo(f"report: {Path(run.report)}")
