"""What a result is from: versions, commit, machine and time."""

from __future__ import annotations

import functools
import os
import platform
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import click

from naslib_diffusion.runtime.versions import PACKAGES, versions

USED = (*PACKAGES, "scipy", "optuna")
"""Packages whose versions decide what is measured."""


def facts() -> dict[str, object]:
    """Return versions, commit, machine and time."""
    return {
        "versions": versions(USED),
        "commit": commit(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def command() -> str:
    """Return the command line of the measurement that runs; files and folders by their options.

    So it holds no path of this machine.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return ""
    words = ["naslib-diffusion", "bench", context.info_name or ""]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if value == parameter.get_default(context) or value in (None, (), False):
            continue
        option = parameter.opts[-1]
        for own in value if isinstance(value, tuple) else (value,):
            text = option.lstrip("-").upper() if isinstance(own, Path) else str(own)
            words += [option] if own is True else [option, text]
    return shlex.join(words)


@functools.cache
def commit() -> str:
    """Return the commit of the checkout, `-dirty` if it was changed; empty if there is none."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
