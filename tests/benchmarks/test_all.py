"""All measurements by one command: what is skipped and what is kept, and their page."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from naslib_diffusion.benchmarks.compare import all as every
from naslib_diffusion.benchmarks.compare import results

from naslib_diffusion.commands.bench import bench
from naslib_diffusion.report.measurements import Measurement, render_measurements

DOCS = Path(__file__).resolve().parents[2] / "docs" / "results"
HOSTILE = "<script>alert(1)</script>"


@pytest.mark.parametrize("name", sorted(every.QUICK.keys() & every.DESCRIPTIONS.keys()))
def test_quick_options_are_options(name, tmp_path):
    command = bench.get_command(click.Context(bench), name)
    arguments = [*every.QUICK[name].split(), "--out", str(tmp_path)]
    environment = {"NASLIB_DIFFUSION_DATA": str(tmp_path)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(*next(iter(environment.items())))
        command.make_context(name, arguments)  # raises where an option is not known


def test_every_measurement_has_its_quick_size():
    assert every.DESCRIPTIONS.keys() - set(every.OTHERS) <= every.QUICK.keys()


def run(monkeypatch, outcome, *arguments):
    """Run the command with a stand-in for the processes that it starts; count these."""
    started = []

    def stand_in(words, data, folder, limit):
        started.append(words[1])
        rows = [{"method": HOSTILE, "value": 1.5}]
        (folder / "x.json").write_text(json.dumps({"name": "x", "rows": rows}))
        return outcome

    monkeypatch.setattr(every, "_run", stand_in)
    result = CliRunner().invoke(every.main, list(map(str, arguments)))
    return result, started


def test_what_is_done_is_not_repeated(tmp_path, monkeypatch):
    arguments = ("--quick", "--only", "speed,table1", "--out", tmp_path)
    result, started = run(monkeypatch, ("done", ""), *arguments)
    assert result.exit_code == 0, result.output
    assert started == ["speed", "table1"]
    assert run(monkeypatch, ("done", ""), *arguments)[1] == []
    assert run(monkeypatch, ("done", ""), *arguments[1:])[1] == ["speed", "table1"]  # other sizes
    outcome = json.loads((tmp_path / "speed" / "outcome.json").read_text())
    assert outcome["command"] == "naslib-diffusion bench speed"
    assert {"commit", "versions", "machine", "finished"} <= outcome["facts"].keys()


def test_single_runs_are_not_on_the_page(tmp_path):
    rows = [{"best": " ".join(map(str, range(500)))}]
    for name in ("steps", "steps_runs"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"name": name, "rows": rows}))
    assert [result["name"] for result in every.results_of(tmp_path)] == ["steps"]


def test_what_is_skipped_is_tried_again_and_what_failed_is_told(tmp_path, monkeypatch):
    arguments = ("--only", "table1", "--out", tmp_path)
    result, _ = run(monkeypatch, ("skipped", "this needs data"), *arguments)
    assert result.exit_code == 0
    assert "this needs data" in (tmp_path / "index.html").read_text()
    result, started = run(monkeypatch, ("failed", "an error"), *arguments)
    assert started == ["table1"]
    assert result.exit_code == 1
    assert "not done: table1" in result.output


def test_a_measurement_without_its_data_is_skipped(tmp_path, monkeypatch):
    monkeypatch.delenv("NASLIB_DIFFUSION_DATA", raising=False)
    status, message = every._run(["bench", "table1", "--out", str(tmp_path)], None, tmp_path, 120)
    assert (status, message) == (
        "skipped",
        "this needs nasbench201.csv.gz: name the folder, --data",
    )


def test_unknown_measurements(tmp_path):
    result = CliRunner().invoke(every.main, ["--only", "nonsense", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "unknown measurement 'nonsense'" in result.output


def test_the_page_escapes_what_it_shows():
    rows = [{"method": HOSTILE, "value": 0.12345}]
    measurement = Measurement(
        "x", HOSTILE, HOSTILE, "failed", HOSTILE, 1.0, [{"rows": rows}], ["a.html"]
    )
    facts = {"commit": HOSTILE, "versions": {"torch": "1"}, "machine": "m", "finished": "now"}
    page = render_measurements([measurement], True, facts)
    assert HOSTILE not in page
    assert "0.123" in page
    assert '<a href="x/a.html">' in page


def test_the_documentation_says_what_the_files_say():
    if not (DOCS / "measured").is_dir():
        pytest.skip("this is no checkout: there is no docs/results/measured")
    made = results.render(results.read(DOCS / "measured")).splitlines()
    told = (DOCS / "measured.md").read_text(encoding="utf-8").splitlines()
    for number, (ours, theirs) in enumerate(zip(made, told, strict=False), start=1):
        assert ours == theirs, f"measured.md, line {number}; run naslib-diffusion bench results"
    assert len(made) == len(told)


def test_results_are_tables_of_markdown(tmp_path):
    result = {
        "name": "table1", "command": "naslib-diffusion bench table1", "commit": "abc",
        "finished": "2026-01-01", "versions": {"torch": "2"}, "notes": ["As it is."],
        "rows": [{"a": "x|y", "b": 1.234}],
    }  # fmt: skip
    (tmp_path / "table1.json").write_text(json.dumps(result))
    text = results.render(results.read(tmp_path))
    assert "| a | b |\n| --- | --- |\n| x\\|y | 1.23 |" in text
    assert "    naslib-diffusion bench table1\n" in text
    assert "As it is." in text
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(click.UsageError, match=r"other\.json is not the result"):
        results.read(tmp_path)
