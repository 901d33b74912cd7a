"""Guided diffusion inside NASLib: best accuracy against queries, beside NASLib's optimizers."""

from __future__ import annotations

import contextlib
import functools
import importlib.resources
import io
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from matplotlib.figure import Figure
from naslib_diffusion.benchmarks.harness.common import (
    CELLS,
    need_files,
    save,
    seeds_option,
    several,
    show,
)
from naslib_diffusion.plugins.naslib import compat
from naslib_diffusion.plugins.naslib.configuration import read_config
from naslib_diffusion.plugins.naslib.dataset_api import table_api
from naslib_diffusion.plugins.naslib.optimizers import supported_optimizers
from naslib_diffusion.plugins.naslib.runner import make_space
from tqdm import tqdm

from naslib_diffusion.runtime.files import write_atomically

DATASETS = ("cifar10", "cifar100")
WITH_PREDICTOR = ("bananas", "guided_bananas", "npenas", "guided_npenas")
METHODS = ("rs", "re", "ls", *WITH_PREDICTOR, "diffusionnag")
TIMED = ("bananas", "diffusionnag")
MILESTONES = (20, 30, 50, 100)
"""Queries at which the table says how far a method is."""

_COLORS = {
    "rs": "#999999",
    "re": "#8c6d31",
    "ls": "#bd9e39",
    "npenas": "#6baed6",
    "guided_npenas": "#08519c",
    "bananas": "#fdae6b",
    "guided_bananas": "#d94801",
    "diffusionnag": "#238b45",
}


@dataclass(frozen=True)
class Job:
    """One search.

    Attributes:
        dataset: "cifar10" or "cifar100".
        method: the config's `optimizer`.
        predictor: NASLib's `predictor_type`; "" for methods without.
        seed: of the run.
        epochs: queries.
        models: whether NASLib instantiates a model for each architecture, as it does unless told.
    """

    dataset: str
    method: str
    predictor: str
    seed: int
    epochs: int
    models: bool = False

    @property
    def file(self) -> str:
        """Name of the result's file."""
        parts = [self.dataset, self.method, self.predictor, f"{self.seed}-{self.epochs}"]
        return "-".join(filter(None, [*parts, "models" * self.models])) + ".json"


def search(job: Job, table: Path) -> dict[str, Any]:
    """Run NASLib's Trainer and return its trajectory and the optimizer's own CPU seconds.

    Seconds are those of `new_epoch`: choosing an architecture and looking it up.
    """
    name = "bananas.yaml" if job.method != "diffusionnag" else "diffusionnag.yaml"
    settings = ["optimizer", job.method, "dataset", job.dataset, "seed", job.seed]
    settings += ["search.epochs", job.epochs, "search.instantiate_model", job.models]
    settings += ["search.checkpoint_freq", 10 * job.epochs]
    if job.predictor:
        settings += ["search.predictor_type", job.predictor]
    configs = importlib.resources.files("naslib_diffusion.plugins.naslib") / "configs"
    with (
        tempfile.TemporaryDirectory() as folder,
        importlib.resources.as_file(configs / name) as path,
        contextlib.redirect_stdout(io.StringIO()),  # NASLib's predictors print
    ):
        config = read_config(path, [*map(str, settings), "out_dir", folder])
        compat.load("naslib.utils").set_seed(job.seed)
        optimizer = supported_optimizers(config)[job.method]
        optimizer.adapt_search_space(make_space(config), dataset_api=_api(table, job.dataset))
        seconds = _time_epochs(optimizer)
        trainer = compat.load("naslib.defaults.trainer").Trainer(
            optimizer, config, lightweight_output=True
        )
        trainer.search()
    trajectory = trainer.search_trajectory
    return {
        **asdict(job),
        "validation": trajectory.valid_acc,
        "test": trajectory.test_acc,
        "seconds": seconds,
    }


@functools.cache
def _api(table: Path, dataset: str) -> Any:
    return table_api(table, "nasbench201", dataset)


def _time_epochs(optimizer: Any) -> list[float]:
    """Make `new_epoch` record the CPU seconds it takes; return the list that it fills."""
    seconds: list[float] = []
    original = optimizer.new_epoch

    def timed(epoch: int) -> None:
        start = time.process_time()
        original(epoch)
        seconds.append(time.process_time() - start)

    optimizer.new_epoch = timed
    return seconds


