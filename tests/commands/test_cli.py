"""The command line: what it writes, what it says about mistakes, and that nothing gets lost."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import click
import pytest

from naslib_diffusion import cli
from naslib_diffusion.runs import Evaluation, TrialLog, read_trials, write_atomically
from naslib_diffusion.runtime.locks import claimed
from naslib_diffusion.search.strategies import STRATEGIES
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.surrogates import SURROGATES

SPACE = NASBench201()
CELLS = list(SPACE)[::131]
DISTINCT = len({SPACE.canonical(cell) for cell in CELLS})
COMMAND = [sys.executable, "-m", "naslib_diffusion.cli"]


def value(cell):
    return 10.0 * cell.operations.count(3) + cell.operations.count(2) + cell.operations[0] / 7


@pytest.fixture
def table(tmp_path) -> Path:
    """A table of 120 cells, with an objective that is easy to learn."""
    path = tmp_path / "table.csv"
    rows = [f"{cell},{value(cell)},{-value(cell)}" for cell in CELLS]
    path.write_text("\n".join(["arch,acc,loss", *rows]) + "\n")
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def search_args(table, out, *more):
    return (
        *("search", "--table", table, "--objective", "acc", "--out", out),
        *("--initial", 4, "--budget", 9, "--seeds", 2, *more),
    )


def tree(folder: Path) -> dict[Path, bytes | None]:
    return {p: p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


# --- what the commands do ---------------------------------------------------------------------


def test_search_writes_trials_summary_and_report(run, table, tmp_path):
    out = tmp_path / "out"
    code, text, error = run(*search_args(table, out, "--seed", 7))
    assert (code, error) == (0, "")
    assert str(out / "report.html") in text
    trials = rows(out / "trials.csv")
    assert [(int(t["seed"]), int(t["step"])) for t in trials] == [
        (seed, step) for seed in (7, 8) for step in range(1, 10)
    ]
    for seed in ("7", "8"):
        own = [SPACE.parse(t["arch"]) for t in trials if t["seed"] == seed]
        assert len({SPACE.canonical(cell) for cell in own}) == 9
    assert all(float(t["value"]) == value(SPACE.parse(t["arch"])) for t in trials)
    summary = json.loads((out / "summary.json").read_text())
    best = max(float(t["value"]) for t in trials if t["seed"] == "7")
    assert summary["seeds"][0]["best_value"] == pytest.approx(
        summary["curve"]["mean"][-1] * 2 - summary["seeds"][1]["best_value"]
    )
    assert summary["seeds"][0]["best_value"] == best
    assert summary["table"]["distinct"] == DISTINCT
    assert summary["settings"]["budget"] == 9
    assert (out / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_search_without_options_says_what_it_does(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, text, _ = run("search", "--budget", 2, "--initial", 2, "--seeds", 1)
    assert code == 0
    assert "nasbench201/cifar100: 2 evaluations x 1 seed of 6,466 distinct" in text
    (out,) = (tmp_path / "runs").iterdir()
    assert out.name.startswith("search-nasbench201-cifar100-")
    assert str(out.relative_to(tmp_path)) in text


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("surrogate", SURROGATES)
def test_all_strategies_and_surrogates_minimise(run, table, tmp_path, strategy, surrogate):
    args = ("search", "--table", table, "--objective", "loss", "--direction", "minimize")
    more = ("--strategy", strategy, "--surrogate", surrogate, "--batch", 3, "--quiet")
    out = tmp_path / "o"
    code, text, _ = run(*args, *more, "--initial", 4, "--budget", 8, "--seeds", 1, "--out", out)
    assert (code, text) == (0, "")
    values = [float(t["value"]) for t in rows(out / "trials.csv")]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["seeds"][0]["best_value"] == min(values)
    assert summary["seeds"][0]["gap"] == min(values) - min(-value(cell) for cell in CELLS)


def test_noisy_evaluations_are_single_trainings(run, tmp_path):
    from naslib_diffusion.tables import benchmark

    out = tmp_path / "o"
    args = ("--benchmark", "nasbench201/cifar10", "--budget", 12, "--seeds", 1, "--noisy")
    assert run("search", *args, "--out", out)[0] == 0
    source = benchmark("nasbench201/cifar10")
    by_arch = dict(zip(map(str, source.archs), source.repeats, strict=True))
    trials = rows(out / "trials.csv")
    assert all(float(t["value"]) in by_arch[t["arch"]] for t in trials)
    summary = json.loads((out / "summary.json").read_text())["seeds"][0]
    assert summary["observed_value"] == max(float(t["value"]) for t in trials)
    assert summary["best_value"] == source[SPACE.parse(summary["best_arch"])]


def test_generate_without_measurements(run, tmp_path):
    out = tmp_path / "new" / "g.csv"
    code, text, _ = run("generate", "--space", "nasbench201", "-n", 300, "--out", out)
    assert code == 0
    assert "300 distinct architectures" in text
    cells = [SPACE.parse(row["arch"]) for row in rows(out)]
    assert len({SPACE.canonical(cell) for cell in cells}) == 300
    assert list(rows(out)[0]) == ["arch"]


def test_generate_is_guided_by_the_observed_rows(run, table, tmp_path):
    args = ("generate", "--table", table, "--objective", "acc", "--observe", 80, "-n", 40)
    code, text, _ = run(*args, "--out", tmp_path / "g.csv")
    assert code == 0
    assert "guided by 80 observed rows" in text
    found = rows(tmp_path / "g.csv")
    assert list(found[0]) == ["arch", "predicted", "measured"]
    predicted = [float(row["predicted"]) for row in found]
    assert predicted == sorted(predicted, reverse=True)
    values = [value(SPACE.parse(row["arch"])) for row in found]
    everywhere = sorted(map(value, SPACE))
    assert sum(values) / 40 > everywhere[int(0.9 * len(everywhere))]
    again = tmp_path / "again.csv"
    assert run(*args, "--out", again, "--quiet")[:2] == (0, "")
    assert again.read_bytes() == (tmp_path / "g.csv").read_bytes()


def test_generate_overwrites_only_if_forced(run, tmp_path):
    out = tmp_path / "g.csv"
    out.write_text("precious")
    args = ("generate", "-n", 3, "--out", out)
    assert run(*args)[0] == 2
    assert out.read_text() == "precious"
    assert run(*args, "--force")[0] == 0
    assert len(rows(out)) == 3


def test_help_version_and_a_quick_start(run):
    code, text, _ = run()
    assert code == 0
    assert "naslib-diffusion search" in text
    assert "from files that you have or can download." in " ".join(text.split())  # in full
    assert run("search", "--budget", "x")[2].endswith("'x' is not a valid whole number.\n")
    for command in ("search", "generate"):
        code, text, _ = run(command, "--help")
        assert code == 0
        assert "Examples:" in text
        assert "[default:" in text
    assert run("--version")[1].startswith("naslib-diffusion, version")
    heavy = "{'torch', 'numpy', 'matplotlib'}"
    loaded = f"import sys, naslib_diffusion.cli; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", loaded], text=True).strip() == "[]"


# --- mistakes -----------------------------------------------------------------------------------

SEARCH_ERRORS = {
    "unknown option": (["--nope"], "--nope"),
    "bad number": (["--budget", "many"], "'many' is not a valid"),
    "zero seeds": (["--seeds", 0], "0 is not in the range"),
    "negative budget": (["--budget", -5], "-5 is not in the range"),
    "zero batch": (["--batch", 0], "--batch"),
    "zero initial": (["--initial", 0], "--initial"),
    "negative seed": (["--seed", -1], "--seed"),
    "unknown strategy": (
        ["--strategy", "luck"],
        "'guided', 'enumerate', 'auto', 'random', 'mutation'",
    ),
    "unknown surrogate": (["--surrogate", "oracle"], "'gp', 'ensemble'"),
    "unknown direction": (["--direction", "up"], "'maximize', 'minimize'"),
    "small budget": (["--budget", 3], "below the 4 random evaluations"),
    "large budget": (["--budget", 121], f"more than the {DISTINCT} distinct architectures"),
    "huge budget": (["--budget", 10**30], "more than the"),
    "unknown space": (["--space", "nope"], "unknown space 'nope'; known: nasbench201"),
    "unknown objective": (["--objective", "nope"], "it has: acc, loss"),
    "missing table": (["--table", "nope.csv"], "cannot read table"),
    "table and benchmark": (["--benchmark", "nasbench201/cifar10"], "not both"),
    "no noise": (["--noisy"], "only one value"),
    "stray argument": (["surprise"], "surprise"),
    "api file": (["--api-file", "x"], "--data belongs to --benchmark"),
    "resume nothing": (["--resume"], "there is no run to resume"),
}


def assert_one_line(code, error, message):
    assert code == 2, error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert "Usage" not in error
    assert message in error


@pytest.mark.parametrize("case", SEARCH_ERRORS)
def test_mistakes_in_search(run, table, tmp_path, case):
    args, message = SEARCH_ERRORS[case]
    before = tree(tmp_path)
    code, _, error = run(*search_args(table, tmp_path / "out", *args))
    assert_one_line(code, error, message)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--benchmark", "nope/nope"], "unknown benchmark 'nope/nope'; known: nasbench201/{"),
        (["--benchmark", "nasbench201/cifar10", "--objective", "acc"], "belongs to --table"),
        (["--benchmark", "nasbench201/cifar10", "--direction", "minimize"], "maximised"),
        (["--benchmark", "nasbench201/cifar10", "--space", "x"], "unknown space 'x'"),
        (["--objective", "acc"], "--benchmark NAME or --table FILE"),
        (["--resume"], "--resume needs --out"),
    ],
)
def test_mistakes_in_naming_what_to_search(run, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    code, _, error = run("search", *args)
    assert_one_line(code, error, message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "cell,acc\nx,1\n", "arch,acc\nnonsense,1\n"])
def test_a_bad_table_leaves_no_folder_behind(run, tmp_path, content):
    table = tmp_path / "bad <b>\nname.csv"
    table.write_text(content)
    code, _, error = run(*search_args(table, tmp_path / "out"))
    assert_one_line(code, error, "bad <b> name.csv")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-n", 0], "0 is not in the range"),
        (["-n", "x"], "'x' is not a valid"),
        (["-n", 6467], "more than the 6466 distinct architectures of nasbench201"),
        (["--space", "nope"], "unknown space 'nope'"),
        (["--checkpoint", "x"], "there is no checkpoint"),
        (["--objective", "acc"], "--benchmark NAME or --table FILE"),
        (["--benchmark", "nope"], "unknown benchmark"),
        (["--observe", 0], "--observe"),
        (["--out", os.devnull + "/x"], "cannot write"),
        (["--out", "."], "is a folder"),
    ],
)
def test_mistakes_in_generate(run, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    code, _, error = run("generate", *args)
    assert_one_line(code, error, message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("group", ["bench", "data"])
def test_a_group_without_a_command_lists_its_commands(run, group):
    code, _, error = run(group)
    assert code == 2
    assert error.startswith(f"Usage: naslib-diffusion {group}")
    assert "\nCommands:\n" in error or "\nCompare:\n" in error


def test_an_unknown_command(run):
    code, _, error = run("serach")
    assert_one_line(code, error, "serach")


def test_out_must_be_a_folder_that_can_be_written(run, table, tmp_path):
    (tmp_path / "file").write_text("precious")
    for out, message in (
        (tmp_path / "file", "is a file; --out must be a folder"),
        (tmp_path / "file" / "below", "cannot write to"),
        (Path(os.devnull) / "x", "cannot write to"),
    ):
        code, _, error = run(*search_args(table, out))
        assert_one_line(code, error, message)
    assert (tmp_path / "file").read_text() == "precious"


def test_a_full_disk_is_one_line_and_the_run_goes_on(run, table, tmp_path):
    out = tmp_path / "out"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # room for some evaluations
    try:
        code, _, error = run(*search_args(table, out))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_one_line(code, error, f"File too large: {out / 'trials.csv'}")
    kept = rows(out / "trials.csv")
    assert 1 < len(kept) < 18
    assert run("search", "--out", out, "--resume", "--quiet")[0] == 0
    assert rows(out / "trials.csv")[: len(kept)] == kept
    assert len(rows(out / "trials.csv")) == 18


def test_a_folder_that_another_process_uses_is_refused(run, table, tmp_path):
    out = tmp_path / "out"
    finished(run, table, out)
    with claimed(out):
        code, _, error = run("search", "--out", out, "--resume")
        assert_one_line(code, error, f"another process is writing {out}")
    empty = tmp_path / "empty"
    empty.mkdir()
    with claimed(empty):
        code, _, error = run(*search_args(table, empty))
        assert_one_line(code, error, f"another process is writing {empty}")
    assert run("search", "--out", out, "--resume", "--quiet")[0] == 0


def test_a_second_run_in_the_same_folder_is_refused(run, table, tmp_path):
    out = tmp_path / "out"
    assert run(*search_args(table, out))[0] == 0
    before = tree(out)
    code, _, error = run(*search_args(table, out))
    assert_one_line(code, error, "already holds a run; go on with it by --resume")
    assert tree(out) == before


# --- interruptions ------------------------------------------------------------------------------


def finished(run, table, out, *more):
    assert run(*search_args(table, out, *more))[0] == 0
    return (out / "trials.csv").read_bytes()


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("kept", [0, 1, 7, 9, 10, 18])
def test_resume_equals_the_uninterrupted_run(run, table, tmp_path, batch, kept):
    out = tmp_path / "out"
    whole = finished(run, table, out, "--batch", batch)
    summary = json.loads((out / "summary.json").read_text())
    lines = whole.splitlines(keepends=True)
    (out / "trials.csv").write_bytes(b"".join(lines[: 1 + kept]) + b"1,9,|nor_co")
    (out / "summary.json").unlink()
    code, text, _ = run("search", "--out", out, "--resume")
    assert code == 0
    assert f"{kept} already done" in text or not kept
    assert (out / "trials.csv").read_bytes() == whole
    again = json.loads((out / "summary.json").read_text())
    assert again["timing"]["resumed_evaluations"] == kept
    assert {**again, "timing": None} == {**summary, "timing": None}


def test_resume_refuses_other_settings_and_other_tables(run, table, tmp_path):
    out = tmp_path / "out"
    finished(run, table, out)
    before = tree(out)
    code, _, error = run("search", "--out", out, "--resume", "--seed", 12)
    assert_one_line(code, error, "other settings: --seed was 0, is 12")
    assert run("search", "--out", out, "--resume", "--budget", 9, "--table", table)[0] == 0
    text = table.read_text()
    table.write_text(
        text.replace("arch,acc", "arch,acc", 1).replace(f"{CELLS[5]},", f"{CELLS[5]},1")
    )
    code, _, error = run("search", "--out", out, "--resume")
    assert_one_line(code, error, "the table's contents have changed")
    assert {p: c for p, c in tree(out).items() if p.suffix == ".csv"} == {
        p: c for p, c in before.items() if p.suffix == ".csv"
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("trials.csv", "a,b\n1,2\n", "does not start with"),
        ("trials.csv", "seed,step,arch,value\nx,1,2\n0,1,a,2\n", "record 2 has 3 fields for 4"),
        (
            "trials.csv",
            "seed,step,arch,value\nx,1,a,2\n0,1,a,2\n",
            "record 2 is not an evaluation",
        ),
        ("trials.csv", "seed,step,arch,value\n9,1,a,2\n", "seed 9, step 1 out of place"),
        ("trials.csv", "seed,step,arch,value\n0,2,a,2\n", "seed 0, step 2 out of place"),
        ("trials.csv", "seed,step,arch,value\n0,1,odd,2.0\n", "'odd' is not"),
        ("settings.json", "{", "settings.json is damaged"),
        ("settings.json", "[" * 100_000, "settings.json is damaged"),
        ("settings.json", "[]", "settings.json holds no JSON object"),
        ("settings.json", "{}", "not the settings of a run"),
    ],
)
def test_resume_refuses_damaged_files(run, table, tmp_path, name, content, message):
    out = tmp_path / "out"
    finished(run, table, out)
    (out / name).write_text(content)
    before = tree(out)
    code, _, error = run("search", "--out", out, "--resume")
    assert_one_line(code, error, message)
    assert tree(out) == before


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("budget", 0, "budget is 0; it is 1 to"),
        ("seeds", -3, "seeds is -3; it is 1 to"),
        ("seed", 2**40, "seed is 1099511627776; it is 0 to"),
        ("strategy", "best", "strategy cannot be 'best'; it is one of: guided"),
        ("direction", "up", "direction cannot be 'up'"),
    ],
)
def test_resume_refuses_settings_that_no_command_line_gives(
    run, table, tmp_path, name, value, message
):
    out = tmp_path / "out"
    finished(run, table, out)
    facts = json.loads((out / "settings.json").read_text())
    (out / "settings.json").write_text(json.dumps({**facts, name: value}))
    code, _, error = run("search", "--out", out, "--resume")
    assert_one_line(code, error, message)


def test_resume_tells_that_the_run_was_begun_with_other_versions(run, table, tmp_path):
    out = tmp_path / "out"
    finished(run, table, out, "--budget", 4)
    path, resume = out / "settings.json", ("search", "--out", out, "--resume", "--quiet")
    settings = json.loads(path.read_text())
    assert settings["versions"]["torch"] == metadata.version("torch")
    assert run(*resume) == (0, "", "")

    settings["versions"] |= {"torch": "2.6.0", "gone": "1.0"}
    path.write_text(json.dumps(settings))
    for budget in 5, 6:  # keeping a larger budget does not forget what the run was begun with
        code, _, error = run(*resume, "--budget", budget)
        assert code == 0
        assert error.startswith("note: this run was begun with torch 2.6.0; from here on it may")

    path.write_text(json.dumps(settings | {"versions": "\x1b[31m"}))
    assert run(*resume, "--budget", 6) == (0, "", "")


def test_resume_refuses_a_prior_that_has_changed_or_gone(run, table, tmp_path):
    out, prior = tmp_path / "out", tmp_path / "prior.csv"
    lines = table.read_text().splitlines()
    prior.write_text("\n".join(lines[:20]))
    args = (*search_args(table, out, "--prior", f"{prior}:loss"), "--quiet")
    assert run(*args)[0] == 0
    resume = ("search", "--out", out, "--resume", "--quiet")
    assert run(*resume)[0] == 0
    prior.write_text("\n".join(lines[:21]))
    assert_one_line(*run(*resume)[::2], "the prior has changed since")
    prior.unlink()
    assert_one_line(*run(*resume)[::2], f"--prior: cannot read table {prior}")


def start_and_stop(args, trials: Path, lines: int, how: signal.Signals):
    """Start a command in a process of its own and stop it once it has written enough."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (trials.exists() and trials.read_bytes().count(b"\n") >= lines):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(how)
    _, error = process.communicate(timeout=60)
    return process.returncode, error


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_keeps_everything_and_goes_on(run, tmp_path, how):
    args = ("search", "--budget", 25, "--seeds", 2)
    whole, out = tmp_path / "whole", tmp_path / "stopped"
    assert run(*args, "--out", whole)[0] == 0
    code, error = start_and_stop((*args, "--out", out), out / "trials.csv", 14, how)
    saved = (out / "trials.csv").read_bytes()
    done = saved.count(b"\n") - 1
    assert 13 <= done < 50
    assert (whole / "trials.csv").read_bytes().startswith(saved)
    assert not (out / "report.html").exists()
    if how is signal.SIGINT:
        assert code == 130
        assert error.count("\n") == 1
        assert f"{done} of 50 evaluations are saved" in error
        assert f"naslib-diffusion search --out {out} --resume" in error
    assert run("search", "--out", out, "--resume")[0] == 0
    assert (out / "trials.csv").read_bytes() == (whole / "trials.csv").read_bytes()
    assert (out / "report.html").exists()


