"""Train the meta-surrogates that ship, from tables of other tasks (paper, Eq. 10).

NAS-Bench-201 learns from TransNAS-Bench-101 (class_scene; its cells are those without pooling) and
from MetaD2A's single trainings on ImageNet subsets. Each gives a Gaussian process; their means
count by their precision at each cell, and a small network learns the result over the space. No
accuracy on CIFAR is among the data. NAS-Bench-Graph learns the mean over its other data sets.
"""

from __future__ import annotations

import ast
import csv
import functools
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch
from naslib_diffusion.benchmarks.harness.common import data_option, load_task, need_files
from naslib_diffusion.benchmarks.priors.cell_places import cell_places
from torch import Tensor

from naslib_diffusion.spaces import NASBench201, NASBenchGraph
from naslib_diffusion.spaces.nasbench201 import Cell
from naslib_diffusion.surrogates import ObjectiveScale
from naslib_diffusion.surrogates.adapted import Residual
from naslib_diffusion.surrogates.posterior import squared_distances
from naslib_diffusion.tables.nasbenchgraph import GRAPHS
from naslib_diffusion.transfer.meta import MetaConfig, MetaSurrogate

CELL_SOURCES = ("transnasbench101_micro.csv.gz", "metad2a_tasks.csv.gz")
"""Files of the tables that the prior of NAS-Bench-201 is learned from."""

CLASSES = 1000
"""Of ImageNet, by which MetaD2A's tasks are described."""

SCENE_LENGTHS, SCENE_NOISE = (2.0, 2.2, 5.0), 0.01
"""Of class_scene, on its logarithmic scale: near the largest evidence on a grid."""

SUBSET_LENGTHS, SUBSET_NOISE, CLASS_EFFECT = (1.6, 1.8, 2.5), 0.5, 1.0
"""Of the ImageNet subsets, chosen alike: much noise, and a difficulty linear in the classes."""

BETWEEN, BETWEEN_SUBSETS = 0.1, 0.5
"""Variances of how a new task differs from class_scene, and from the ImageNet subsets."""

CELL_RESIDUAL = Residual(variance=0.1, noise=0.01, lengths=(2.0, 3.7))
GRAPH_RESIDUAL = Residual(variance=0.3, noise=0.01, lengths=(2.4, 2.4, 2.6, 2.8))


def read_rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


def standardise(values: Tensor) -> Tensor:
    return (values - values.mean()) / values.std()


def kernel(a: Sequence[Tensor], b: Sequence[Tensor], lengths: Sequence[float]) -> Tensor:
    """Return the mean of one RBF for each group of features, `n x m`."""
    parts = [
        torch.exp(-0.5 * squared_distances(left, right) / length**2)
        for left, right, length in zip(a, b, lengths, strict=True)
    ]
    return torch.stack(parts).mean(0)


@functools.cache
def distinct_cells() -> list[Cell]:
    """Return one cell of each isomorphism class."""
    space = NASBench201()
    found: dict[str, Cell] = {}
    for cell in space:
        found.setdefault(space.canonical(cell), cell)
    return list(found.values())


def describe(cells: Sequence[Cell]) -> tuple[Tensor, ...]:
    """Return what the teachers see of cells: the features of the space, and `cell_places`."""
    space = NASBench201()
    x = space.encode(cells)
    return (*space.features(x), cell_places(x[:, 1:7, 2:]))


