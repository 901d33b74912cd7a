"""The command `bench`: the measurements behind the project's figures."""

from __future__ import annotations

import importlib

import click

MEASUREMENTS = {
    "optuna": "Optuna's samplers and ours: regret, Pareto fronts, time, one large study.",
    "naslib": "Best accuracy against queries inside NASLib, beside its own optimizers.",
    "checkpoint": "The figures on the cards of trained networks.",
    "acquisition": "Maximising acquisition functions, beside BoTorch's own optimizers.",
    "figure4": "Strategies of Bayesian optimisation (paper, Figure 4).",
    "multiobjective": "Hypervolume of hardware-aware and robust search.",
    "scratch": "Evaluations until the best cell of a table, from scratch.",
    "speed": "Time and memory of generation and search.",
    "dataset_aware": "What seeing the data set is worth on held-out image tasks.",
    "transfer_images": "Trained proposals against random search on real images.",
    "graph_limits": "What other data sets can tell of one of NAS-Bench-Graph, in hindsight.",
    "transfer": "Generation and search with a prior from other tasks (paper, Tables 1 and 2).",
    "table1": "Guided generation against sorting and the oracle (paper, Table 1).",
    "table3": "Validity, uniqueness and novelty of trained score networks (paper, Table 3).",
}


class _Measurements(click.Group):
    """Commands that are imported when they are asked for: each pulls in what it measures."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(MEASUREMENTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in MEASUREMENTS:
            return None
        module = importlib.import_module(f"naslib_diffusion.benchmarks.{cmd_name}")
        command: click.Command = module.main
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Measurements"):
            formatter.write_dl(sorted(MEASUREMENTS.items()))


@click.group(cls=_Measurements)
def bench() -> None:
    """Measure: reproduce a figure or table of this project or of the paper."""