# --- files --------------------------------------------------------------------------------------


def test_trials_survive_hostile_strings(tmp_path):
    path = tmp_path / "t.csv"
    trials = [Evaluation(0, 1, 'a,"b"\n<c>', 0.1 + 0.2), Evaluation(0, 2, "é\r\n", float("nan"))]
    with TrialLog(path) as log:
        for trial in trials:
            log.append(trial)
    assert str(read_trials(path)) == str(trials)
    with path.open("ab") as file:
        file.write(b'0,3,"half a')
    assert str(read_trials(path)) == str(trials)


def test_atomic_writes_leave_the_old_file_if_they_fail(tmp_path):
    path = tmp_path / "f"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, 3)  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# --- what counts as one architecture, and what is said of it ------------------------------------


def test_the_table_decides_what_counts_as_one(run, table, tmp_path):
    """A cost differs within classes."""
    cost = [sum((1 + edge) * op for edge, op in enumerate(c.operations)) for c in CELLS]
    lines = [f"{cell},{own}" for cell, own in zip(CELLS, cost, strict=True)]
    table.write_text("\n".join(["arch,acc", *lines]) + "\n")
    code, text, _ = run(*search_args(table, tmp_path / "a"))
    assert code == 0
    assert "isomorphic architectures count as different: " in text
    assert "(--distinct exact)" in text
    assert f"{len(CELLS)} distinct" in text
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert summary["table"]["distinct"] == summary["table"]["rows"] == len(CELLS)
    assert summary["settings"]["distinct"] == summary["table"]["equality"] == "exact"
    assert "up to isomorphism" not in (tmp_path / "a" / "report.html").read_text()
    code, text, _ = run(*search_args(table, tmp_path / "b", "--distinct", "isomorphic"))
    assert code == 0
    assert f"{DISTINCT} distinct" in text
    assert f"{DISTINCT} up to isomorphism" in (tmp_path / "b" / "report.html").read_text()
    code, _, error = run(*search_args(table, tmp_path / "b", "--resume", "--distinct", "exact"))
    assert code == 2
    assert "--distinct was isomorphic, is exact" in error


