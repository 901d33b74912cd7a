"""The project's own meta-dataset: cells really trained on many small image tasks.

Each job trains one cell on several tasks of equal resolution at once, as independent copies in one
network. Jobs are a fixed sequence, and each is written as soon as it is finished, so a run that
was cut off goes on where it was.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import time
from pathlib import Path

import click
import torch
from naslib_diffusion.benchmarks.harness.common import need_modules
from naslib_diffusion.benchmarks.priors.image_tasks import (
    ImageTask,
    TaskSpec,
    by_resolution,
    draw_specs,
    fashion_option,
    make_task,
    spec_row,
)
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from naslib_diffusion.runtime.files import write_atomically
from naslib_diffusion.runtime.locks import claimed
from naslib_diffusion.runtime.logs import RowLog
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.nasbench201 import Cell
from naslib_diffusion.spaces.nasbench201_network import CellNetwork
from naslib_diffusion.transfer.recipe import Recipe

COLUMNS = ("job", "task", "arch", "accuracy")
CLASSES = 10


RECIPE = Recipe(channels=8, cells=1, batch_size=32, flip=False, crop=0)
"""Of each training; its length is `STEPS`, since the tasks of a job differ in their images."""

STEPS = 100
COPIES = 8
"""Tasks that a job trains a cell on."""


def train_cell(cell: Cell, tasks: list[ImageTask], seed: int) -> list[float]:
    """Train `cell` on each task; return test accuracies in percent, NaN for one that diverged."""
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CellNetwork(
            cell, CLASSES, channels=RECIPE.channels, cells=RECIPE.cells, copies=len(tasks)
        )
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = RECIPE.optimizer(network)
    for step in range(STEPS):
        RECIPE.set_rate(optimizer, step / STEPS)
        images, labels = _batch([task.train for task in tasks], RECIPE.batch_size, random)
        logits = network(images).view(len(images), len(tasks), CLASSES)
        loss = functional.cross_entropy(logits.permute(0, 2, 1), labels, reduction="none")
        optimizer.zero_grad()
        loss.mean(0).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return _accuracies(network.eval(), tasks)


def _batch(
    data: list[tuple[Tensor, Tensor]], size: int, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw a batch for each task; images `B x 3K x R x R`, labels `B x K`."""
    rows = [torch.randint(len(labels), (size,), generator=random) for _, labels in data]
    images = [_centred(x[chosen]) for (x, _), chosen in zip(data, rows, strict=True)]
    labels = [y[chosen] for (_, y), chosen in zip(data, rows, strict=True)]
    stacked = torch.cat(images, 1).contiguous(memory_format=torch.channels_last)
    return stacked, torch.stack(labels, 1)


def _centred(images: Tensor) -> Tensor:
    return 2 * images - 1


@torch.no_grad()
def _accuracies(network: CellNetwork, tasks: list[ImageTask]) -> list[float]:
    count = max(len(task.test[1]) for task in tasks)
    padded = [functional.pad(x, (0, 0, 0, 0, 0, 0, 0, count - len(x))) for x, _ in
              (task.test for task in tasks)]  # fmt: skip
    logits = network(torch.cat([_centred(x) for x in padded], 1))
    logits = logits.view(count, len(tasks), CLASSES)
    found = []
    for index, task in enumerate(tasks):
        own = logits[: len(task.test[1]), index]
        right = (own.argmax(1) == task.test[1]).double().mean() * 100
        found.append(round(float(right), 3) if own.isfinite().all() else float("nan"))
    return found


def join_results(folder: Path, table: Path) -> int:
    """Write one row per training, its task's facts beside it; return their number."""
    with (folder / "tasks.csv").open(newline="") as file:
        tasks = {row["task"]: row for row in csv.DictReader(file)}
    with (folder / "triples.csv").open(newline="") as file:
        rows = [tasks[row["task"]] | row for row in csv.DictReader(file)]
    with gzip.open(table, "wt", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def job_cells(count: int, seed: int) -> list[Cell]:
    """Return the cell of each job: distinct ones in random order, and again."""
    space = NASBench201()
    distinct = list({space.canonical(cell): cell for cell in space}.values())
    order = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed)).tolist()
    return [distinct[order[i % len(distinct)]] for i in range(count)]


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the trainings; those that are there are not repeated.",
)
@click.option("--tasks", "count", default=192, show_default=True, help="Number of tasks to draw.")
@click.option(
    "--jobs",
    default=2400,
    show_default=True,
    help="Number of cells to train, on eight tasks each.",
)
@click.option("--minutes", type=float, help="Stop after so long; the same command goes on.")
@click.option("--seed", default=0, show_default=True, help="Seed of the tasks and the cells.")
@fashion_option
@click.option("--table", type=click.Path(path_type=Path), help="Only join what --out has into it.")
def main(
    out: Path,
    count: int,
    jobs: int,
    minutes: float | None,
    seed: int,
    fashion: Path,
    table: Path | None,
) -> None:
    """Train cells on variants of digits and Fashion-MNIST; resumable."""
    torch.set_num_threads(1)
    if table is not None:
        click.echo(f"{table}: {join_results(out, table)} trainings")
        return
    need_modules("bench", "sklearn")
    out.mkdir(parents=True, exist_ok=True)
    end = math.inf if minutes is None else time.monotonic() + 60 * minutes
    try:
        with claimed(out):
            _train(out, draw_specs(count, seed), jobs, seed, fashion, end)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def _train(
    out: Path, specs: list[TaskSpec], jobs: int, seed: int, fashion: Path, end: float
) -> None:
    """Make the tasks, and do the jobs that are left until a moment of `time.monotonic`.

    Raises:
        ValueError: if the folder holds something else; in one line.
    """
    _write_specs(out / "tasks.csv", specs)
    groups, cells = by_resolution(specs, COPIES), job_cells(jobs, seed)
    if not groups:
        raise ValueError(f"{len(specs)} tasks leave no {COPIES} of one resolution; draw more")
    tasks = {i: make_task(specs[i], fashion) for group in groups for i in group}
    with RowLog(out / "triples.csv", [COLUMNS], group=COPIES) as log:
        done = len(log.rows) // COPIES
        for job in tqdm(range(done, jobs), total=jobs, initial=done, unit="job"):
            if time.monotonic() > end:
                break
            group = groups[job % len(groups)]
            values = train_cell(cells[job], [tasks[i] for i in group], seed=job)
            log.append(*((job, i, cells[job], v) for i, v in zip(group, values, strict=True)))


def _write_specs(path: Path, specs: list[TaskSpec]) -> None:
    """Write the tasks, or hold the file to them.

    Raises:
        ValueError: if it is there with other tasks, of which the trainings are.
    """
    rows = [{"task": i, **spec_row(spec)} for i, spec in enumerate(specs)]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    if path.exists() and path.read_text() != text.getvalue():
        raise ValueError(f"{path} has other tasks; choose another --out, or the same --tasks")
    write_atomically(path, text.getvalue())


if __name__ == "__main__":
    main()
