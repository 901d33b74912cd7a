"""`--within`: what architectures may cost."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from naslib_diffusion.commands.errors import UserError

if TYPE_CHECKING:
    from naslib_diffusion.spaces.budgeted import Windows

SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}
_BOUND = re.compile(r"\s*([^<>=\s]+)\s*(<=|>=)\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([kMGB]?)\s*")


def _checked(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> Any:
    """Refuse what cannot be read; None if nothing was given."""
    windows_of(given)
    return given or None


within_option = click.option(
    "--within",
    metavar="BOUND",
    multiple=True,
    callback=_checked,
    help="What architectures may cost, such as 'params<=60M' or 'flops>=1.5G'. May be given "
    "several times.",
)


def windows_of(bounds: Sequence[str]) -> Windows:
    """Read bounds such as "params<=60M": from and to, by the name of the cost."""
    windows: Windows = {}
    for text in bounds:
        match = _BOUND.fullmatch(text)
        try:
            name, sign, number, suffix = match.groups() if match else ("", "", "", "")
            value = float(number) * SUFFIXES[suffix]
        except ValueError:
            raise UserError(
                f"--within {text!r} is no bound; expected a cost, <= or >=, and a number, such as "
                "params<=60M"
            ) from None
        low, high = windows.get(name, (-math.inf, math.inf))
        windows[name] = (low, min(high, value)) if sign == "<=" else (max(low, value), high)
    return windows
