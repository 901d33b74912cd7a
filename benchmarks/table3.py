"""Validity, uniqueness and novelty of what score networks generate (paper, Table 3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from naslib_diffusion.benchmarks.common import out_option, run_all, save, show

from naslib_diffusion.diffusion import NetworkConfig, TrainConfig, karras_sigmas, train
from naslib_diffusion.diffusion.quality import draw, thresholded_validity
from naslib_diffusion.spaces import MobileNetV3, NASBench201, Space

SPACES: dict[str, Callable[[], Space[Any]]] = {
    "nasbench201": NASBench201,
    "mobilenetv3": MobileNetV3,
}
SUBNETS = 500_000
"""Random architectures to train on, of spaces that cannot be listed."""
NETWORKS = {
    "full": NetworkConfig(),
    "without positions": NetworkConfig(positional=False),
    "undirected, without positions": NetworkConfig(positional=False, directed=False),
}
PAPER = {
    ("nasbench201", "full"): ("100.00", "98.70 +- 0.66", "49.20 +- 1.96"),
    ("nasbench201", "without positions"): ("100.00", "98.96 +- 0.49", "49.08 +- 2.05"),
    ("nasbench201", "undirected, without positions"): ("4.56 +- 1.44 (GDSS)", "", ""),
    ("mobilenetv3", "full"): ("100.00", "100.00", "100.00"),
    ("mobilenetv3", "without positions"): ("42.17 +- 1.80", "100.00", "100.00"),
    ("mobilenetv3", "undirected, without positions"): ("0.00 (GDSS)", "", ""),
}


@dataclass(frozen=True)
class Case:
    """One network to train and to sample from."""

    space: str
    network: str
    seed: int
    steps: int
    samples: int


def training_set(space: Space[Any], seed: int) -> list[Any]:
    """Return a random half of a space that can be listed, or many random architectures."""
    random = torch.Generator().manual_seed(seed)
    if isinstance(space, NASBench201):
        cells = list(space)
        order = torch.randperm(len(cells), generator=random)
        return [cells[i] for i in order[: len(cells) // 2].tolist()]
    return space.sample(SUBNETS, random)


def judged(space: Space[Any], archs: Sequence[Any], known: set[Any]) -> dict[str, float]:
    """Return percentages: valid, distinct among the valid, and unseen among the distinct."""
    valid = [arch for arch in archs if space.is_valid(arch)]
    distinct = set(valid)
    return {
        "valid": 100 * len(valid) / len(archs),
        "unique": 100 * len(distinct) / max(len(valid), 1),
        "novel": 100 * len(distinct - known) / max(len(distinct), 1),
    }


def measured(case: Case) -> dict[str, float]:
    """Train one network and judge 1,000 samples, nothing clamped or rejected, and 256 of them."""
    space = SPACES[case.space]()
    known = training_set(space, case.seed)
    config = TrainConfig(steps=case.steps, seed=case.seed)
    trained = train(space, config, NETWORKS[case.network], samples=known)
    random = torch.Generator().manual_seed(1000 + case.seed)
    start = time.perf_counter()
    sigmas = karras_sigmas(20)
    x = draw(trained.network, space.shape, case.samples, random, sigmas=sigmas)
    archs = space.decode(x)
    seconds = time.perf_counter() - start
    seen = set(known)
    perfect = judged(space, space.sample(case.samples, random), seen)
    return {
        **judged(space, archs, seen),
        "thresholded": 100 * thresholded_validity(space, x),
        "unique of 256": judged(space, archs[:256], seen)["unique"],
        "perfect": perfect["unique"],
        "training s": trained.seconds,
        "samples / s": case.samples / seconds,
    }


@click.command()
@out_option
@click.option("--space", "spaces", multiple=True, type=click.Choice(list(SPACES)), help="Only it.")
@click.option("--network", "networks", multiple=True, type=click.Choice(list(NETWORKS)))
@click.option("--seeds", default=3, show_default=True)
@click.option("--steps", default=1000, show_default=True, help="Of training.")
@click.option("--samples", default=1000, show_default=True)
@click.option("--processes", default=1, show_default=True)
def main(
    out: Path | None,
    spaces: tuple[str, ...],
    networks: tuple[str, ...],
    seeds: int,
    steps: int,
    samples: int,
    processes: int,
) -> None:
    """What trained score networks generate, beside a perfect sampler and the paper's Table 3."""
    torch.set_num_threads(1)
    cases = [
        Case(space, network, seed, steps, samples)
        for space in spaces or SPACES
        for network in networks or NETWORKS
        for seed in range(seeds)
    ]
    results = run_all(measured, [(case,) for case in cases], processes, "networks")
    rows: list[dict[str, object]] = []
    for space, network in dict.fromkeys((case.space, case.network) for case in cases):
        pairs = zip(cases, results, strict=True)
        mine = [r for case, r in pairs if (case.space, case.network) == (space, network)]
        row: dict[str, object] = {"space": space, "network": network}
        row |= {name: _summary([r[name] for r in mine]) for name in mine[0]}
        row["paper: valid, unique, novel"] = ", ".join(PAPER[space, network]).rstrip(", ")
        rows.append(row)
    notes = (
        "percent, mean +- deviation over seeds; 20 steps; nothing is clamped or rejected",
        "thresholded: valid by the paper's rule, entries above 1/2, without argmax or fixed ends",
        "perfect: distinct among as many draws from the space",
        "MobileNetV3's chain does not mark the stages: rows drawn independently, from the law of "
        "all nodes together, would be valid in about 39 %",
    )
    show(f"{samples} samples, {steps} steps of training, {seeds} seeds", rows, notes)
    save(out, "table3", rows, seeds=seeds, steps=steps, samples=samples)


def _summary(values: list[float]) -> str:
    x = torch.tensor(values, dtype=torch.double)
    return f"{float(x.mean()):.2f} +- {float(x.std()) if len(x) > 1 else 0.0:.2f}"


if __name__ == "__main__":
    main()
