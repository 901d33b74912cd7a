"""Options that commands share, and the tables that they name."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from naslib_diffusion.commands.budgets import windows_of, within_option
from naslib_diffusion.commands.errors import UserError

if TYPE_CHECKING:
    from naslib_diffusion.spaces import Equality, Space
    from naslib_diffusion.tables import Direction, Missing, Table

F = TypeVar("F", bound=Callable[..., Any])

STRATEGIES = ("guided", "enumerate", "auto", "random", "mutation", "mutation+random")
"""Those of `naslib_diffusion.search`, which takes long to import."""


class Whole(click.IntRange):
    """A whole number within a range."""

    name = "whole number"  # in messages


POSITIVE = Whole(min=1)


class Finite(click.FloatRange):
    """A number within a range; NaN, which is neither below nor above anything, is refused."""

    name = "number"  # in messages

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


def check_device(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Refuse what is neither the CPU nor a GPU that PyTorch sees: a callback of options."""
    import torch

    kind, _, number = value.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise click.BadParameter(f"{value!r} is not a device; there are cpu, cuda and cuda:N.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise click.BadParameter(f"{value!r}: there is no GPU that PyTorch can use.")
    if kind == "cuda" and number and int(number) >= torch.cuda.device_count():
        raise click.BadParameter(f"{value!r}: PyTorch sees {torch.cuda.device_count()} GPUs.")
    return value


SEED = Whole(min=0, max=2**31 - 1)
"""Range of seeds; room for 2**31 more, counted up from the first."""

SECTIONS = {
    "What is searched": ("benchmark", "table", "objective", "direction", "space", "within"),
    "Images to train on": ("data", "preset", "device", "size", "holdout", "export"),
    "How much, and where results go": (
        *("number", "observe", "budget", "seeds", "out", "resume", "force", "quiet"),
    ),
    "How the search works": (
        *("prior", "surrogate", "strategy", "checkpoint", "initial", "batch", "noisy", "seed"),
    ),
    "How tables are read": ("arch_column", "missing", "distinct", "api_file"),
    "How networks are trained": (
        *("epochs", "batch_size", "lr", "momentum", "weight_decay"),
        *("channels", "cells", "flip", "crop", "threads"),
    ),
}
"""Sections of the help of commands that search or generate: common options come first."""

# of the commands that run searches
seeds_option = click.option(
    "--seeds",
    metavar="N",
    type=POSITIVE,
    default=3,
    show_default=True,
    help="How many independent searches to run, each with a seed of its own.",
)
seed_option = click.option(
    "--seed",
    metavar="N",
    type=SEED,
    default=0,
    show_default=True,
    help="Seed of the first search; the next ones count up from it.",
)
strategy_option = click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="guided",
    show_default=True,
    help="Where candidates come from: `guided` generates them by diffusion, `enumerate` looks at "
    "every architecture of a small space, `auto` takes one of these two, `random` draws them, "
    "`mutation` changes the best.",
)
batch_option = click.option(
    "--batch",
    metavar="N",
    type=POSITIVE,
    default=1,
    show_default=True,
    help="How many architectures are chosen at a time, as if they were trained in parallel; on "
    "images they are.",
)
resume_option = click.option(
    "--resume",
    is_flag=True,
    help="Go on with the run in --out. Its settings are kept; a larger --budget makes it longer.",
)
quiet_option = click.option("--quiet", is_flag=True, help="Print nothing but errors.")


