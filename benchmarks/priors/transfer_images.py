"""End to end on real images: cells that priors propose against random search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import torch
from naslib_diffusion.benchmarks.harness.common import (
    need_modules,
    out_option,
    processes_option,
    run_all,
    save,
    seeds_option,
    several,
    show,
)
from naslib_diffusion.benchmarks.priors.dataset_aware import load_tasks, meta_option
from naslib_diffusion.benchmarks.priors.image_tasks import fashion_option, scaled, source_images

from naslib_diffusion import Search
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.surrogates.prior import Prior
from naslib_diffusion.transfer.dataset import describe, image_encoder
from naslib_diffusion.transfer.image_set import ImageSet
from naslib_diffusion.transfer.priors import load_priors
from naslib_diffusion.transfer.recipe import PRESETS, Preset, recipe_for
from naslib_diffusion.transfer.task_kernel import TaskKernelSurrogate
from naslib_diffusion.transfer.training import train_cell

RANDOM = "random"
PRIORS = ("cells", "zero-cost", "images", "both")
"""What ships for cells; the same beside what untrained networks tell; what is learned from other
sources of images; `transfer --data`'s own: the first and the third."""


def image_set(source: str, per_class: int, size: int | None, folder: Path, seed: int) -> ImageSet:
    """Return up to `per_class` images of each class, at random, scaled to `size`."""
    images, labels = source_images(source, folder)
    random = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=random)
    images, labels = images[order], labels[order]
    rows = torch.cat([(labels == label).nonzero()[:per_class, 0] for label in range(10)])
    chosen = images[rows][:, None]
    if size is not None:
        chosen = scaled(chosen, size)
    pixels = (255 * chosen.clamp(0, 1)).to(torch.uint8).expand(-1, 3, -1, -1)
    return ImageSet(pixels, labels[rows], tuple(map(str, range(10))))


def learn(source: str, fashion: Path, meta: Path) -> TaskKernelSurrogate:
    """Learn from all data sets of the meta-dataset but those of `source`."""
    results = [task.results for task in load_tasks(meta, fashion, without=source)]
    return TaskKernelSurrogate.fit(NASBench201(), results)


def one_seed(
    source: str,
    sizes: tuple[int, int | None],
    fashion: Path,
    learned: TaskKernelSurrogate | None,
    budgets: Mapping[str, int],
    preset: Preset,
    given: Mapping[str, int | None],
    seed: int,
) -> dict[str, dict[str, float]]:
    """Run all searches on one split; by name what the cell of best validation accuracy does."""
    torch.set_num_threads(1)
    space = NASBench201()
    rest, test = image_set(source, sizes[0], sizes[1], fashion, seed).split(0.3, seed)
    train, valid = rest.split(0.25, seed)
    recipe = recipe_for(train, preset, seed=seed, given=given)
    cells = load_priors(["tasks"], space)
    both = load_priors(["tasks", "zero-cost"], space)
    priors: dict[str, Sequence[Prior]] = {"cells": cells, "zero-cost": both}
    if learned is not None:
        images = learned.for_data(describe(train.images, train.labels, image_encoder(), seed=seed))
        priors |= {"images": (images,), "both": (*cells, images)}
    found = {}
    for name, budget in budgets.items():
        strategy = RANDOM if name == RANDOM else "guided"
        search = Search(space, strategy=strategy, prior=priors.get(name, ()), seed=seed)
        trained = []
        for _ in range(budget):
            (cell,) = search.ask()
            trained.append(train_cell(cell, train, valid, recipe))
            search.tell([cell], [trained[-1].accuracy])
        best = max(trained, key=lambda t: t.accuracy)
        right = (best(test.images).argmax(1) == test.labels).double().mean()
        found[name] = {"valid": best.accuracy, "test": 100 * float(right)}
    return found


