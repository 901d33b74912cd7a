"""Every measurement with one command: kept, resumable, on one page."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from naslib_diffusion.benchmarks.harness.common import data_option, processes_option, run_all, show
from naslib_diffusion.benchmarks.harness.provenance import facts

from naslib_diffusion.commands.bench import MEASUREMENTS
from naslib_diffusion.report.measurements import Measurement, render_measurements
from naslib_diffusion.runtime.files import write_atomically

QUICK: Mapping[str, str] = {
    "ablation": "--problem nasbench201/cifar100 --seeds 1 --budget 15",
    "acquisition": "--problems 1 --case 6x5",
    "checkpoint": "--samples 500",
    "compare": "--seeds 2 --budget 20 --benchmark nasbench201/cifar100",
    "conditional": "--problem branches --seeds 1 --budget 20",
    "dataset_aware": "--folds 2 --seeds 1",
    "figure3": "--seeds 2",
    "figure4": "--task nasbench201 --surrogate GP-UCB --seeds 2 --budget 30",
    "gpt": "--seeds 1 --budget 20",
    "gpt_within": "--scale s --seeds 1 --budget 20",
    "gpu": "--quick --seconds 60",
    "graph_limits": "",
    "multiobjective": "--task latency --method diffusion --method NSGA-II --seeds 1 --budget 20",
    "naslib": "--dataset cifar10 --method rs --method re --method diffusionnag --seeds 1 "
    "--epochs 30 --timing-epochs 0",
    "optuna": "--task nasbench201/cifar100 --sampler diffusion --sampler random --sampler tpe "
    "--seeds 2 --trials 40",
    "priors": "--part cells --task nasbench201/imagenet16 --seeds 1 --budget 12",
    "published": "--seeds 5",
    "referees": "--quick --sampler diffusion --sampler gp --sampler random",
    "reliability": "--part kills --part numerics --kills 1 --only search --histories 25",
    "scratch": "--seeds 1 --budget 40",
    "speed": "--runs 1",
    "steps": "--problem stages --seeds 1 --budget 15",
    "table1": "--seeds 1",
    "table3": "--space nasbenchgraph --network full --seeds 1 --steps 200 --samples 500",
    "table4": "--seeds 2",
    "transfer": "--part table1 --seeds 1",
    "transfer_images": "--seeds 1 --guided 1 --random 2",
}
"""Options of each measurement with --quick; without, all have their defaults."""

LIMIT = 300
"""Seconds after which a measurement is stopped with --quick."""
DESCRIPTIONS = {name: text for room in MEASUREMENTS.values() for name, text in room.items()}
OTHERS = ("all", "results")
"""Commands that measure nothing of their own."""


@dataclass(frozen=True)
class Outcome:
    """What became of one measurement.

    Attributes:
        name: of the measurement.
        command: as a user types it, without folders.
        status: "done", "skipped" for lack of data, a package or a device, "stopped", "failed".
        message: why it was not done.
        seconds: that it took.
        facts: versions, commit, machine and time.
    """

    name: str
    command: str
    status: str
    message: str
    seconds: float
    facts: dict[str, Any]


def measure(name: str, options: str, data: Path | None, out: Path, limit: float | None) -> Outcome:
    """Run one measurement in a process of its own, or read what is kept of it."""
    command, folder = shlex.join(["bench", name, *shlex.split(options)]), out / name
    kept = folder / "outcome.json"
    if kept.exists():
        found = Outcome(**json.loads(kept.read_text()))
        if (found.command, found.status) == (f"naslib-diffusion {command}", "done"):
            return found
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    status, message = _run([*shlex.split(command), "--out", str(folder)], data, folder, limit)
    seconds = round(time.perf_counter() - start, 1)
    outcome = Outcome(name, f"naslib-diffusion {command}", status, message, seconds, facts())
    write_atomically(kept, (json.dumps(asdict(outcome), indent=1) + "\n").encode())
    return outcome


def _run(
    arguments: Sequence[str], data: Path | None, folder: Path, limit: float | None
) -> tuple[str, str]:
    """Return the status, and the reason if it is not "done"."""
    environment = dict(os.environ)
    if data is not None:
        environment["NASLIB_DIFFUSION_DATA"] = str(data.resolve())
    try:
        done = subprocess.run(
            [sys.executable, "-m", "naslib_diffusion", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "stopped", f"it took longer than {limit:g} s"
    (folder / "output.txt").write_text(done.stdout)
    if done.returncode == 0:
        return "done", ""
    lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason was told"]
    return "skipped" if done.returncode == 2 else "failed", lines[-1].removeprefix("error: ")


def results_of(folder: Path) -> list[dict[str, Any]]:
    """Return what a measurement wrote by `save`, without the files of single runs."""
    paths = [path for path in sorted(folder.glob("*.json")) if not path.stem.endswith("_runs")]
    found = [json.loads(path.read_text()) for path in paths]
    return [own for own in found if isinstance(own, dict) and own.get("rows")]


@click.command("all")
@data_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/bench"),
    show_default=True,
    help="Folder of the results; measurements that are done there are not repeated.",
)
@click.option("--quick", is_flag=True, help="Small sizes: a quarter of an hour on two cores.")
@click.option("--only", metavar="A,B,...", help="Measurements to run.  [default: all]")
@processes_option
def main(data: Path | None, out: Path, quick: bool, only: str | None, processes: int) -> None:
    """Run every measurement, and put the results on one page, index.html.

    What lacks data, a package or a device is named and left out.
    """
    names = [name for name in DESCRIPTIONS if name not in OTHERS]
    chosen = names if only is None else only.split(",")
    for name in chosen:
        if name not in names:
            raise click.UsageError(f"unknown measurement {name!r}; known: {', '.join(names)}")
    limit = LIMIT if quick else None
    jobs = [(name, QUICK.get(name, "") if quick else "", data, out, limit) for name in chosen]
    outcomes = run_all(measure, jobs, processes, "measurements")
    rows = [
        {"measurement": o.name, "status": o.status, "seconds": o.seconds, "reason": o.message}
        for o in outcomes
    ]
    show(f"Measurements, in {out}", rows)
    page = render_measurements(
        [
            Measurement(
                o.name,
                DESCRIPTIONS[o.name],
                o.command,
                o.status,
                o.message,
                o.seconds,
                results_of(out / o.name),
                sorted(path.name for path in (out / o.name).glob("*.html")),
            )
            for o in outcomes
        ],
        quick,
        facts(),
    )
    write_atomically(out / "index.html", page.encode())
    failed = [o.name for o in outcomes if o.status in ("failed", "stopped")]
    if failed:
        raise click.ClickException(f"not done: {', '.join(failed)}; see {out / 'index.html'}")


if __name__ == "__main__":
    main()