def scene_belief(data: Path, everywhere: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of class_scene at all cells, standardised over them."""
    space = NASBench201()
    kinds: dict[str, tuple[Cell, list[float]]] = {}
    for row in read_rows(data / CELL_SOURCES[0]):
        cell = Cell(ast.literal_eval(row["arch"]))
        kinds.setdefault(space.canonical(cell), (cell, []))[1].append(float(row["class_scene"]))
    values = torch.tensor([sum(v) / len(v) for _, v in kinds.values()], dtype=torch.double)
    targets = ObjectiveScale.of(values)(values)
    groups = describe([cell for cell, _ in kinds.values()])
    covariance = kernel(groups, groups, SCENE_LENGTHS) + SCENE_NOISE * torch.eye(len(targets))
    factor = torch.linalg.cholesky(covariance)
    cross = kernel(everywhere, groups, SCENE_LENGTHS)
    mean = cross @ torch.cholesky_solve(targets[:, None], factor)[:, 0]
    solved = torch.linalg.solve_triangular(factor, cross.mT, upper=False)
    deviation = (1 - solved.square().sum(0)).clamp(min=1e-6).sqrt()
    return standardise(mean), deviation


def subsets_belief(data: Path, everywhere: Sequence[Tensor]) -> Tensor:
    """Return the mean of the ImageNet subsets at all cells, standardised over them."""
    space, rows = NASBench201(), read_rows(data / CELL_SOURCES[1])
    groups = describe([space.parse(row["arch"]) for row in rows])
    classes = torch.zeros(len(rows), CLASSES, dtype=torch.double)
    for row, content in zip(classes, rows, strict=True):
        row[[int(index) for index in content["class_ids"].split()]] = 20**-0.5
    targets = standardise(torch.tensor([float(row["accuracy"]) for row in rows]).double())
    covariance = kernel(groups, groups, SUBSET_LENGTHS) + 1.0 + CLASS_EFFECT * classes @ classes.T
    covariance += SUBSET_NOISE * torch.eye(len(rows))
    weights = torch.cholesky_solve(targets[:, None], torch.linalg.cholesky(covariance))[:, 0]
    return standardise(kernel(everywhere, groups, SUBSET_LENGTHS) @ weights)


@functools.cache
def cell_teacher(data: Path, sources: str = "both") -> tuple[Tensor, Tensor, Tensor]:
    """Return encodings of all distinct cells, and mean and relative deviation of the belief.

    Args:
        data: folder of the tables.
        sources: "both", "scene" or "subsets".
    """
    space = NASBench201()
    x = space.encode(distinct_cells())
    everywhere = describe(distinct_cells())
    if sources == "subsets":
        mean = subsets_belief(data, everywhere)
        return x, mean, torch.full_like(mean, 2.0)
    mean, deviation = scene_belief(data, everywhere)
    if sources == "both":
        precision = 1 / (deviation.square() + BETWEEN)
        other = 1 / BETWEEN_SUBSETS
        mean = precision * mean + other * subsets_belief(data, everywhere)
        mean = standardise(mean / (precision + other))
    return x, mean, (1 + deviation.square()).sqrt()


@functools.cache
def _graph_targets(graph: str) -> dict[str, float]:
    """Return the standardised targets of a graph data set by canonical form."""
    table = load_task(f"nasbenchgraph/{graph}", None)
    values = torch.tensor(table.values)
    targets = standardise(ObjectiveScale.of(values)(values)).tolist()
    return {
        str(table.space.canonical(arch)): target
        for arch, target in zip(table.archs, targets, strict=True)
    }


def graph_sources(left_out: str | None = None) -> list[str]:
    """Return the graph data sets to learn from; proteins has too few architectures."""
    return [graph for graph in GRAPHS if graph not in (left_out, "proteins")]


def other_graphs(archs: Sequence[Any], left_out: str | None) -> Tensor:
    """Return the targets of architectures on the graph data sets but one, `n x K`."""
    keys = [str(NASBenchGraph().canonical(arch)) for arch in archs]
    columns = [_graph_targets(graph) for graph in graph_sources(left_out)]
    return torch.tensor([[column[key] for column in columns] for key in keys]).double()


@functools.cache
def graph_teacher(left_out: str | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return encodings, mean and relative deviation over all graph data sets but one.

    The deviation is the same everywhere: that of eight values is mostly chance, and a search for
    improvement would go where chance made it largest.
    """
    space = NASBenchGraph()
    archs = load_task(f"nasbenchgraph/{graph_sources(left_out)[0]}", None).archs
    mean = standardise(other_graphs(archs, left_out).mean(1))
    return space.encode(archs), mean, torch.ones_like(mean)


def train_cells(data: Path, seed: int, sources: str = "both") -> MetaSurrogate:
    """Train the meta-surrogate of NAS-Bench-201."""
    x, mean, deviation = cell_teacher(data, sources)
    network = MetaSurrogate(NASBench201(), MetaConfig(47, seed=seed), CELL_RESIDUAL)
    network.distil(x, mean, deviation)
    return network


def train_graphs(seed: int, left_out: str | None = None) -> MetaSurrogate:
    """Train the meta-surrogate of NAS-Bench-Graph, without one of the data sets."""
    x, mean, deviation = graph_teacher(left_out)
    config = MetaConfig(124, steps=2000, seed=seed)
    network = MetaSurrogate(NASBenchGraph(), config, GRAPH_RESIDUAL)
    network.distil(x, mean, deviation)
    return network


@click.command()
@data_option
@click.option(
    "--space",
    type=click.Choice(["nasbench201", "nasbenchgraph"]),
    required=True,
    help="Space of the meta-surrogate to train.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the training.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="File to write the meta-surrogate to.",
)
def main(data: Path | None, space: str, seed: int, out: Path) -> None:
    """Train the meta-surrogate that ships for a space."""
    torch.set_num_threads(1)
    facts: dict[str, Any] = {"seed": seed}
    if space == "nasbench201":
        data = need_files(data, *CELL_SOURCES)
        network, teacher = train_cells(data, seed), cell_teacher(data)
        facts["tables"] = [f"{CELL_SOURCES[0]}: class_scene", CELL_SOURCES[1]]
    else:
        network, teacher = train_graphs(seed), graph_teacher()
        facts["tables"] = [f"nasbenchgraph/{graph}" for graph in graph_sources()]
    with torch.no_grad():
        facts["squared_error"] = float((network(teacher[0]) - teacher[1]).square().mean())
    network.save(out, facts)
    click.echo(f"{out}: squared error of the belief {facts['squared_error']:.2g}")


if __name__ == "__main__":
    main()