def summarise(
    found: Sequence[Mapping[str, Mapping[str, float]]], budgets: Mapping[str, int]
) -> list[dict[str, object]]:
    """Return a row for each search: means and deviations over seeds, and gains over random."""
    rows: list[dict[str, object]] = []
    for name, budget in budgets.items():
        test = torch.tensor([run[name]["test"] for run in found]).double()
        gains = test - torch.tensor([run[RANDOM]["test"] for run in found]).double()
        error = float(gains.std()) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
        valid = sum(run[name]["valid"] for run in found) / len(found)
        row: dict[str, object] = {"search": name, "trained cells": budget, "valid": valid,
                                  "test": float(test.mean())}  # fmt: skip
        if name != RANDOM:
            row["gain"] = f"{gains.mean():+.2f} ({error:.2f})"
            row["better, equal, worse"] = ", ".join(
                str(int(n)) for n in ((gains > 0).sum(), (gains == 0).sum(), (gains < 0).sum())
            )
        rows.append(row)
    keys = dict.fromkeys(key for row in rows for key in row)
    return [{key: row.get(key, "") for key in keys} for row in rows]


@click.command()
@click.option(
    "--source",
    type=click.Choice(["digits", "fashion"]),
    default="digits",
    show_default=True,
    help="Source of the images, which no prior knows.",
)
@click.option(
    "--per-class", default=100, show_default=True, help="Number of images of each class."
)
@click.option("--size", type=int, help="Scale the images to so many pixels a side.")
@several("--prior", PRIORS, "Prior to compare")
@click.option(
    "--guided",
    "guided_budget",
    default=2,
    show_default=True,
    help="Number of cells that each guided search trains.",
)
@click.option(
    "--random",
    "random_budget",
    default=20,
    show_default=True,
    help="Number of cells that random search trains.",
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="quick",
    show_default=True,
    help="Effort of each training, as in `transfer --data`.",
)
@click.option(
    "--epochs", type=int, help="Number of epochs of each training.  [default: by --preset]"
)
@click.option(
    "--channels", type=int, help="Number of channels in the first stage.  [default: by --preset]"
)
@click.option("--cells", type=int, help="Number of cells in each stage.  [default: by --preset]")
@click.option(
    "--crop", type=int, help="Largest random shift of an image, in pixels.  [default: by the size]"
)
@seeds_option(default=10)
@processes_option
@fashion_option
@meta_option
@out_option
def main(
    source: str,
    per_class: int,
    size: int | None,
    priors: tuple[str, ...],
    guided_budget: int,
    random_budget: int,
    preset: Preset,
    epochs: int | None,
    channels: int | None,
    cells: int | None,
    crop: int | None,
    seeds: int,
    processes: int,
    fashion: Path,
    meta: Path,
    out: Path | None,
) -> None:
    """Compare a few cells that priors propose with many random ones, all trained on images.

    No prior knows the source of images. Each search picks its best by the validation images, and
    that one is measured on test images that no search has seen.
    """
    if source == "digits":
        need_modules("bench", "sklearn")
    source_images(source, fashion)  # which, if they are missing, are missed before work begins
    budgets = dict.fromkeys(priors or PRIORS, guided_budget) | {RANDOM: random_budget}
    learned = learn(source, fashion, meta) if {"images", "both"} & budgets.keys() else None
    given = {"epochs": epochs, "channels": channels, "cells": cells, "crop": crop}
    jobs = [
        (source, (per_class, size), fashion, learned, budgets, preset, given, seed)
        for seed in range(seeds)
    ]
    rows = summarise(run_all(one_seed, jobs, processes, source), budgets)
    note = "gain: over random search, paired by seed; its standard error in brackets"
    title = f"{source}, {per_class} images of each class, preset {preset}, {seeds} seeds"
    show(title, rows, [note])
    facts = {"seeds": seeds, "per_class": per_class, "preset": preset, "given": given}
    save(out, f"transfer_{source}", rows, **facts)


if __name__ == "__main__":
    main()
