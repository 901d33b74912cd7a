"""What commands show on the terminal."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from tqdm import tqdm

from naslib_diffusion.runtime.closing import Closing
from naslib_diffusion.runtime.text import printable

if TYPE_CHECKING:
    from naslib_diffusion.runs import Evaluation, Results, RunFolder, Settings
    from naslib_diffusion.tables import Table

MIN_WIDTH = 120
"""Width of tables that go to a file or a pipe, where there is no terminal to fit."""


class Progress(Closing):
    """A progress bar over all evaluations on stderr, with the incumbent of the present seed."""

    def __init__(self, settings: Settings, table: Table[Any], done: int, quiet: bool) -> None:
        self._sign = 1 if table.direction == "maximize" else -1
        self._seed: int | None = None
        self._best = 0.0
        self._bar = tqdm(
            total=settings.budget * settings.seeds,
            initial=done,
            disable=quiet or not sys.stderr.isatty(),
            unit="eval",
            dynamic_ncols=True,
            leave=False,
        )

    def advance(self, evaluation: Evaluation) -> None:
        """Count one evaluation."""
        better = math.isnan(self._best) or (
            self._sign * evaluation.value > self._sign * self._best
        )
        if evaluation.seed != self._seed or better:
            self._seed, self._best = evaluation.seed, evaluation.value
            self._bar.set_postfix_str(f"seed {self._seed}, best {self._best:.6g}", refresh=False)
        self._bar.update()

    def close(self) -> None:
        """End the bar."""
        self._bar.close()


def shown(text: str) -> str:
    """Return a text that others wrote, for `console`: without markup and without controls."""
    return escape(printable(text))


def console() -> Console:
    """Return a console on stdout that is wide enough for tables even where it is no terminal."""
    found = Console(highlight=False, soft_wrap=False)
    return found if found.is_terminal else Console(width=MIN_WIDTH, highlight=False)


def print_results(results: Results, folder: RunFolder) -> None:
    """Print a line per seed, the best architecture, and where the report is."""
    out, table = console(), results.table
    grid = RichTable(title=f"{shown(table.name)}: {shown(table.objective)}", title_justify="left")
    for heading in ("seed", "best found", "gap to the best there is", "rank", "evaluations to it"):
        grid.add_column(heading, justify="right")
    for seed in results.seeds:
        grid.add_row(
            str(seed.seed),
            f"{seed.value:.6g}",
            "0" if seed.gap <= 0 else f"{seed.gap:.3g}",
            f"{seed.rank:,} of {len(table):,}",
            str(seed.steps_to_best),
            style="bold green" if seed is results.winner else "",
        )
    out.print(grid)
    out.print(f"best: {shown(results.winner.best.arch)}", soft_wrap=True)  # whole, to be copied
    out.print(f"[bold cyan]report: {shown(str(folder.report))}[/]", soft_wrap=True)
