"""`naslib-diffusion generate`."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from naslib_diffusion.commands.errors import UserError
from naslib_diffusion.commands.groups import Sectioned
from naslib_diffusion.commands.options import (
    POSITIVE,
    SECTIONS,
    SEED,
    Whole,
    budgeted,
    make_space,
    make_table,
    quiet_option,
    refuse_existing,
    table_options,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from naslib_diffusion.diffusion import Denoiser
    from naslib_diffusion.spaces import Space
    from naslib_diffusion.surrogates import ObjectiveScale, Surrogate
    from naslib_diffusion.tables import Table

MAX_OBSERVED = 1000
"""Rows to fit on at most: a Gaussian process needs the cube of it in time."""

OVERSAMPLE = 1.5
POLISH = 128
"""Guided: distinct architectures generated for each one kept, and how many are polished."""


@dataclass(frozen=True)
class _Fit:
    """A surrogate, fitted to so many rows, and the canonical forms of those in the space."""

    surrogate: Surrogate
    scale: ObjectiveScale
    count: int
    observed: set[Hashable]


@click.command(cls=Sectioned, sections=SECTIONS)
@table_options("--data", "--api-file")
@click.option(
    "-n",
    "number",
    metavar="N",
    type=POSITIVE,
    default=100,
    show_default=True,
    help="How many architectures to generate.",
)
@click.option(
    "--observe",
    metavar="N",
    type=Whole(1, MAX_OBSERVED),
    default=50,
    show_default=True,
    help="How many random rows of the table the surrogate learns from. A smaller table is used "
    "whole.",
)
@click.option(
    "--surrogate",
    type=click.Choice(["gp", "ensemble"]),
    default="gp",
    show_default=True,
    help="The model that guides: a Gaussian process, or an ensemble of networks.",
)
@click.option(
    "--checkpoint",
    metavar="FILE",
    help="A trained score network to use in place of the exact denoiser: a file, or the name of "
    "one that ships.",
)
@click.option(
    "--seed",
    metavar="N",
    type=SEED,
    default=0,
    show_default=True,
    help="Seed of all random decisions. Equal seeds give equal files.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("generated.csv"),
    show_default=True,
    help="CSV file to write.",
)
@click.option("--force", is_flag=True, help="Overwrite --out if it exists.")
@quiet_option
def generate(
    *,
    number: int,
    observe: int,
    surrogate: str,
    checkpoint: str | None,
    seed: int,
    out: Path,
    force: bool,
    quiet: bool,
    **source: Any,
) -> None:
    """Generate distinct architectures, guided by measurements if there are some.

    With --table or --benchmark, a surrogate is fitted on --observe random rows, and its prediction
    guides; the rows themselves are not generated again. Otherwise generation is uniform. Writes a
    CSV with the columns arch, costs that --within bounds, and predicted and measured values where
    there are any, best first.

    \b
    Examples:
      naslib-diffusion generate --space nasbench201 -n 1000 --out cells.csv
      naslib-diffusion generate -n 1000 --table mine.csv --objective accuracy --out good.csv
      naslib-diffusion generate -n 20 --benchmark nasbench201/cifar10 --observe 100
      naslib-diffusion generate --space gpt-s --within "params<=60M" --within "params>=40M"
    """
    from naslib_diffusion.runtime.threads import one_thread
    from naslib_diffusion.spaces.equality import structure, under
    from naslib_diffusion.tables.equality import equality

    refuse_existing(out, force)
    bounds = source.pop("within")
    table = _table(source)
    if table:
        space = under(budgeted(structure(table.space), bounds), equality(table))
    else:
        space = budgeted(make_space(source["space"] or "nasbench201"), bounds)
    denoiser = _load(checkpoint, space)
    with one_thread():
        fit = _fit(space, table, observe, surrogate, seed) if table else None
        archs = _generate(space, number, fit, seed, denoiser)
    columns = _columns(space, archs, fit, table)
    _write(out, columns)
    if not quiet:
        _print_summary(columns, fit, table, out)


def _table(source: dict[str, Any]) -> Table[Any] | None:
    if source["benchmark"] is None and source["table"] is None:
        if source["objective"] is not None or source["api_file"] is not None:
            raise UserError("name the measurements to use: --benchmark NAME or --table FILE")
        return None
    return make_table(**source)


def _fit(space: Space[Any], table: Table[Any], observe: int, surrogate: str, seed: int) -> _Fit:
    """Fit the surrogate on random rows of the table, distinct in canonical form."""
    import torch

    from naslib_diffusion.surrogates import ObjectiveScale, make_surrogate

    order = torch.randperm(len(table), generator=torch.Generator().manual_seed(seed)).tolist()
    rows: dict[Hashable, int] = {}
    for row in order:
        rows.setdefault(space.canonical(table.archs[row]), row)
        if len(rows) == observe:
            break
    archs = [table.archs[row] for row in rows.values()]
    values = torch.tensor([table[arch] for arch in archs], dtype=torch.double)
    scale = ObjectiveScale.of(values, maximize=table.direction == "maximize")
    fitted = make_surrogate(surrogate, space).fit(space.encode(archs), scale(values))
    inside = {key for key, row in rows.items() if space.is_valid(table.archs[row])}
    return _Fit(fitted, scale, len(rows), inside)


def _load(checkpoint: str | None, space: Space[Any]) -> Denoiser | None:
    if checkpoint is None:
        return None
    from naslib_diffusion.diffusion import ScoreNetwork

    try:
        return ScoreNetwork.load(checkpoint, space)
    except ValueError as error:
        raise UserError(f"--checkpoint: {error}") from None


def _generate(
    space: Space[Any], number: int, fit: _Fit | None, seed: int, denoiser: Denoiser | None
) -> list[Any]:
    from naslib_diffusion import GuidedGenerator, SpaceExhausted

    known = fit.observed if fit else set()
    if space.size is not None and number > space.size - len(known):
        observed = f" beside the {len(known)} observed" if known else ""
        raise UserError(
            f"-n {number} is more than the {space.size - len(known)} distinct architectures "
            f"of {space.name}{observed}"
        )
    guide = (lambda x: fit.surrogate.posterior(x)[0]) if fit else None
    try:
        generator = GuidedGenerator(space, denoiser, device="cpu", seed=seed)
        if guide is None:
            return generator.generate(number, known=known)
        return generator.generate(
            number, guide, known=known, oversample=OVERSAMPLE, polish=min(number, POLISH)
        )
    except SpaceExhausted as error:
        raise UserError(str(error)) from None


def _columns(
    space: Space[Any], archs: Sequence[Any], fit: _Fit | None, table: Table[Any] | None
) -> dict[str, list[Any]]:
    """Return the columns of the file by name."""
    from naslib_diffusion.spaces import Budgeted, Exact

    columns: dict[str, list[Any]] = {"arch": [str(arch) for arch in archs]}
    inner = space.space if isinstance(space, Exact) else space
    if isinstance(inner, Budgeted):
        for name in inner.windows:
            columns[name] = [_short(inner.cost(arch, name)) for arch in archs]
    if fit:
        import torch

        with torch.no_grad():
            targets = fit.surrogate.posterior(space.encode(archs))[0]
        columns["predicted"] = fit.scale.inverse(targets).tolist()
    if table:
        columns["measured"] = [table.get(arch) for arch in archs]
    return columns


def _short(number: float) -> float:
    """Return a whole number as an integer."""
    return int(number) if number.is_integer() else number


def _write(out: Path, columns: dict[str, list[Any]]) -> None:
    from naslib_diffusion.runs import write_atomically

    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    try:
        write_atomically(out, buffer.getvalue())
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}") from None


def _print_summary(
    columns: dict[str, list[Any]], fit: _Fit | None, table: Table[Any] | None, out: Path
) -> None:
    """Print how good the generated architectures are, beside the table's."""
    from rich.table import Table as RichTable

    from naslib_diffusion.commands.terminal import console, shown

    screen = console()
    number = len(columns["arch"])
    if table and fit:
        pick = max if table.direction == "maximize" else min
        grid = RichTable(title=f"{shown(table.name)}: {shown(table.objective)}")
        for heading in ("", "number", "best", "mean"):
            grid.add_column(heading, justify="right" if heading else "left")
        measured = [value for value in columns["measured"] if value is not None]
        for label, values in (
            ("all rows of the table", table.values.tolist()),
            ("generated, predicted", columns["predicted"]),
            ("generated, measured", measured),
        ):
            if values:
                mean = sum(values) / len(values)
                grid.add_row(label, f"{len(values):,}", f"{pick(values):.5g}", f"{mean:.5g}")
        screen.print(grid)
        screen.print(f"guided by {fit.count} observed rows, which are left out")
    screen.print(
        f"[bold cyan]{number:,} distinct architectures: {shown(str(out))}[/]", soft_wrap=True
    )
