"""What score networks generate, how exact they are, and how well they guide (paper, Table 3)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import torch
from naslib_diffusion.benchmarks.engine.networks import (
    BATCHES,
    NETWORKS,
    SPACES,
    STEPS,
    TRAINING,
    Case,
    measured,
    perfect_unique,
)
from naslib_diffusion.benchmarks.engine.networks_guided import (
    CELLS,
    MODES,
    OBSERVED,
    PASSES,
    SCALES,
    Generation,
    either_denoiser,
    found_or_kept,
    ways_of_guiding,
)
from naslib_diffusion.benchmarks.harness.common import (
    TEST_COLUMNS,
    data_option,
    need_tables,
    out_option,
    processes_option,
    run_all,
    samples_option,
    save,
    seeds_option,
    several,
    show,
)

PAPER = {
    ("nasbench201", "full"): "100.00, 98.70 +- 0.66, 49.20 +- 1.96",
    ("nasbench201", "without positions"): "100.00, 98.96 +- 0.49, 49.08 +- 2.05",
    ("nasbench201", "undirected, without positions"): "4.56 +- 1.44 (GDSS)",
    ("mobilenetv3", "full"): "100.00, 100.00, 100.00",
    ("mobilenetv3", "without positions"): "42.17 +- 1.80, 100.00, 100.00",
    ("mobilenetv3", "undirected, without positions"): "0.00 (GDSS)",
}
"""Valid, unique and novel among 1,000."""
Results = dict[Case, dict[str, Any]]


@click.command()
@data_option
@out_option
@several("--space", SPACES, "Space to train on")
@several("--network", NETWORKS, "Network to train, whole or without a part")
@seeds_option(default=3)
@click.option(
    "--steps", type=int, help="Number of steps of training.  [default: what each space needs]"
)
@click.option(
    "--batch-size",
    default=256,
    show_default=True,
    help="Number of architectures in one step of training.",
)
@click.option("--bf16", is_flag=True, help="Train in mixed precision.")
@samples_option
@processes_option
def main(
    data: Path | None,
    out: Path | None,
    spaces: tuple[str, ...],
    networks: tuple[str, ...],
    seeds: int,
    steps: int | None,
    batch_size: int,
    bf16: bool,
    samples: int,
    processes: int,
) -> None:
    """Train score networks and judge them by what they generate, estimate and guide.

    With --out, each network and its figures are kept in a folder there, so that the same command
    goes on where it was stopped. With --data, NAS-Bench-201 networks guide as in Table 1, too.
    """
    if data is not None:
        need_tables(TEST_COLUMNS, data)
    torch.set_num_threads(1)
    precision = "bf16" if bf16 else "32"
    cases = [
        Case(space, network, seed, steps or TRAINING[space], batch_size, samples, precision)
        for network in networks or NETWORKS
        for space in spaces or SPACES
        for seed in range(seeds)
    ]
    with _folder(out) as folder:
        found = run_all(measured, [(case, folder) for case in cases], processes, "networks")
        results = dict(zip(cases, found, strict=True))
        settings = {
            "seeds": seeds,
            "steps": steps or TRAINING,
            "batch_size": batch_size,
            "samples": samples,
            "bf16": bf16,
        }
        _report_samples(results, out, settings)
        _report_exactness(results, out, settings)
        guiding = [c for c in cases if (c.space, c.network) == ("nasbench201", "full")]
        if data is not None and guiding:
            _report_guided(guiding, data, folder, out, processes)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """Make the folder that keeps networks and their figures; a temporary one unless told."""
    if out is None:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
    else:
        folder = out / "table3"
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def _groups(results: Results) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Yield space, network and the results of all seeds."""
    for space, network in dict.fromkeys((case.space, case.network) for case in results):
        mine = [r for case, r in results.items() if (case.space, case.network) == (space, network)]
        yield space, network, mine


def _report_samples(results: Results, out: Path | None, settings: dict[str, Any]) -> None:
    """The paper's Table 3."""
    names = ["valid", "thresholded"]
    names += [f"{what} of {size}" for size in BATCHES for what in ("unique", "novel")]
    perfect = {
        (space, size): perfect_unique(SPACES[space](), size)
        for space in dict.fromkeys(case.space for case in results)
        for size in BATCHES
    }
    rows: list[dict[str, object]] = []
    for space, network, mine in _groups(results):
        row: dict[str, object] = {"space": space, "network": network}
        row |= {name: spread([r[name] for r in mine]) for name in names}
        for size in BATCHES:
            row[f"perfect of {size}"] = "{:.2f} +- {:.2f}".format(*perfect[space, size])
        row["paper: valid, unique, novel"] = PAPER.get((space, network), "")
        rows.append(row)
    notes = (
        f"percent, mean +- deviation over seeds; {STEPS} steps of DPM-Solver++(2M)",
        "nothing is clamped or rejected",
        "valid: after decoding, which in these spaces always gives a valid architecture",
        "thresholded: valid by the paper's rule, entries above 1/2, without argmax or fixed ends",
        "perfect: distinct among as many uniform draws; +- is the deviation of one batch",
    )
    show("Samples", rows, notes)
    save(out, "table3", rows, **settings)


