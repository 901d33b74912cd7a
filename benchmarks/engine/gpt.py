"""Transformers of HW-GPT-Bench: perplexity against parameters, by hypervolume."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import torch
from naslib_diffusion.benchmarks.engine.multiobjective import hypervolume
from naslib_diffusion.benchmarks.harness.common import (
    budget_option,
    data_option,
    need_files,
    out_option,
    processes_option,
    run_methods,
    save,
    seeds_option,
    several,
)
from naslib_diffusion.benchmarks.harness.common import show as show_table
from naslib_diffusion.benchmarks.harness.curves import save_curves
from naslib_diffusion.benchmarks.harness.statistics import Floats, paired

from naslib_diffusion.search import ParetoSearch
from naslib_diffusion.spaces import GPT, Transformer
from naslib_diffusion.tables import Direction
from naslib_diffusion.tables.hwgpt import Perplexity, perplexity

SCALES = ("s", "m")
INITIAL = 10
REFERENCE = 10_000
"""Random transformers whose worst values are the reference point of the hypervolume."""
DIRECTIONS: tuple[Direction, Direction] = ("minimize", "minimize")

Evaluate = Callable[[Transformer], tuple[float, float]]


class Task:
    """Perplexity and parameters of one scale, and the hypervolume of what was found.

    Args:
        scale: "s" or "m".
        data: folder with the predictors.
    """

    def __init__(self, scale: str, data: Path) -> None:
        self.space = GPT(scale)
        self._predict: Perplexity = perplexity(data, scale)
        drawn = self.space.sample(REFERENCE, torch.Generator().manual_seed(0))
        values = self.outcomes(drawn)
        self._best, self._worst = values.amin(0), values.amax(0)

    def outcomes(self, archs: Sequence[Transformer]) -> torch.Tensor:
        """Return perplexity and millions of parameters, `n x 2`."""
        params = torch.tensor([self.space.cost(arch) / 1e6 for arch in archs]).double()
        return torch.stack([self._predict(self.space.encode(archs)), params], 1)

    def __call__(self, arch: Transformer) -> tuple[float, float]:
        """Return both of one transformer."""
        first, second = self.outcomes([arch])[0].tolist()
        return first, second

    def curve(self, archs: Sequence[Transformer]) -> list[float]:
        """Return the hypervolume after each evaluation: 1 is the box of what was drawn."""
        scaled = (self._worst - self.outcomes(archs)) / (self._worst - self._best)
        return [hypervolume(scaled[: i + 1]) for i in range(len(archs))]


def diffusion(task: Task, seed: int, budget: int) -> list[Transformer]:
    """Search by guided generation."""
    search = ParetoSearch(task.space, DIRECTIONS, initial=INITIAL, seed=seed)
    archs: list[Transformer] = []
    while len(archs) < budget:
        asked = search.ask()
        search.tell(asked, [task(arch) for arch in asked])
        archs += asked
    return archs


def drawn(task: Task, seed: int, budget: int) -> list[Transformer]:
    """Draw at random."""
    return task.space.sample(budget, torch.Generator().manual_seed(seed))


def optuna_by(name: str) -> Callable[[Task, int, int], list[Transformer]]:
    """Return a search by one of Optuna's samplers."""

    def search(task: Task, seed: int, budget: int) -> list[Transformer]:
        import optuna

        warnings.filterwarnings("ignore")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler: optuna.samplers.BaseSampler = (
            optuna.samplers.NSGAIISampler(seed=seed, population_size=2 * INITIAL)
            if name == "NSGA-II"
            else optuna.samplers.TPESampler(
                seed=seed,
                multivariate=True,
                n_startup_trials=INITIAL,
                warn_independent_sampling=False,
            )
        )
        study = optuna.create_study(directions=DIRECTIONS, sampler=sampler)
        archs: list[Transformer] = []

        def objective(trial: optuna.Trial) -> tuple[float, float]:
            archs.append(suggested(trial, task.space))
            return task(archs[-1])

        study.optimize(objective, n_trials=budget)
        return archs

    return search


def suggested(trial: object, space: GPT) -> Transformer:
    """Let a trial choose a transformer; layers that the depth drops are chosen too."""
    choose = trial.suggest_categorical  # type: ignore[attr-defined]
    scale = space.scale
    depth = choose("depth", scale.depths)
    ratios = tuple(choose(f"ratio{i}", scale.ratios) for i in range(space.layers))
    heads = tuple(choose(f"heads{i}", scale.heads) for i in range(space.layers))
    width, bias = choose("width", scale.widths), choose("bias", (True, False))
    return Transformer(width, bias, ratios[:depth], heads[:depth])


METHODS: dict[str, Callable[[Task, int, int], list[Transformer]]] = {
    "diffusion": diffusion,
    "NSGA-II": optuna_by("NSGA-II"),
    "TPE": optuna_by("TPE"),
    "random": drawn,
}


def run(scale: str, data: Path, method: str, seed: int, budget: int) -> list[float]:
    """Search once; return the hypervolume after each evaluation."""
    torch.manual_seed(seed)
    task = Task(scale, data)
    return task.curve(METHODS[method](task, seed, budget))


@click.command()
@data_option
@out_option
@several("--scale", SCALES, "Scale of the transformers")
@several("--method", METHODS, "Method to compare")
@seeds_option(default=10)
@budget_option(default=100)
@processes_option
def main(
    data: Path | None,
    out: Path | None,
    scales: Sequence[str],
    methods: Sequence[str],
    seeds: int,
    budget: int,
    processes: int,
) -> None:
    """Search for transformers of low perplexity and few parameters, beside Optuna's samplers."""
    scales = scales or SCALES
    data = need_files(data, *(f"hwgpt_perplexity_{scale}.safetensors" for scale in scales))
    chosen = methods or tuple(METHODS)
    panels: dict[str, dict[str, Floats]] = {}
    rows: list[dict[str, object]] = []
    for scale in scales:
        one = functools.partial(run, scale, data, budget=budget)
        panel = run_methods(one, chosen, seeds, processes, f"gpt-{scale}")
        panels[f"gpt-{scale}"] = panel
        rows += [_row(scale, method, panel, budget) for method in chosen]
    note = f"p: Wilcoxon's signed-rank test against {chosen[0]}, paired by seed, two-sided"
    show_table(f"Hypervolume, mean of {seeds} seeds", rows, [note])
    save(out, "gpt", rows, seeds=seeds, budget=budget)
    if out is not None:
        save_curves(
            out,
            "gpt",
            panels,
            rows,
            title="Perplexity against parameters",
            text=f"Hypervolume above the worst of {REFERENCE:,} random transformers, {seeds} "
            f"seeds: medians, middle half. {note}",
            start=INITIAL,
            ylabel="hypervolume",
        )


def _row(
    scale: str,
    method: str,
    panel: dict[str, Floats],
    budget: int,
) -> dict[str, object]:
    values, first = panel[method], next(iter(panel))
    row: dict[str, object] = {"space": f"gpt-{scale}", "method": method}
    for step in (20, 50, 100):
        if step <= budget:
            row[f"at {step}"] = f"{values[:, step - 1].mean():.4f}"
    same = method == first
    p = paired(panel[first][:, -1], values[:, -1])
    row[f"p at {budget}"] = "" if same else f"{p:.3f}"
    return row


if __name__ == "__main__":
    main()
