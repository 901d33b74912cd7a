"""Does it help to see the data set? Held-out image tasks of the own meta-dataset."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from naslib_diffusion.benchmarks.common import out_option, save, show
from naslib_diffusion.benchmarks.image_tasks import FASHION, TaskSpec, make_task
from torch import Tensor
from tqdm import tqdm

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.transfer.dataset import (
    AwareConfig,
    DatasetAwareSurrogate,
    TaskTable,
    describe,
    image_encoder,
)

INPUTS = 47
LEAST_CELLS = 8
"""Tasks with fewer finished cells are left out."""


@dataclass(frozen=True)
class Task:
    """A task of the meta-dataset: its source and table."""

    source: str
    table: TaskTable


def load_tasks(folder: Path, fashion: Path, without: str | None = None) -> list[Task]:
    """Read what `benchmarks/meta_dataset.py` wrote, and describe each data set.

    Args:
        folder: of the meta-dataset.
        fashion: of Fashion-MNIST.
        without: leave the tasks of this source of images out.
    """
    space, encoder = NASBench201(), image_encoder()
    found: dict[int, list[tuple[str, float]]] = {}
    with (folder / "triples.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if math.isfinite(float(row["accuracy"])):
                pair = row["arch"], float(row["accuracy"])
                found.setdefault(int(row["task"]), []).append(pair)
    tasks = []
    with (folder / "tasks.csv").open(newline="") as file:
        for row in tqdm(list(csv.DictReader(file)), desc="data sets"):
            pairs = found.get(int(row["task"]), [])
            if len(pairs) < LEAST_CELLS or row["source"] == without:
                continue
            spec = TaskSpec(
                row["source"], tuple(map(int, row["classes"].split())), int(row["resolution"]),
                row["colour"], float(row["noise"]), int(row["examples"]), int(row["seed"]),
            )  # fmt: skip
            images, labels = make_task(spec, fashion).train
            data = describe((255 * images).to(torch.uint8), labels, encoder, seed=spec.seed)
            x = torch.cat(space.features(space.encode([space.parse(a) for a, _ in pairs])), -1)
            y = torch.tensor([value for _, value in pairs])
            y = (y - y.mean()) / y.std().clamp(min=1e-3)
            tasks.append(Task(spec.source, TaskTable(x.float(), y, data)))
    return tasks


def spearman(a: Tensor, b: Tensor) -> float:
    """Return the rank correlation; ties have no effect worth the code here."""
    ranks = torch.stack([v.argsort().argsort().float() for v in (a, b)])
    return float(torch.corrcoef(ranks)[0, 1])


def judge(
    train: Sequence[Task], test: Sequence[Task], seed: int, config: AwareConfig
) -> list[dict[str, float]]:
    """Return rank correlation and regret on each held-out task, with features and without.

    Regret is that of the predicted best among the measured cells, in standard deviations.
    """
    space = NASBench201()
    aware = DatasetAwareSurrogate(space, INPUTS, dataclasses.replace(config, seed=seed))
    aware.train_on([task.table for task in train])
    blind = DatasetAwareSurrogate(
        space, INPUTS, dataclasses.replace(config, seed=seed, unknown=1.0)
    )
    blind.train_on([task.table for task in train])
    rows = []
    for task in test:
        table = task.table
        predicted = {
            "with": aware(table.x, table.data),
            "hidden": aware(table.x, None),
            "without": blind(table.x, None),
        }
        row = {}
        for name, values in predicted.items():
            row[f"rho {name}"] = spearman(values, table.y)
            row[f"regret {name}"] = float(table.y.max() - table.y[values.argmax()])
        rows.append(row)
    return rows


@click.command()
@click.option(
    "--meta",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder that benchmarks.meta_dataset wrote.",
)
@click.option(
    "--fashion",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=FASHION,
    help="Folder of Fashion-MNIST (Debian: dataset-fashion-mnist).",
)
@click.option("--folds", default=6, show_default=True)
@click.option("--seeds", default=2, show_default=True)
@out_option
def main(meta: Path, fashion: Path, folds: int, seeds: int, out: Path | None) -> None:
    """Rank correlation and regret on tasks, and on a source of images, never seen in training."""
    torch.set_num_threads(1)
    tasks = load_tasks(meta, fashion)
    rows: list[dict[str, object]] = []
    splits = {f"{folds}-fold": [tasks[i::folds] for i in range(folds)]}
    for source in ("digits", "fashion"):
        splits[f"no {source}"] = [[task for task in tasks if task.source == source]]
    for name, parts in splits.items():
        found = []
        for seed in range(seeds):
            for held in tqdm(parts, desc=f"{name}, seed {seed}"):
                kept = [task for task in tasks if all(task is not other for other in held)]
                found += judge(kept, held, seed, AwareConfig())
        row: dict[str, object] = {"split": name, "held-out tasks": sum(map(len, parts))}
        for kind in ("rho", "regret"):
            for which in ("with", "hidden", "without"):
                values = torch.tensor([r[f"{kind} {which}"] for r in found])
                row[f"{kind} {which}"] = f"{values.nanmean():.3f}"
            difference = torch.tensor([r[f"{kind} with"] - r[f"{kind} without"] for r in found])
            difference = difference[difference.isfinite()].view(-1)
            error = difference.std() / (len(difference) / seeds) ** 0.5
            row[f"{kind} gain"] = f"{difference.mean():+.3f} ({error:.3f})"
        rows.append(row)
    triples = sum(len(task.table.y) for task in tasks)
    note = "gain: with features less without, paired by task; in brackets its standard error"
    show(f"{triples:,} triples of {len(tasks)} tasks, {seeds} seeds", rows, [note])
    save(out, "dataset_aware", rows, folds=folds, seeds=seeds, triples=triples)


if __name__ == "__main__":
    main()