def table_options(*files: str) -> Callable[[F], F]:
    """Return a decorator that adds the options which name a table.

    Args:
        files: names of the option for files of a benchmark: --data, where that is not the images.
    """
    options = [
        click.option(
            "--benchmark",
            metavar="NAME",
            help="A public benchmark, such as nasbench201/cifar10; `list` lists all of them.",
        ),
        click.option(
            "--space",
            metavar="NAME",
            help="Search space of --table: mobilenetv3, nasbenchgraph, gpt-s, gpt-m, gpt-l, or a "
            "YAML file that declares one.  [default: nasbench201]",
        ),
        click.option(
            "--table",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="Your own measurements: a CSV, JSON or Parquet file with a column of "
            "architectures and columns of numbers.",
        ),
        click.option(
            "--objective", metavar="COLUMN", help="Column of --table to maximise or minimise."
        ),
        click.option(
            "--arch-column",
            metavar="NAME",
            help="Column of --table that holds the architectures.  [default: arch, arch_str, "
            "architecture or the like]",
        ),
        click.option(
            "--missing",
            type=click.Choice(["fail", "skip"]),
            default="fail",
            show_default=True,
            help="A row of --table without a value counts as a failed training (fail), or is "
            "left out (skip).",
        ),
        click.option(
            "--direction",
            type=click.Choice(["maximize", "minimize"]),
            default="maximize",
            show_default=True,
            help="Which values of the objective are better.",
        ),
        click.option(
            "--distinct",
            type=click.Choice(["isomorphic", "exact"]),
            help="Isomorphic architectures compute the same function. They count as one "
            "(isomorphic), which is right for accuracy, or as several (exact), which is right for "
            "latency and size.  [default: isomorphic, if their rows of the table agree]",
        ),
        click.option(
            *files,
            "api_file",
            metavar="PATH",
            type=click.Path(path_type=Path),
            help="The data of a benchmark that does not ship: .pth for nasbench201-api/..., "
            ".pbz2 or a folder for nats-bench/..., .safetensors or a folder for hwgpt/...",
        ),
    ]

    def add(command: F) -> F:
        for option in reversed([*options, within_option]):
            command = option(command)
        return command

    return add


def make_space(name: str) -> Space[Any]:
    """Return a space by its name, or that of a YAML file."""
    from naslib_diffusion.spaces import SPACES, DeclaredSpace

    if name.endswith((".yaml", ".yml")):
        try:
            return DeclaredSpace.read(name)
        except ValueError as error:
            raise UserError(f"--space: {error}") from None
    if name not in SPACES:
        raise UserError(f"unknown space {name!r}; known: {', '.join(SPACES)}, a .yaml file")
    return SPACES[name]()


def budgeted(space: Space[Any], bounds: Sequence[str] | None) -> Space[Any]:
    """Return what of a space keeps to the bounds of `--within`."""
    from naslib_diffusion.spaces.budgeted import within

    try:
        return within(space, windows_of(bounds or ()))
    except ValueError as error:
        raise UserError(f"--within: {error}") from None


def make_table(
    *,
    benchmark: str | None,
    api_file: str | Path | None,
    space: str | None,
    table: str | Path | None,
    objective: str | None,
    direction: Direction,
    arch_column: str | None = None,
    missing: Missing = "fail",
    distinct: Equality | None = None,
    within: Sequence[str] | None = None,
) -> Table[Any]:
    """Return the table that the options name, under the equality that they or its rows say.

    With bounds, only what keeps to them.
    """
    from naslib_diffusion.tables import TableError, load_table, with_equality
    from naslib_diffusion.tables import benchmark as load_benchmark

    if benchmark is not None and table is not None:
        raise UserError("give either --benchmark or --table, not both")
    if benchmark is None and table is None:
        raise UserError("name the measurements to use: --benchmark NAME or --table FILE")
    try:
        if benchmark is not None:
            _check_benchmark_options(space, objective)
            if arch_column is not None or missing != "fail":
                raise UserError("--arch-column and --missing belong to --table")
            measured = load_benchmark(benchmark, api_file=api_file)
            if direction not in ("maximize", measured.direction):
                raise UserError(f"{benchmark} is maximised; --direction belongs to --table")
            return with_equality(_within(measured, within), distinct)
        if api_file is not None:
            raise UserError("--data belongs to --benchmark, not to --table")
        assert table is not None
        found = make_space(space or "nasbench201")
        rows = load_table(
            table, found, objective, direction, arch_column=arch_column, missing=missing
        )
        return with_equality(_within(rows, within), distinct)
    except TableError as error:
        raise UserError(str(error)) from None


def _within(table: Table[Any], bounds: Sequence[str] | None) -> Table[Any]:
    """Return what of a table keeps to the bounds of `--within`."""
    from naslib_diffusion.spaces.equality import structure

    if not bounds:
        return table
    return table.within(budgeted(structure(table.space), bounds))


def _check_benchmark_options(space: str | None, objective: str | None) -> None:
    if objective is not None:
        raise UserError("--objective belongs to --table; a benchmark's name says its objective")
    if space is not None:
        make_space(space)


def refuse_existing(out: Path, force: bool) -> None:
    """Refuse to write a file over another, and make its folder."""
    if out.is_dir():
        raise UserError(f"{out} is a folder; --out must be a file")
    if os.path.lexists(out) and not force:
        raise UserError(f"{out} exists already; --force overwrites it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}") from None
