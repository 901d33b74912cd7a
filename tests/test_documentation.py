"""The blocks of README.md and docs/ run, and print what they say.

The Python blocks of a page run one after the other, as one module, and its console blocks with
them. Names that a page leaves to its reader come from `READERS`; what takes long is made shorter
by `SHORTER`. In .ci/run this module
runs once more, in a checkout's root beside a plain install of the package, which the checkout
shadows.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import optuna
import pytest
import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.models import SingleTaskGP
from naslib_diffusion.plugins.naslib import compat

import naslib_diffusion
from naslib_diffusion import cli
from naslib_diffusion.spaces import ProductSpace
from naslib_diffusion.testing import SpaceTestCase

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```(?:python|console)\n(.*?)```", re.DOTALL)
FILE = re.compile(r"```yaml\n# (\S+)\n(.*?)```", re.DOTALL)
COMMAND = "$ naslib-diffusion "
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
SAID = re.compile(r"^print\(.*\)  # (.*)$", re.MULTILINE)
PAGES = {page: BLOCK.findall(text) for page, text in TEXTS.items() if BLOCK.search(text)}
SHORTER = {
    "zip(digits.images, digits.target)": "zip(digits.images[::18], digits.target[::18])",
    "in range(30)": "in range(12)",
    "n_trials=100": "n_trials=12",
    "n_trials=40": "n_trials=13",
    "transfer --data photos": "transfer --quiet --epochs 1 --data photos",
}
INSTALLED = "NASLIB_DIFFUSION_INSTALLED"
"""Set where the package is installed, and not by `pip install -e`."""

Names = dict[str, Any]


def encoded(names: Names) -> torch.Tensor:
    """Encodings of the page's space, or of that which docs/botorch.md is about to make."""
    space = names.get("space") or ProductSpace.categorical([5] * 6)
    return space.encode(space.sample(8, torch.Generator().manual_seed(0))).flatten(1)


def model(names: Names) -> SingleTaskGP:
    x = encoded(names)
    return SingleTaskGP(x, x[:, ::3].sum(1, keepdim=True))


def earlier_study(names: Names) -> optuna.Study:
    study = optuna.create_study(study_name="earlier", storage="sqlite:///earlier.db")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=5)
    return study


def naslib_config(names: Names) -> Any:
    pytest.importorskip("fvcore", reason="the extra [naslib] is not installed")
    from naslib_diffusion.plugins.naslib.configuration import read_config

    return read_config(ROOT / "plugins/naslib/configs/diffusionnag.yaml", ["out_dir", "."])


def naslib_space(names: Names) -> Any:
    from naslib_diffusion.plugins.naslib.runner import make_space

    return make_space(naslib_config(names))


READERS: dict[str, Callable[[Names], Any]] = {
    "acq_function": lambda names: qLogNoisyExpectedImprovement(model(names), encoded(names)),
    "config": naslib_config,
    "dataset_api": lambda names: {},
    "earlier": earlier_study,
    "model": model,
    "my_predictor": lambda names: lambda x: x.flatten(1).cumsum(1).sum(1),
    "objective": lambda names: lambda trial: trial.suggest_float("x", 0, 1),
    "search_space": naslib_space,
    "train": lambda names: lambda cell, *rest: float(str(cell).count("conv")),
    "train_X": encoded,
}


def run(page: str) -> Names:
    """Run the blocks of a page as one module, beside its YAML files, and return its names."""
    names: Names = {"__name__": __name__}
    for name, content in FILE.findall((ROOT / page).read_text(encoding="utf-8")):
        Path(name).write_text(content)
    for block in PAGES[page]:
        if block.startswith(COMMAND):
            run_commands(block)
            continue
        used = {node.id for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Name)}
        for name in sorted(READERS.keys() & used - names.keys()):
            names[name] = READERS[name](names)
        exec(compile(shorter(block), page, "exec"), names)
    return names


