"""End to end on real images: cells that the prior proposes against random search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch
from naslib_diffusion.benchmarks.common import out_option, save, show
from naslib_diffusion.benchmarks.image_tasks import FASHION, source_images
from tqdm import tqdm

from naslib_diffusion import Search
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.transfer.dataset import describe, image_encoder
from naslib_diffusion.transfer.images import ImageSet
from naslib_diffusion.transfer.priors import load_priors
from naslib_diffusion.transfer.task_kernel import TaskKernelPrior, TaskKernelSurrogate
from naslib_diffusion.transfer.training import Recipe, train_cell


def image_set(source: str, per_class: int, folder: Path) -> ImageSet:
    """Return up to `per_class` images of each class of a source, at their own size."""
    images, labels = source_images(source, folder)
    rows = torch.cat([(labels == label).nonzero()[:per_class, 0] for label in range(10)])
    pixels = (255 * images[rows]).to(torch.uint8)[:, None].expand(-1, 3, -1, -1)
    return ImageSet(pixels, labels[rows], tuple(map(str, range(10))))


def data_prior(
    meta: Path, source: str, fashion: Path, train: ImageSet, seed: int
) -> TaskKernelPrior:
    """Learn from all tasks of the meta-dataset but those of `source`; describe the new images."""
    from naslib_diffusion.benchmarks.dataset_aware import load_tasks

    results = [task.results for task in load_tasks(meta, fashion, without=source)]
    surrogate = TaskKernelSurrogate.fit(NASBench201(), results)
    return surrogate.for_data(describe(train.images, train.labels, image_encoder(), seed=seed))


@click.command()
@click.option("--source", type=click.Choice(["digits", "fashion"]), default="digits")
@click.option("--per-class", default=100, show_default=True, help="Images of each class.")
@click.option("--guided", "guided_budget", default=2, show_default=True, help="Trained cells.")
@click.option("--random", "random_budget", default=20, show_default=True, help="Trained cells.")
@click.option("--epochs", default=10, show_default=True)
@click.option("--channels", default=8, show_default=True)
@click.option("--cells", default=1, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--fashion",
    type=click.Path(file_okay=False, path_type=Path),
    default=FASHION,
    help="Folder of Fashion-MNIST (Debian: dataset-fashion-mnist).",
)
@click.option(
    "--meta",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of benchmarks.meta_dataset; adds a prior that sees the images, trained without "
    "the tasks of --source.",
)
@out_option
def main(
    source: str,
    per_class: int,
    guided_budget: int,
    random_budget: int,
    epochs: int,
    channels: int,
    cells: int,
    seed: int,
    fashion: Path,
    meta: Path | None,
    out: Path | None,
) -> None:
    """Best accuracy after a few proposed cells, and after many random ones.

    Cells are compared on images that neither search has seen: each search picks its best by the
    validation images, and that one is measured on the test images.
    """
    torch.set_num_threads(1)
    space = NASBench201()
    rest, test = image_set(source, per_class, fashion).split(0.3, seed)
    train, valid = rest.split(0.25, seed)
    recipe = Recipe(epochs=epochs, batch_size=32, channels=channels, cells=cells, flip=False,
                    crop=1, seed=seed)  # fmt: skip
    plans: dict[str, tuple[Any, str, int]] = {
        "prior": (load_priors(["default"], space), "guided", guided_budget),
        "random": ((), "random", random_budget),
    }
    if meta is not None:
        aware = data_prior(meta, source, fashion, train, seed)
        both = (*load_priors(["default"], space), aware)
        plans = {
            "dataset-aware prior": (aware, "guided", guided_budget),
            "both priors": (both, "guided", guided_budget),
            **plans,
        }
    rows: list[dict[str, object]] = []
    for name, (prior, strategy, budget) in plans.items():
        search = Search(space, strategy=strategy, prior=prior, seed=seed)
        trained = []
        for _ in tqdm(range(budget), desc=name):
            (cell,) = search.ask()
            trained.append(train_cell(cell, train, valid, recipe))
            search.tell([cell], [trained[-1].accuracy])
        best = max(trained, key=lambda t: t.accuracy)
        right = (best(test.images).argmax(1) == test.labels).double().mean()
        values = torch.tensor([t.accuracy for t in trained])
        rows.append({"search": name, "trained cells": budget, "best valid": best.accuracy,
                     "mean valid": float(values.nanmean()), "test": 100 * float(right),
                     "cell": str(best.cell)})  # fmt: skip
    show(f"{source}, {len(train)} training images, {epochs} epochs, seed {seed}", rows)
    save(out, f"transfer_{source}", rows, seed=seed, recipe=recipe)


if __name__ == "__main__":
    main()
