import csv

import pytest

from naslib_diffusion import cli
from naslib_diffusion.spaces import GPT, NASBench201

SPACE = NASBench201()


@pytest.fixture
def run(capsys):
    """Run a command in this process; return exit code and stderr."""

    def call(*args):
        with pytest.raises(SystemExit) as stop:
            cli.main([str(arg) for arg in args])
        return stop.value.code, capsys.readouterr().err

    return call


@pytest.fixture
def table(tmp_path):
    """Eighty cells, the more expensive the better."""
    path = tmp_path / "table.csv"
    cells = list(SPACE)[::195]
    lines = [f"{cell},{SPACE.cost(cell, 'params') / 1e4}" for cell in cells]
    path.write_text("\n".join(["arch,acc", *lines]) + "\n")
    return path


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_generate_keeps_to_a_window(run, tmp_path):
    out = tmp_path / "gpt.csv"
    window = "--within", "params<=60.6M", "--within", "params >= 59400k"
    assert run("generate", "--space", "gpt-s", *window, "-n", 50, "--out", out)[0] == 0
    found = rows(out)
    assert list(found[0]) == ["arch", "params"]
    assert len({row["arch"] for row in found}) == 50
    space = GPT("s")
    for row in found:
        assert space.cost(space.parse(row["arch"]), "params") == int(row["params"])
        assert 59.4e6 <= int(row["params"]) <= 60.6e6


def test_generate_is_guided_within_a_budget(run, table, tmp_path):
    out = tmp_path / "cells.csv"
    args = "--table", table, "--objective", "acc", "--within", "params<=0.3M"
    assert run("generate", *args, "-n", 20, "--observe", 30, "--out", out)[0] == 0
    found = rows(out)
    assert list(found[0]) == ["arch", "params", "predicted", "measured"]
    assert max(int(row["params"]) for row in found) <= 300_000
    assert (
        int(found[0]["params"]) > 170_000
    )  # guided up: hardly any cell is between 0.19M and 0.3M


def test_search_evaluates_only_rows_within(run, table, tmp_path):
    out = tmp_path / "run"
    args = ("search", "--table", table, "--objective", "acc", "--seeds", 1, "--out", out)
    bounds = "--within", "params<=300k", "--within", "flops>=1M"
    assert run(*args, *bounds, "--initial", 4, "--budget", 8)[0] == 0
    evaluated = [SPACE.parse(row["arch"]) for row in rows(out / "trials.csv")]
    assert len(evaluated) == 8
    assert all(SPACE.cost(cell, "params") <= 300_000 for cell in evaluated)
    code, error = run(*args, "--resume", "--within", "params<=200k")
    assert (code, error.count("\n")) == (2, 1)
    assert "--within" in error
    assert run(*args, "--resume", "--budget", 9)[0] == 0
    assert len(rows(out / "trials.csv")) == 9


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        ("params<=1M", "no architecture of gpt-s with params <= 1,000,000; it has params: 22,747"),
        ("colour<=1", "does not know the cost 'colour'; it knows: params, flops"),
        ("params<5", "'params<5' is no bound; expected a cost, <= or >=, and a number"),
        ("params<=5T", "'params<=5T' is no bound"),
        ("params<=1.2.3M", "'params<=1.2.3M' is no bound"),
        ("", "'' is no bound"),
    ],
)
def test_mistakes_in_bounds(run, tmp_path, bound, message):
    out = tmp_path / "out.csv"
    code, error = run("generate", "--space", "gpt-s", "--within", bound, "--out", out)
    assert (code, error.count("\n")) == (2, 1)
    assert message in error
    assert not out.exists()