def run_commands(block: str) -> None:
    """Run the lines of a console block."""
    for line in shorter(block).splitlines():
        with pytest.raises(SystemExit, match=r"\A0\Z"):
            cli.main(shlex.split(line.removeprefix(COMMAND)))


def shorter(block: str) -> str:
    return functools.reduce(lambda text, pair: text.replace(*pair), SHORTER.items(), block)


@pytest.fixture
def quiet_optuna(monkeypatch):
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def without_naslib() -> bool:
    return not (compat.HOME in os.environ or compat.available())


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("quiet_optuna")
@pytest.mark.filterwarnings("default")  # the hosts' own
def test_a_page_prints_what_it_says(page, tmp_path, monkeypatch, capsys):
    if page.endswith("naslib.md") and without_naslib():
        pytest.skip("there is no NASLib; set NASLIB_HOME to a checkout of it")
    monkeypatch.chdir(tmp_path)
    run(page)
    printed = capsys.readouterr().out.splitlines()
    for line in SAID.findall("".join(PAGES[page])):
        assert any(line == own or line.startswith(f"{own} ") for own in filter(None, printed)), (
            line
        )


def test_what_is_made_shorter_is_there():
    blocks = "".join(block for blocks in PAGES.values() for block in blocks)
    assert all(long in blocks for long in SHORTER)


with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    SPACES = run("docs/spaces.md")


class TestStacks(SPACES["TestStacks"]):
    """The space of docs/spaces.md passes the suite, as the page says."""


def test_the_page_tests_its_space_by_the_suite():
    assert issubclass(TestStacks, SpaceTestCase)
    assert TestStacks.space.__wrapped__(None).size == 9 + 27 + 81 - (4 + 8 + 16)


# --- commands ----------------------------------------------------------------------


def commands(text: str) -> list[list[str]]:
    """Return the words of each command line of the program that a page shows."""
    joined = text.replace("\\\n", " ")
    lines = re.findall(r"^(?:\$ | {4}|.*&& )(naslib-diffusion .*)$", joined, re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.parametrize("page", [page for page, text in TEXTS.items() if commands(text)])
def test_commands_on_a_page_are_understood(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for folder in ("DATA", "TABLES"):
        Path(folder).mkdir()
    for words in commands(TEXTS[page]):
        command, rest = named(cli.cli, words)
        if command is not None:
            command.make_context(command.name, rest)  # reads the options; runs nothing


def named(command: click.Command, words: list[str]) -> tuple[click.Command | None, list[str]]:
    """Return the command that words name, and the rest; None where a page leaves a name open."""
    while isinstance(command, click.Group):
        if words[0].isupper():
            return None, words
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"there is no command {words[0]}"
        command, words = found, words[1:]
    return command, words


# --- where Python is started --------------------------------------------------------------------


def in_checkout(*arguments: str) -> str:
    """Run Python in the checkout's root, where libraries but no installed package are found."""
    libraries = [folder for folder in sys.path if Path(folder).name == "site-packages"]
    done = subprocess.run(
        [sys.executable, "-S", *arguments],  # without .pth files, as of `pip install -e`
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(libraries)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_package_is_a_program():
    version = naslib_diffusion.__version__
    assert in_checkout("-m", "naslib_diffusion", "--version").endswith(version)


def test_plugins_and_benchmarks_are_found_in_a_checkout():
    modules = ("plugins.optuna", "plugins.botorch", "plugins.naslib", "benchmarks.harness.common")
    lines = [f"import naslib_diffusion.{name} as m; print(m.__file__)" for name in modules]
    for path in in_checkout("-c", "\n".join(lines)).splitlines():
        assert Path(path).is_relative_to(ROOT)


@pytest.mark.skipif(INSTALLED not in os.environ, reason=f"{INSTALLED} is not set")
def test_the_package_is_installed_and_the_checkout_shadows_it():
    installed = Path(sysconfig.get_path("purelib")) / "naslib_diffusion"
    assert (installed / "plugins" / "optuna" / "sampler.py").is_file()  # `-e` leaves no such file
    assert Path(naslib_diffusion.__file__).is_relative_to(ROOT)
