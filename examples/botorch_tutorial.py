"""Bayesian optimisation over architectures with BoTorch and `optimize_acqf_diffusion`.

BoTorch's optimizers of acquisition functions want numbers; neural architectures are choices. Here
is a complete loop over NAS-Bench-201 in which everything is BoTorch's but one call.

    python examples/botorch_tutorial.py --evaluations 30 [--table nasbench201.csv.gz]

With a table the objective is its column `cifar100_test_200`, else a formula.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.mlls import ExactMarginalLogLikelihood
from naslib_diffusion.plugins.botorch import optimize_acqf_diffusion

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.nasbench201 import Cell
from naslib_diffusion.tables import TableError, load_table

# --- 1. The space. It says what an architecture is, and turns it into a tensor and back. -------
space = NASBench201()
INITIAL, BATCH = 10, 2


def formula(cell: Cell) -> float:
    """Convolutions are good, more so on a path through the whole cell; skips help a little."""
    edges = str(cell)
    deep = all(f"nor_conv_3x3~{i}" in edges for i in range(3))
    return edges.count("nor_conv_3x3") + 0.5 * edges.count("skip_connect") + 2.0 * deep


def search(objective: Callable[[Cell], float], evaluations: int) -> list[tuple[Cell, float]]:
    """Return the cells that were evaluated, with their values."""
    # --- 2. A few random cells to begin with, encoded as BoTorch's `train_X`, n x d, double. ----
    cells = space.sample(INITIAL, torch.Generator().manual_seed(0))
    values = [objective(cell) for cell in cells]
    while len(cells) < evaluations:
        train_X = space.encode(cells).flatten(1)
        train_Y = torch.tensor(values, dtype=torch.double)[:, None]

        # --- 3. Any model and any acquisition function. -----------------------------------------
        model = SingleTaskGP(train_X, train_Y)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        acq_function = qLogNoisyExpectedImprovement(model, train_X)

        # --- 4. The one call that is not BoTorch's. Candidates are valid cells, distinct, and none
        #        is known already, up to isomorphism. Try `options={"generate": True}`,
        #        `fixed_features={9: 0.0}` (no `none` on the first edge), a `constraint`.
        candidates, _ = optimize_acqf_diffusion(acq_function, space, q=BATCH, X_avoid=train_X)

        # --- 5. Decode, evaluate, go on. --------------------------------------------------------
        new = space.decode(candidates.view(-1, *space.shape))[: evaluations - len(cells)]
        cells += new
        values += [objective(cell) for cell in new]
        print(f"{len(cells):3d} evaluations, best {max(values):.2f}")
    return list(zip(cells, values, strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--evaluations", type=int, default=30)
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    chosen: Callable[[Cell], float] = formula
    if arguments.table:
        try:
            chosen = load_table(arguments.table, space, "cifar100_test_200").__getitem__
        except TableError as error:
            parser.error(str(error))
    best, value = max(search(chosen, arguments.evaluations), key=lambda pair: pair[1])
    print(f"best cell, {value:.2f}: {best}")
