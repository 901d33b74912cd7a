"""`naslib-diffusion naslib`."""

from __future__ import annotations

import contextlib
import math
import sys
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from naslib_diffusion.commands.errors import Interrupted, UserError
from naslib_diffusion.commands.output import say

FILE = click.Path(path_type=Path)
UNKNOWN = -1
"""NASLib's accuracy of what no table knows."""


@click.command(
    context_settings={"ignore_unknown_options": True},  # overrides such as `search.fidelity -1`
)
@click.option(
    "--config-file",
    metavar="CONFIG.yaml",
    type=FILE,
    required=True,
    help="NASLib's YAML of the run: optimizer, search space, data set, seed.",
)
@click.option("--table", metavar="FILE", type=FILE, help="CSV to query instead of NASLib's files.")
@click.option(
    "--validation", metavar="COLUMN", help="Column of --table with the accuracy that is optimised."
)
@click.option(
    "--test", metavar="COLUMN", help="Column of --table with the accuracy that is only reported."
)
@click.option(
    "--train-time", metavar="COLUMN", help="Column of --table with the seconds that training took."
)
@click.option("--images", metavar="FOLDER", type=FILE, help="Data sets for one-shot optimizers.")
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.argument("overrides", nargs=-1, metavar="[KEY VALUE]...")
def naslib(
    config_file: Path, overrides: tuple[str, ...], resume: bool, quiet: bool, **source: Any
) -> None:
    """Run a config of NASLib, with its optimizers or with guided diffusion.

    Needs NASLib, which is not on PyPI; the message says how to get it. The config's `optimizer` is
    one of diffusionnag, guided_bananas, guided_npenas, or NASLib's rs, re, ls, bananas, npenas,
    rsws, darts, drnas, gdas. Results go to the config's out_dir, as NASLib writes them.

    \b
    Examples:
      naslib-diffusion naslib --config-file diffusionnag.yaml --table nasbench201.csv.gz
      naslib-diffusion naslib --config-file diffusionnag.yaml --table nasbench201.csv.gz \\
          dataset cifar100 search.epochs 50 seed 3
      naslib-diffusion naslib --config-file mine.yaml optimizer bananas search.k 5
    """
    from naslib_diffusion.plugins.naslib.compat import NaslibMissing
    from naslib_diffusion.plugins.naslib.runner import Source, run
    from naslib_diffusion.plugins.naslib.settings import ConfigError
    from naslib_diffusion.plugins.naslib.spaces import UnsupportedSpace

    bar: Any = None  # it begins with the search: what is missing is said before
    with contextlib.ExitStack() as closing:

        def progress(done: int, total: int, best: float) -> None:
            nonlocal bar
            if bar is None:
                hidden = quiet or not sys.stderr.isatty()
                bar = closing.enter_context(tqdm(desc="epochs", disable=hidden))
            bar.total, bar.n = total, done
            bar.set_postfix_str("" if math.isnan(best) else f"validation {best:.4g}")

        try:
            outcome = run(
                config_file, list(overrides), Source(**source), resume=resume, progress=progress
            )
        except (ConfigError, NaslibMissing, UnsupportedSpace) as error:
            raise UserError(str(error)) from None
        except KeyboardInterrupt:
            done = 0 if bar is None else bar.n
            raise Interrupted(f"{done} epochs are done; go on with --resume") from None
    if not quiet:
        _show(outcome)


def _show(outcome: Any) -> None:
    known = outcome.result is not None and outcome.result != UNKNOWN
    result = f", evaluated {outcome.result:.4g}" if known else ""
    say(
        f"{outcome.epochs} epochs: validation {outcome.validation:.4g}{result}\n"
        f"architecture {outcome.architecture}\n"
        f"results in {outcome.folder}"
    )
