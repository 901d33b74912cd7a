"""The hook of the site that writes the reference of the command line."""

import importlib.util
import re
from pathlib import Path

import click
import pytest

from naslib_diffusion.cli import cli

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
NAMES = re.findall(r"^::: command (.+)$", PAGE, re.MULTILINE)


def written(markdown):
    spec = importlib.util.spec_from_file_location("reference_commands", DOCS / "commands.py")
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    return hook.on_page_markdown(markdown)


def test_every_command_is_on_the_page():
    assert {name.split()[0] for name in NAMES} == set(cli.commands)


@pytest.mark.parametrize("name", ["search", "report", "data nasbench201"])
def test_a_mark_becomes_the_help_with_every_option(name):
    command = cli
    for part in name.split():
        command = command.get_command(click.Context(command), part)
    text = written(f"before\n\n::: command {name}\n\nafter")
    assert text.startswith(f"before\n\n## naslib-diffusion {name}")
    assert text.endswith("after")
    for option in command.params:
        assert f"`{option.opts[0]}" in text
    assert "**What is searched**" in text or name != "search"
    assert "\b" not in text


def test_what_is_no_mark_stays_as_it_is():
    assert written("no ::: command here") == "no ::: command here"
