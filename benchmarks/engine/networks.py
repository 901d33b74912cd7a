"""One trained score network, measured: what Table 3 and its companions are made of."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from naslib_diffusion.benchmarks.harness.kept import kept

from naslib_diffusion.diffusion import (
    Denoiser,
    ExactDenoiser,
    NetworkConfig,
    ScoreNetwork,
    TrainConfig,
    karras_sigmas,
    train,
)
from naslib_diffusion.diffusion.graph import GraphLayout
from naslib_diffusion.diffusion.processes import Local
from naslib_diffusion.diffusion.quality import (
    LEVELS,
    RowsAlone,
    choices,
    draw,
    node_distance,
    pair_distance,
    relative_error,
    thresholded_validity,
)
from naslib_diffusion.diffusion.training import Trained
from naslib_diffusion.spaces import MobileNetV3, NASBench201, NASBenchGraph, Space

SPACES: dict[str, Callable[[], Space[Any]]] = {
    "nasbench201": NASBench201,
    "mobilenetv3": MobileNetV3,
    "nasbenchgraph": NASBenchGraph,
}
SUBNETS = 500_000
"""Random architectures to train on, of spaces that cannot be listed."""
NETWORKS = {
    "full": NetworkConfig(),
    "without positions": NetworkConfig(positional=False),
    "undirected, without positions": NetworkConfig(positional=False, directed=False),
    "no network, rows alone": None,
}
"""What is trained; the last one is the best that a denoiser can do without dependencies."""
TRAINING = {"nasbench201": 1000, "mobilenetv3": 7500, "nasbenchgraph": 4000}
"""Steps of training that a space needs."""
STEPS = 20
"""Of the sampler."""
BATCHES = (1000, 256)
"""Sizes of batches in which distinct architectures are counted."""
YARDSTICK = 20_000
"""Architectures of the training set from which the yardstick has its marginals."""
COMPARED = 4096
"""Noisy architectures on which denoisers are compared, at each noise level."""


@dataclass(frozen=True)
class Case:
    """One network to train and to sample from."""

    space: str
    network: str
    seed: int
    steps: int
    batch_size: int
    samples: int
    precision: str = "32"

    @property
    def label(self) -> str:
        """What names the files of a case."""
        network = self.network.replace(",", "").replace(" ", "-")
        return f"{self.space}-{network}-{self.seed}"


def training_set(space: Space[Any], seed: int) -> list[Any]:
    """Return a random half of a space that can be listed, or many random architectures."""
    random = torch.Generator().manual_seed(seed)
    if isinstance(space, NASBench201 | NASBenchGraph):
        archs: list[Any] = list(space)
        order = torch.randperm(len(archs), generator=random)
        return [archs[i] for i in order[: len(archs) // 2].tolist()]
    return space.sample(SUBNETS, random)


def measured(case: Case, folder: Path) -> dict[str, Any]:
    """Train and judge a network, or read what an earlier call with the same case has found.

    Args:
        case: what to measure.
        folder: keeps `LABEL.json`, the result, and `LABEL.safetensors`, the network.
    """
    space = SPACES[case.space]()

    def judge() -> dict[str, Any]:
        known = training_set(space, case.seed)
        denoiser, seconds = _trained(case, space, known, folder)
        result = {"training CPU s": seconds, **judged(denoiser, space, case)}
        return {"result": result | _counts(result.pop("archs"), space, set(known))}

    path = folder / f"{case.label}.json"
    found: dict[str, Any] = kept(path, {"case": dataclasses.asdict(case)}, judge)["result"]
    return found


def _trained(
    case: Case, space: Space[Any], known: Sequence[Any], folder: Path
) -> tuple[Denoiser, float]:
    """Return a network, nothing clamped, or the yardstick; and the processor time it took."""
    config = NETWORKS[case.network]
    if config is None:
        x = space.encode(known[:YARDSTICK])
        return RowsAlone(x, GraphLayout.of(space)), 0.0
    options = TrainConfig(
        steps=case.steps, batch_size=case.batch_size, seed=case.seed, precision=case.precision
    )
    state = folder / f"{case.label}.state"

    def run(resume: bool) -> Trained:
        here = Local("cpu", case.precision)
        return train(space, options, config, samples=known, state=state, resume=resume,
                     processes=here)  # fmt: skip

    try:
        found = run(state.exists())
    except ValueError:  # a state of other options
        found = run(False)
    found.network.save(folder / f"{case.label}.safetensors")
    state.unlink(missing_ok=True)
    return found.network, found.cpu_seconds


def judged(denoiser: Denoiser, space: Space[Any], case: Case) -> dict[str, Any]:
    """Compare estimates with the exact denoiser's, and samples with draws from the space.

    Nothing is clamped or rejected, but for the errors that say so.
    """
    random = torch.Generator().manual_seed(1000 + case.seed)
    start = time.process_time()
    x = draw(denoiser, space.shape, case.samples, random, sigmas=karras_sigmas(STEPS))
    archs = space.decode(x)
    seconds = time.process_time() - start
    reference = choices(space, space.sample(10 * case.samples, random))
    perfect = choices(space, space.sample(case.samples, random))
    found = choices(space, archs)
    return {
        "archs": archs,
        "samples / CPU s": case.samples / seconds,
        "thresholded": 100 * thresholded_validity(space, x),
        "node distance": node_distance(found, reference),
        "perfect node distance": node_distance(perfect, reference),
        "pair distance": pair_distance(found, reference),
        "perfect pair distance": pair_distance(perfect, reference),
        "errors": _errors(denoiser, space, random),
        "clamped errors": _errors(_clamped(denoiser), space, random),
    }


def _clamped(denoiser: Denoiser) -> Denoiser:
    """Return a network as users get it, with what is constant over its space set to that."""
    if not isinstance(denoiser, ScoreNetwork):
        return denoiser

    def clamped(x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        low, high = denoiser.support.to(x.dtype)
        return torch.clamp(denoiser(x, sigma), low, high)

    return clamped


def _errors(denoiser: Denoiser, space: Space[Any], random: torch.Generator) -> dict[str, float]:
    """Return squared errors relative to the variance of the exact estimate, by noise level."""
    exact = ExactDenoiser(space)
    x0 = space.encode(space.sample(COMPARED, random))
    return {str(level): relative_error(denoiser, exact, x0, level, random) for level in LEVELS}


def _counts(archs: Sequence[Any], space: Space[Any], known: set[Any]) -> dict[str, float]:
    """Return percentages: valid; distinct among the valid, and unseen among the distinct.

    The latter two are means over batches of the sizes `BATCHES`.
    """
    valid = [arch for arch in archs if space.is_valid(arch)]
    counts = {"valid": 100 * len(valid) / len(archs)}
    for size in BATCHES:
        batches = [set(valid[i : i + size]) for i in range(0, len(valid) - size + 1, size)]
        if not batches:
            batches = [set(valid)]
        distinct = [len(batch) for batch in batches]
        novel = [len(batch - known) / len(batch) for batch in batches]
        counts[f"unique of {size}"] = 100 * sum(distinct) / len(valid[: size * len(batches)])
        counts[f"novel of {size}"] = 100 * sum(novel) / len(novel)
    return counts


def perfect_unique(space: Space[Any], size: int, draws: int = 200) -> tuple[float, float]:
    """Return mean and deviation of the percentage that is distinct among draws from a space."""
    random = torch.Generator().manual_seed(0)
    counts = [len(set(space.sample(size, random))) for _ in range(draws)]
    shares = 100 * torch.tensor(counts, dtype=torch.double) / size
    return float(shares.mean()), float(shares.std())
