"""The command `bench`: the measurements behind the project's figures."""

from __future__ import annotations

import difflib
import importlib

import click

MEASUREMENTS = {
    "compare": {
        "all": "Every measurement, on one page.",
        "compare": "Search methods on the same tables, seeds and random start; also your own.",
        "published": "Baselines of the comparison against figures published for them.",
        "results": "The documentation's page of results, from JSON files.",
    },
    "engine": {
        "ablation": "What each part of the engine is worth: the same searches without it.",
        "checkpoint": "The figures on the cards of trained networks.",
        "gpt": "Perplexity against parameters of transformers, beside Optuna's samplers.",
        "gpt_within": "Perplexity within a number of parameters, beside Optuna's samplers.",
        "gpu": "Speed on a GPU, beside its bounds; without a GPU, of the CPU.",
        "multiobjective": "Hypervolume of hardware-aware and robust search.",
        "reliability": "What kill -9 at random moments, full disks and strange histories cost.",
        "scratch": "Evaluations until the best cell of a table, from scratch.",
        "speed": "Time and memory of generation and search.",
        "steps": "Guided generation against other acquisition steps, on spaces small to huge.",
    },
    "hosts": {
        "acquisition": "Maximising acquisition functions, beside BoTorch's own optimizers.",
        "conditional": "Optuna's samplers and ours where parameters exist under others only.",
        "naslib": "Best accuracy against queries inside NASLib, beside its own optimizers.",
        "optuna": "Optuna's samplers and ours: regret, Pareto fronts, time, one large study.",
        "referees": "Samplers on tasks of many fields: mean ranks, and which differences count.",
    },
    "paper": {
        "figure3": "Good cells from a surrogate that saw only poor ones (paper, Figure 3).",
        "figure4": "Strategies of Bayesian optimisation (paper, Figure 4).",
        "table1": "Guided generation against sorting and the oracle (paper, Table 1).",
        "table3": "Validity, uniqueness and novelty of trained score networks (paper, Table 3).",
        "table4": "Another objective by another surrogate alone (paper, Table 4).",
    },
    "priors": {
        "dataset_aware": "What seeing the data set is worth on held-out image tasks.",
        "graph_limits": "What other data sets can tell of one of NAS-Bench-Graph, in hindsight.",
        "priors": "Search with and without priors, on tables that they help on and others.",
        "transfer": "Generation and search with a prior from other tasks (paper, Tables 1 and 2).",
        "transfer_images": "Trained proposals against random search on real images.",
    },
}
"""By the folder of `benchmarks` that holds them: name and what is measured."""


_ROOMS = {name: room for room, names in MEASUREMENTS.items() for name in names}


class _Measurements(click.Group):
    """Commands that are imported when they are asked for: each pulls in what it measures."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_ROOMS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _ROOMS:
            near = difflib.get_close_matches(cmd_name, _ROOMS, n=1)
            if near:
                ctx.fail(f"there is no measurement {cmd_name!r}; did you mean {near[0]}?")
            return None
        module = importlib.import_module(
            f"naslib_diffusion.benchmarks.{_ROOMS[cmd_name]}.{cmd_name}"
        )
        command: click.Command = module.main
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for room, measurements in MEASUREMENTS.items():
            with formatter.section(room.capitalize()):
                formatter.write_dl(sorted(measurements.items()))


@click.group(cls=_Measurements)
def bench() -> None:
    """Measure: reproduce the figures and tables of this project, and of the paper."""
