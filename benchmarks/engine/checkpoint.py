"""The figures on the cards of trained networks: with and without clamping, beside a yardstick."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import torch
from naslib_diffusion.benchmarks.engine.networks import COMPARED, SPACES
from naslib_diffusion.benchmarks.harness.common import (
    out_option,
    samples_option,
    save,
    show,
)

from naslib_diffusion.diffusion import Denoiser, ExactDenoiser, ScoreNetwork
from naslib_diffusion.diffusion.checkpoint import read_header, shipped
from naslib_diffusion.diffusion.graph import GraphLayout
from naslib_diffusion.diffusion.quality import Quality, RowsAlone, measure
from naslib_diffusion.spaces import Space

DRAWS = 100_000
"""Architectures from which the yardstick has its marginals."""


def judged(source: str, samples: int) -> Iterator[tuple[str, str, Quality]]:
    """Yield space, what is judged and its figures: a network in two ways, and rows alone."""
    name = read_header(source)["space"]["name"]
    if name not in SPACES:
        raise click.UsageError(f"{source} is of space {name!r}; known: {', '.join(SPACES)}")
    space = SPACES[name]()
    x = space.encode(space.sample(DRAWS, torch.Generator().manual_seed(0)))
    denoisers: dict[str, Denoiser] = {
        "network, clamped": ScoreNetwork.load(source, space),
        "network": ScoreNetwork.load(source, space, clamp=False),
        "no network, rows alone": RowsAlone(x, GraphLayout.of(space)),
    }
    for label, denoiser in denoisers.items():
        yield name, label, _measured(denoiser, space, samples)


def _measured(denoiser: Denoiser, space: Space[Any], samples: int) -> Quality:
    return measure(denoiser, space, ExactDenoiser(space), n=samples)


@click.command()
@out_option
@click.option(
    "--checkpoint",
    "sources",
    multiple=True,
    help="Network to judge, file or name; may be given several times.  [default: all that ship]",
)
@samples_option
def main(out: Path | None, sources: tuple[str, ...], samples: int) -> None:
    """Judge trained networks against the exact denoiser, and by the samples they generate."""
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    errors: list[dict[str, object]] = []
    for source in sources or shipped():
        try:
            found = list(judged(source, samples))
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        for space, label, quality in found:
            names: dict[str, object] = {"space": space, "denoiser": label}
            rows.append(
                names
                | {
                    "valid, %": 100 * quality.validity,
                    "thresholded, %": 100 * quality.thresholded_validity,
                    "distinct, %": 100 * quality.distinct,
                    "perfect, %": 100 * quality.perfect_distinct,
                    "node ratio": quality.node_distance / quality.perfect_node_distance,
                    "pair ratio": quality.pair_distance / quality.perfect_pair_distance,
                    "node distance": f"{quality.node_distance:.4f}",
                    "pair distance": f"{quality.pair_distance:.4f}",
                    "samples / CPU s": quality.per_second,
                }
            )
            found_errors = quality.relative_errors or {}
            errors.append(names | {s: f"{100 * e:.4f}" for s, e in found_errors.items()})
    show(f"{samples} samples; total variation beside that of as many draws (ratio)", rows)
    show("Squared error, percent of the variance of the exact estimate, by noise level", errors)
    save(out, "checkpoint", rows, samples=samples, compared=COMPARED)
    save(out, "checkpoint_errors", errors, samples=samples, compared=COMPARED)


if __name__ == "__main__":
    main()
