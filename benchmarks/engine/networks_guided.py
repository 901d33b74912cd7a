"""Guided generation through trained score networks, and the paper's way of guiding them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from naslib_diffusion.benchmarks.harness.common import load_task
from naslib_diffusion.benchmarks.harness.kept import kept
from torch import Tensor

from naslib_diffusion import GuidedGenerator
from naslib_diffusion.diffusion import (
    Denoiser,
    EstimateGuidance,
    ExactDenoiser,
    Guide,
    NoisyGuidance,
    ScoreNetwork,
    TiltGuidance,
    karras_sigmas,
    sample_ancestral,
)
from naslib_diffusion.diffusion.denoising import Guidance
from naslib_diffusion.diffusion.quality import draw
from naslib_diffusion.optimize.generator import PROBES
from naslib_diffusion.optimize.scale import upper_deviation
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.surrogates import GaussianProcess, ObjectiveScale
from naslib_diffusion.surrogates.noisy import NoisySurrogate
from naslib_diffusion.tables import Table

OBSERVED = 50
"""Random cells that surrogates are fitted on."""
CELLS = 1000
"""Cells that are generated."""
MODES: dict[str, dict[str, Any]] = {
    "no selection": {},
    "best of 2x": {"oversample": 2.0},
    "best of 1.5x, polished": {"oversample": 1.5, "polish": 128},
}
"""Table 1's ways of generating."""
PASSES = 30
"""Passes through the network that guidance may spend on a batch; a backward pass counts as two."""
SCALES = (1.0, 4.0, 16.0)
"""Strengths of guidance that are tried, in units of one over the guide's deviation."""
CLEAN = 0.02
"""Noise level at which the noise-conditioned surrogate serves as an ordinary one."""


@dataclass(frozen=True)
class Generation:
    """One comparison: the table to guide by, and the network, by its seed."""

    task: str
    seed: int


def found_or_kept(
    function: Callable[[Generation, Path, Path], dict[str, Any]],
    case: Generation,
    data: Path,
    network: Path,
    folder: Path,
) -> dict[str, Any]:
    """Return what `function` finds, or found for the same network in an earlier call."""
    path = folder / f"{function.__name__}-{case.task}-{case.seed}.json"
    asked = dataclasses.asdict(case) | {"network": network.stat().st_mtime_ns}
    result = kept(path, {"case": asked}, lambda: {"result": function(case, data, network)})
    return result["result"]  # type: ignore[no-any-return]


def either_denoiser(case: Generation, data: Path, network: Path) -> dict[str, Any]:
    """Mean value of 1,000 guided cells (Table 1) with the exact denoiser and with a network."""
    space, table = NASBench201(), load_task(case.task, data)
    guide, _, _ = _gaussian_process(space, table, case.seed)
    denoisers: dict[str, Denoiser] = {
        "exact": ExactDenoiser(space),
        "network": ScoreNetwork.load(network, space),
    }
    found: dict[str, Any] = {"random": _mean(table, table.archs)}
    for mode, options in MODES.items():
        for name, denoiser in denoisers.items():
            generator = GuidedGenerator(space, denoiser, device="cpu", seed=case.seed)
            cells = generator.generate(CELLS, guide, unique="exact", **options)
            found[f"{mode}: {name}"] = _mean(table, cells)
    return found


def ways_of_guiding(case: Generation, data: Path, network: Path) -> dict[str, Any]:
    """What the paper's guidance and others make of one batch, at equal cost; nothing is rejected.

    All guide the same network, all but the last by the same surrogate: as trained on noisy cells
    (Eq. 8-9), or at the denoised estimate, where it sees hardly any noise. By the passes through
    the network that a step takes, each gets as many steps as `PASSES` allow.
    """
    space, table = NASBench201(), load_task(case.task, data)
    gaussian, x, y = _gaussian_process(space, table, case.seed)
    noisy = NoisySurrogate(space, seed=case.seed).fit(x, y)
    denoiser = ScoreNetwork.load(network, space)

    def clean(cells: Tensor) -> Tensor:
        prediction: Tensor = noisy(cells, CLEAN)
        return prediction

    def by_noisy(plain: Denoiser, _guide: Any, scale: float) -> Denoiser:
        return NoisyGuidance(plain, noisy, scale)

    ways: dict[str, tuple[Guide, Guidance, int]] = {
        "noise-conditioned (Eq. 8-9)": (clean, by_noisy, PASSES),
        "at the estimate (Eq. 9)": (clean, EstimateGuidance, PASSES // 3),
        "tilt at the estimate": (clean, TiltGuidance, PASSES // 2),
        "tilt, Gaussian process": (gaussian, TiltGuidance, PASSES // 2),
    }
    found: dict[str, Any] = {"random": _mean(table, table.archs)}
    probes = space.encode(space.sample(PROBES, torch.Generator().manual_seed(case.seed)))
    for name, (guide, guidance, steps) in ways.items():
        with torch.no_grad():
            unit = upper_deviation(guide(probes))
        for scale in SCALES:
            start = time.process_time()
            x = _batch(guidance(denoiser, guide, scale / unit), space, steps, case.seed)
            cells = space.decode(x)
            found[f"{name} @ {scale:g}"] = {
                "mean": _mean(table, cells),
                "distinct": 100 * len(set(cells)) / len(cells),
                "CPU s": time.process_time() - start,
            }
    return found


def _batch(denoiser: Denoiser, space: NASBench201, steps: int, seed: int) -> Tensor:
    """Sample a batch as the generator does, `B x 8 x 7`."""
    random = torch.Generator().manual_seed(seed)
    return draw(
        denoiser,
        space.shape,
        CELLS,
        random,
        sigmas=karras_sigmas(steps),
        sampler=sample_ancestral,
    )


def _gaussian_process(
    space: NASBench201, table: Table[Any], seed: int
) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
    """Return the prediction of a process fitted to random cells, their encodings and targets."""
    known = space.sample(OBSERVED, torch.Generator().manual_seed(seed))
    values = torch.tensor([table[cell] for cell in known], dtype=torch.double)
    x, y = space.encode(known), ObjectiveScale.of(values)(values)
    fitted = GaussianProcess(space).fit(x, y)
    return (lambda cells: fitted.posterior(cells)[0]), x, y


def _mean(table: Table[Any], cells: Sequence[Any]) -> float:
    return sum(table[cell] for cell in cells) / len(cells)