def summarise(runs: Sequence[dict[str, Any]]) -> list[dict[str, object]]:
    """Return a row for each data set and method: accuracies at the milestones, seconds."""
    rows: list[dict[str, object]] = []
    for (dataset, method, predictor), group in _groups(runs).items():
        validation = np.array([run["validation"] for run in group])
        test = np.array([run["test"] for run in group])
        row: dict[str, object] = {
            "data set": dataset,
            "method": f"{method} ({predictor})" if predictor else method,
            "seeds": len(group),
        }
        for queries in (m for m in MILESTONES if m <= validation.shape[1]):
            column = validation[:, queries - 1]
            row[f"best of {queries}"] = f"{column.mean():.2f} ± {column.std():.2f}"
        row["test"] = f"{test[:, -1].mean():.2f} ± {test[:, -1].std():.2f}"
        row["mean curve"] = float(validation.mean())
        row["s/epoch"] = float(np.mean([run["seconds"] for run in group]))
        rows.append(row)
    return rows


def compare(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Say for each guided optimizer how it does against its original, paired by seed."""
    notes = []
    groups = _groups(runs)
    for (dataset, method, predictor), group in groups.items():
        original = groups.get((dataset, method.removeprefix("guided_"), predictor))
        if not method.startswith("guided_") or original is None:
            continue
        ours = {run["seed"]: np.array(run["validation"]) for run in group}
        theirs = {run["seed"]: np.array(run["validation"]) for run in original}
        seeds = sorted(ours.keys() & theirs.keys())
        if not seeds:
            continue
        last = [float(ours[s][-1] - theirs[s][-1]) for s in seeds]
        curve = [float(ours[s].mean() - theirs[s].mean()) for s in seeds]
        notes.append(
            f"{dataset}, {method} against its original with {predictor}, {len(seeds)} seeds: "
            f"last {np.mean(last):+.2f} ({_score(last)}), "
            f"mean of the curve {np.mean(curve):+.2f} ({_score(curve)})"
        )
    return notes


def compare_times(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Say how long the optimizers take where NASLib instantiates models."""
    notes = []
    groups = {key: np.mean([r["seconds"] for r in g]) for key, g in _groups(runs).items()}
    for (dataset, method, predictor), seconds in groups.items():
        ours = groups.get((dataset, "diffusionnag", ""))
        if method == "bananas" and ours is not None:
            notes.append(
                f"{dataset}, NASLib's default, a model for each architecture: {ours:.3f} s of CPU "
                f"per epoch for diffusionnag, {seconds:.3f} s for bananas ({predictor}): "
                f"1/{seconds / ours:.1f}"
            )
    return notes


def _score(differences: Sequence[float]) -> str:
    wins, losses = (sum(s * d > 0 for d in differences) for s in (1, -1))
    return f"{wins} won, {len(differences) - wins - losses} tied, {losses} lost"


def _groups(
    runs: Sequence[dict[str, Any]],
) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """Sort runs by data set, method and predictor."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    order = sorted(runs, key=lambda r: (r["dataset"], METHODS.index(r["method"]), r["seed"]))
    for run in order:
        groups.setdefault((run["dataset"], run["method"], run["predictor"]), []).append(run)
    return groups


def draw(runs: Sequence[dict[str, Any]], predictor: str, path: Path) -> None:
    """Draw the best validation accuracy against queries, mean and middle half of the seeds."""
    runs = [run for run in runs if run["predictor"] in ("", predictor)]
    datasets = sorted({run["dataset"] for run in runs})
    figure = Figure(figsize=(5 * len(datasets) + 2, 4.2), layout="constrained")
    for axes, dataset in zip(
        figure.subplots(1, len(datasets), squeeze=False)[0], datasets, strict=True
    ):
        tops, starts = [], []
        for (name, method, _), group in _groups(runs).items():
            if name != dataset:
                continue
            curves = np.array([run["validation"] for run in group])
            queries = np.arange(1, curves.shape[1] + 1)
            low, high = np.quantile(curves, [0.25, 0.75], axis=0)
            strong = method in ("diffusionnag", "guided_bananas", "guided_npenas")
            axes.plot(
                queries,
                curves.mean(0),
                color=_COLORS[method],
                lw=2.2 if strong else 1.4,
                ls="-" if strong else "--",
                label=method,
            )
            axes.fill_between(queries, low, high, color=_COLORS[method], alpha=0.12, lw=0)
            tops.append(curves.mean(0).max())
            starts.append(curves[:, min(9, curves.shape[1] - 1)].mean())
        room = max(tops) - min(starts) or 1.0
        axes.set(
            title=dataset,
            xlabel="queries",
            ylabel="best validation accuracy (%)",
            xlim=(1, None),
            ylim=(min(starts) - 0.1 * room, max(tops) + 0.08 * room),
        )
        axes.grid(alpha=0.25)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", title=f"predictor: {predictor}")
    figure.savefig(path, dpi=150)


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="NASLIB_DIFFUSION_DATA",
    required=True,
    help="Folder with nasbench201.csv.gz; or set NASLIB_DIFFUSION_DATA.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/bench-naslib"),
    show_default=True,
    help="Folder of the results; runs that are there are not repeated.",
)
@several("--dataset", DATASETS, "Data set of NAS-Bench-201")
@several("--method", METHODS, "NASLib's optimizer, or ours")
@click.option(
    "--predictor",
    "predictors",
    multiple=True,
    help="NASLib's predictor_type; bananas takes 100 times as long as lgb.  [default: lgb]",
)
@seeds_option(default=10)
@click.option("--epochs", default=100, show_default=True, help="Number of queries of each run.")
@click.option(
    "--timing-epochs",
    default=30,
    show_default=True,
    help="Number of queries of the runs that are timed with models of the networks; 0 for none.",
)
@click.option("--report-only", is_flag=True, help="Run nothing; report what is in --out.")
def main(
    data: Path,
    out: Path,
    datasets: tuple[str, ...],
    methods: tuple[str, ...],
    predictors: tuple[str, ...],
    seeds: int,
    epochs: int,
    timing_epochs: int,
    report_only: bool,
) -> None:
    """Compare NASLib's optimizers with ours inside NASLib, by the best accuracy after N queries.

    NASLib has to be installed (see docs/naslib.md).
    """
    datasets, methods = datasets or DATASETS, methods or METHODS
    predictors = predictors or ("lgb",)
    jobs = [
        Job(dataset, method, predictor, seed, epochs)
        for seed in range(seeds)
        for method in methods
        for predictor in (predictors if method in WITH_PREDICTOR else ("",))
        for dataset in datasets
    ]
    timing = [
        Job(datasets[0], method, predictors[0] if method == "bananas" else "", 0, n, models=True)
        for n in [timing_epochs] * (timing_epochs > 0)
        for method in TIMED
        if method in methods
    ]
    need_files(data, CELLS)
    folder = out / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    todo = (
        []
        if report_only
        else [job for job in [*jobs, *timing] if not (folder / job.file).exists()]
    )
    if todo:
        _need_naslib()
    for job in tqdm(todo, desc="searches"):
        result = search(job, data / CELLS)
        write_atomically(folder / job.file, json.dumps(result) + "\n")
    _report(out, _load(folder, jobs), _load(folder, timing), predictors)


def _need_naslib() -> None:
    try:
        compat.load("naslib.utils")
    except compat.NaslibMissing as error:
        raise click.UsageError(str(error)) from None


def _load(folder: Path, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    files = [folder / job.file for job in jobs]
    return [json.loads(file.read_text()) for file in files if file.exists()]


def _report(
    out: Path,
    runs: list[dict[str, Any]],
    timed: list[dict[str, Any]],
    predictors: Sequence[str],
) -> None:
    if not runs:
        raise click.UsageError(f"{out} has no finished runs")
    rows = summarise(runs)
    notes = [*compare(runs), *compare_times(timed)]
    show("Inside NASLib: best validation accuracy (%) after that many queries", rows, notes)
    save(out, "naslib", rows, notes=notes)
    for predictor in predictors:
        draw(runs, predictor, out / f"naslib-{predictor}.png")


if __name__ == "__main__":
    main()