def _report_exactness(results: Results, out: Path | None, settings: dict[str, Any]) -> None:
    """Errors of estimates, distances of marginals, and cost."""
    errors: list[dict[str, object]] = []
    rows: list[dict[str, object]] = []
    for space, network, mine in _groups(results):
        label: dict[str, object] = {"space": space, "network": network}
        for kind in ("errors", "clamped errors"):
            if kind == "errors" or network == "full":
                levels = {s: spread([100 * r[kind][s] for r in mine], 4) for s in mine[0][kind]}
                clamped = network + (", clamped" if kind != "errors" else "")
                errors.append({**label, "network": clamped, **levels})
        row = dict(label)
        for what in ("node", "pair"):
            own, ideal = f"{what} distance", f"perfect {what} distance"
            row[own] = spread([r[own] for r in mine], 4)
            row[ideal] = spread([r[ideal] for r in mine], 4)
            row[f"{what} ratio"] = spread([r[own] / r[ideal] for r in mine])
        row |= {name: spread([r[name] for r in mine], 0) for name in
                ("training CPU s", "samples / CPU s")}  # fmt: skip
        rows.append(row)
    show(
        "Squared error, percent of the variance of the exact estimate, by noise level",
        errors,
        ("aim: below 2 at all levels",),
    )
    show(
        f"Total variation of marginals of {settings['samples']} samples, and cost on one core",
        rows,
        ("perfect: of as many draws from the space; aim: ratio at most 2",),
    )
    save(out, "table3_errors", errors, **settings)
    save(out, "table3_marginals", rows, **settings)


def _report_guided(
    cases: Sequence[Case], data: Path, folder: Path, out: Path | None, processes: int
) -> None:
    """Table 1 through networks, and the paper's guidance beside others."""

    def collect(function: Callable[..., dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        jobs = [
            (function, Generation(task, case.seed), data,
             folder / f"{case.label}.safetensors", folder)
            for task in TEST_COLUMNS
            for case in cases
        ]  # fmt: skip
        found = run_all(found_or_kept, jobs, processes, function.__name__.replace("_", " "))
        return {
            task: [r for job, r in zip(jobs, found, strict=True) if job[1].task == task]
            for task in TEST_COLUMNS
        }

    rows: list[dict[str, object]] = []
    for task, mine in collect(either_denoiser).items():
        for mode in MODES:
            pairs = [(r[f"{mode}: network"], r[f"{mode}: exact"], r["random"]) for r in mine]
            rows.append(
                {
                    "task": task,
                    "method": mode,
                    "exact": spread([exact for _, exact, _ in pairs]),
                    "network": spread([network for network, _, _ in pairs]),
                    "network, % of exact": spread([100 * n / e for n, e, _ in pairs]),
                    "% of the gain over random": spread(
                        [100 * (n - z) / (e - z) for n, e, z in pairs]
                    ),
                }
            )
    show(f"Mean test accuracy of {CELLS} guided cells, GP of {OBSERVED} random ones", rows)
    save(out, "table3_guided", rows, seeds=len(cases))

    rows = []
    for task, mine in collect(ways_of_guiding).items():
        ways = dict.fromkeys(key.split(" @ ")[0] for key in mine[0] if " @ " in key)
        for way in ways:
            row: dict[str, object] = {"task": task, "guidance": way}
            for scale in SCALES:
                each = [r[f"{way} @ {scale:g}"] for r in mine]
                row[f"k = {scale:g}"] = spread([one["mean"] for one in each])
                distinct = sum(one["distinct"] for one in each) / len(each)
                row[f"distinct at {scale:g}"] = f"{distinct:.0f}"
            cost = [r[f"{way} @ {scale:g}"]["CPU s"] for r in mine for scale in SCALES]
            rows.append(row | {"CPU s": spread(cost)})
    show(
        f"Mean test accuracy of one batch of {CELLS}, {PASSES} passes through the network",
        rows,
        (
            "k: strength of guidance, in units of one over the deviation of the guide",
            "distinct: percent of the batch; nothing is rejected or selected",
        ),
    )
    save(out, "table3_guidance", rows, seeds=len(cases))


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return mean +- deviation."""
    x = torch.tensor(values, dtype=torch.double)
    deviation = float(x.std()) if len(x) > 1 else 0.0
    return f"{float(x.mean()):.{digits}f} +- {deviation:.{digits}f}"


if __name__ == "__main__":
    main()
