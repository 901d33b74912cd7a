"""How far other data sets can take a search on NAS-Bench-Graph, with everything known of them.

Not a method: rankings of all architectures that no search could have, to see what transfer can
give. If the first close architecture stands deep in a ranking even so, no prior will save many
evaluations.
"""

from __future__ import annotations

from pathlib import Path

import click
import torch
from naslib_diffusion.benchmarks.harness.common import load_task, out_option, save, show
from naslib_diffusion.benchmarks.priors.meta_prior import other_graphs
from naslib_diffusion.benchmarks.priors.transfer import CLOSE
from torch import Tensor

from naslib_diffusion.spaces import NASBenchGraph
from naslib_diffusion.surrogates import ObjectiveScale
from naslib_diffusion.tables.nasbenchgraph import GRAPHS

RIDGE = 1e-3


def fitted(inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the least-squares fit of `n` targets by `n x D` inputs and a constant, `n`."""
    x = torch.cat([inputs, torch.ones(len(inputs), 1).double()], 1)
    gram = x.mT @ x + RIDGE * torch.eye(x.shape[1]).double()
    fit: Tensor = x @ torch.linalg.solve(gram, x.mT @ targets)
    return fit


def close_to_best(values: Tensor) -> Tensor:
    """Tell which of `n` values are within `CLOSE` of the best."""
    close: Tensor = 100 * (1 - values / values.max()) <= CLOSE
    return close


def first_close(ranking: Tensor, values: Tensor) -> int:
    """Return at which place of a ranking the first architecture close to the best stands."""
    order = ranking.argsort(descending=True, stable=True)
    return int(close_to_best(values)[order].nonzero()[0, 0]) + 1


def row_of(graph: str) -> dict[str, object]:
    """Rank the architectures of one data set by what the others and their structure tell."""
    table = load_task(f"nasbenchgraph/{graph}", None)
    values = torch.tensor(table.values)
    targets = ObjectiveScale.of(values)(values)
    others = other_graphs(table.archs, graph)
    space = NASBenchGraph()
    structure = torch.cat(space.features(space.encode(table.archs)), 1).double()
    count = int(close_to_best(values).sum())
    rankings = {
        "mean of the others": others.mean(1),
        "best sum of the others": fitted(others, targets),
        "best of structure": fitted(structure, targets),
        "best of both": fitted(torch.cat([others, structure], 1), targets),
    }
    return {
        "data set": graph,
        "close": count,
        "at random": round((len(values) + 1) / (count + 1)),
        **{name: first_close(ranking, values) for name, ranking in rankings.items()},
    }


@click.command()
@out_option
def main(out: Path | None) -> None:
    """Measure how much other data sets can tell about one, by rankings made in hindsight.

    A figure is the place of the first architecture within 0.5 % of the best. "best" are
    least-squares fits to the true values of all architectures of that data set itself.
    """
    rows = [row_of(graph) for graph in GRAPHS]
    show(f"Place of the first architecture within {CLOSE:g} % of the best", rows)
    save(out, "graph_limits", rows)


if __name__ == "__main__":
    main()
