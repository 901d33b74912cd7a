"""`naslib-diffusion data`: the tables that measurements and examples read."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from naslib_diffusion.commands.errors import UserError
from naslib_diffusion.commands.groups import Group
from naslib_diffusion.commands.output import say

if TYPE_CHECKING:
    from naslib_diffusion.spaces.nasbench201 import Cell

FILE = "nasbench201.csv.gz"


@click.group(cls=Group)
def data() -> None:
    """Write tables of measured architectures, from files that you have or can download."""


@data.command()
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help=f"Folder to write {FILE} to: what --data of `bench` names.",
)
@click.option(
    "--from",
    "source",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="NATS-tss-v1_0-3ffb9.pickle.pbz2 or folder NATS-tss-v1_0-3ffb9-simple (with the package "
    "nats-bench), or NAS-Bench-201-v1_1-096897.pth (with nas-bench-201).  [default: the "
    "validation accuracies that are installed with this package]",
)
@click.option("--overwrite", is_flag=True, help="Replace the file if there is one.")
def nasbench201(out: Path, source: Path | None, overwrite: bool) -> None:
    """Write nasbench201.csv.gz: all cells and their accuracies, one row each.

    From NATS-Bench's or NAS-Bench-201's own file: validation and test accuracy on CIFAR-10,
    CIFAR-100 and ImageNet16-120 after 200 and 12 epochs, means over the trainings. Without one:
    validation accuracies after 200 epochs, and parameters.
    """
    path = out / FILE
    if path.exists() and not overwrite:
        raise UserError(f"{path} is there already; --overwrite replaces it")
    from naslib_diffusion.runtime.files import write_atomically
    from naslib_diffusion.tables import TableError
    from naslib_diffusion.tables.apis import measurements
    from naslib_diffusion.tables.nasbench201 import embedded_measurements

    try:
        rows = list(embedded_measurements() if source is None else measurements(source))
    except TableError as error:
        raise UserError(str(error)) from None
    out.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(name for _, found in rows for name in found))
    write_atomically(path, _compressed(rows, columns))
    say(f"{path}: {len(rows):,} cells, {', '.join(columns)}")


def _compressed(rows: Iterable[tuple[Cell, dict[str, float]]], columns: list[str]) -> bytes:
    from naslib_diffusion.spaces import NASBench201

    space, text = NASBench201(), io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arch", "isomorphism_class", *columns])
    for cell, found in rows:
        values = [f"{found[name]:.6g}" if name in found else "" for name in columns]
        writer.writerow([cell, space.canonical(cell), *values])
    return gzip.compress(text.getvalue().encode(), mtime=0)