@pytest.mark.parametrize("batch", [1, 4])
def test_resume_with_a_larger_budget_equals_one_run(run, table, tmp_path, batch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    more = ("--batch", batch, "--quiet", "--strategy", "mutation")
    assert run(*search_args(table, whole, *more, "--budget", 15))[0] == 0
    assert run(*search_args(table, parts, *more))[0] == 0
    assert run("search", "--out", parts, "--resume", "--budget", 15, "--quiet")[0] == 0
    assert sorted(map(str, rows(whole / "trials.csv"))) == sorted(
        map(str, rows(parts / "trials.csv"))
    )
    settings = json.loads((parts / "settings.json").read_text())
    assert settings["budget"] == 15
    code, _, error = run("search", "--out", parts, "--resume", "--budget", 9)
    assert code == 2
    assert "--budget was 15, is 9" in error


def test_runs_of_earlier_versions_go_on(run, table, tmp_path):
    out = tmp_path / "out"
    more = ("--quiet", "--strategy", "random", "--distinct", "isomorphic")
    assert run(*search_args(table, out, *more))[0] == 0
    settings = json.loads((out / "settings.json").read_text())
    del settings["distinct"]
    (out / "settings.json").write_text(json.dumps(settings))
    assert run("search", "--out", out, "--resume", "--quiet")[0] == 0


def test_a_benchmark_without_its_prefix(run):
    code, _, error = run("search", "--benchmark", "cifar10")
    assert (code, error) == (
        2,
        "error: unknown benchmark 'cifar10'; did you mean nasbench201/cifar10?\n",
    )
    assert (
        "did you mean nasbenchgraph/cora?" in run("search", "--benchmark", "nasbenchgraf/cora")[2]
    )
    assert "nasbench201/{cifar10," in run("search", "--benchmark", "list")[2]


def _options(command, path=()):
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from _options(command.get_command(context, name), (*path, name))
    for option in command.params:
        if isinstance(option, click.Option):
            yield " ".join((*path, option.opts[-1])), option.help


def _commands(command):
    yield command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from _commands(command.get_command(context, name))


def test_no_two_options_of_a_command_have_one_name():
    for command in _commands(cli.cli):
        names = [name for option in command.params for name in option.opts]
        assert len(names) == len(set(names)), command.name


def test_every_option_says_what_it_does():
    short = [name for name, text in _options(cli.cli) if len((text or "").split()) < 3]
    assert not short
    assert not [name for name, text in _options(cli.cli) if text.startswith("Of ")]
