"""`naslib-diffusion transfer`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from naslib_diffusion.commands.errors import UserError
from naslib_diffusion.commands.groups import Sectioned
from naslib_diffusion.commands.options import (
    POSITIVE,
    SECTIONS,
    Finite,
    Whole,
    batch_option,
    check_device,
    quiet_option,
    resume_option,
    seed_option,
    seeds_option,
    strategy_option,
    table_options,
)
from naslib_diffusion.commands.table_run import check_priors, run_search

TABLE_BUDGET = 30
"""Evaluations of a table, unless told."""


IMAGE_ONLY = frozenset(
    [
        "size",
        "holdout",
        "preset",
        "epochs",
        "batch_size",
        "lr",
        "momentum",
        "weight_decay",
        "channels",
        "cells",
        "flip",
        "crop",
        "threads",
        "device",
        "export",
    ]
)
"""Options that mean nothing without --data."""


def image_options(command: Any) -> Any:
    """Add the options of --data."""
    number: dict[str, Any] = {"metavar": "X", "show_default": True}
    options = [
        click.option(
            "--data",
            metavar="FOLDER",
            help="Your images, in one subfolder per class, or in train/ and val/ with such "
            "subfolders. Each proposed cell is trained on them. torchvision's data sets are "
            "cifar10:FOLDER, cifar100:FOLDER, aircraft:FOLDER and pets:FOLDER.",
        ),
        click.option("--size", metavar="N", type=Whole(4, 512),
                     help="Scale images to N x N.  [default: their own size, 8 to 32]"),
        click.option("--holdout", type=Finite(0, 0.9, min_open=True), default=0.2,
                     help="Share of the images of each class that only measures accuracy, if "
                     "the folder has no val/.",
                     **number),
        click.option("--preset", type=click.Choice(["quick", "standard", "paper"]),
                     default="quick", show_default=True,
                     help="Effort of each training: 20 epochs of a network with 8 channels "
                     "and 1 cell a stage (quick), 60 with 16 and 2 (standard), 200 with 16 and 5 "
                     "(paper)."),
        click.option("--epochs", metavar="N", type=POSITIVE,
                     help="Epochs of each training.  [default: by --preset]"),
        click.option("--batch-size", metavar="N", type=Whole(2),
                     help="Images in one step of training.  [default: by the number of images, "
                     "16 to 256]"),
        click.option("--lr", type=Finite(0, min_open=True), default=0.1,
                     help="Learning rate of training, at its start.", **number),
        click.option("--momentum", type=Finite(0, 1, max_open=True), default=0.9,
                     help="Momentum of the gradient descent.", **number),
        click.option("--weight-decay", type=Finite(0), default=5e-4,
                     help="How strongly weights are pulled towards zero.", **number),
        click.option("--channels", metavar="N", type=Whole(1, 1024),
                     help="Channels of the first of three stages.  [default: by --preset]"),
        click.option("--cells", metavar="N", type=Whole(1, 50),
                     help="Copies of the cell in each stage.  [default: by --preset]"),
        click.option("--flip/--no-flip", default=None,
                     help="Mirror training images at random, or never.  [default: where the "
                     "images allow it]"),
        click.option("--crop", metavar="N", type=Whole(0, 64),
                     help="Shift training images at random, by at most N pixels.  [default: an "
                     "eighth of the size, 0 below 16 pixels]"),
        click.option("--threads", metavar="N", type=POSITIVE,
                     help="CPU threads.  [default: as many as make a timed step faster]"),
        click.option("--device", metavar="DEVICE", callback=check_device, default="cpu",
                     show_default=True, help="Where networks are trained: cpu or cuda."),
        click.option("--export", type=click.Choice(["onnx", "pt"]), multiple=True,
                     help="Also write the best network as ONNX or TorchScript (pt)."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command(cls=Sectioned, sections=SECTIONS)
@table_options("--api-file")
@image_options
@click.option(
    "--prior",
    metavar="NAME",
    multiple=True,
    default=("default",),
    show_default=True,
    help="What to expect of architectures before any is measured: what other tasks say (tasks), "
    "what untrained networks say (zero-cost), or all that ships for the space (default). May also "
    "be a .safetensors file, or a table of another task, FILE or FILE:COLUMN. With --data: what "
    "large data sets say (cells), what small ones say that look like yours (images), both "
    "(default), or nothing (none). May be given several times.",
)
@click.option(
    "--budget",
    metavar="N",
    type=POSITIVE,
    help="How many architectures each search may evaluate; with --data, how many cells to train.  "
    "[default: 30, or 5 with --data]",
)
@seeds_option
@seed_option
@click.option(
    "--initial",
    metavar="N",
    type=Whole(min=0),
    default=0,
    show_default=True,
    help="How many random architectures each search evaluates before the prior proposes any.",
)
@batch_option
@strategy_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the results.  [default: runs/transfer-NAME-TIME]",
)
@resume_option
@quiet_option
@click.pass_context
def transfer(
    context: click.Context, /, out: Path | None, resume: bool, quiet: bool, **_: Any
) -> None:
    """Search with what other tasks say about the architectures of this one.

    A model that learned from other tasks proposes the first architectures, and each result
    corrects it. The files are those of `search`: trials.csv, summary.json and report.html. With
    --data, each proposed cell is trained on your images, and the best network is written, too.

    \b
    Examples:
      naslib-diffusion transfer --benchmark nasbench201/imagenet16 --budget 10
      naslib-diffusion transfer --table mine.csv --objective accuracy --out runs/mine
      naslib-diffusion transfer --data photos --out runs/photos
      naslib-diffusion transfer --data cifar10:downloads --device cuda --out runs/cifar10
      naslib-diffusion transfer --data photos --preset standard --out runs/standard
      naslib-diffusion transfer --table mine.csv --prior other.csv:accuracy --out runs/mine
    """
    given = click.core.ParameterSource.COMMANDLINE
    explicit = [n for n in context.params if context.get_parameter_source(n) is given]
    if context.params["data"] is not None:
        from naslib_diffusion.commands.transfer_images import run_images

        return run_images(context.params, explicit=explicit)
    alone = sorted(IMAGE_ONLY.intersection(explicit))
    if alone:
        raise UserError(f"--{alone[0].replace('_', '-')} belongs to --data, images to train on")
    if context.params["budget"] is None:
        context.params["budget"] = TABLE_BUDGET
    if not resume:
        check_priors(context)
    return run_search(context, out, resume, quiet)
