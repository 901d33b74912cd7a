"""The comparison: paired, resumable, honest about what it tests."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from naslib_diffusion.benchmarks.baselines.methods import Entry
from naslib_diffusion.benchmarks.compare import compare, runs
from naslib_diffusion.benchmarks.compare.summary import padded
from naslib_diffusion.benchmarks.compare.tasks import Task
from naslib_diffusion.benchmarks.harness.statistics import (
    critical_difference,
    evaluations_to,
    holm,
    mean_ranks,
    paired,
)

from naslib_diffusion import cli
from naslib_diffusion.spaces import NASBench201

OWN = '''
from naslib_diffusion.spaces import NASBench201

class Mine:
    """Asks for the cells in order."""

    def __init__(self, space, seed):
        self.cells = iter(NASBench201())

    def ask(self):
        return next(self.cells)

    def tell(self, arch, value):
        assert isinstance(value, float)
'''


@pytest.fixture
def table(tmp_path):
    """Values by the number of convolutions; "test" is that of validation upside down."""
    lines = ["arch,val,test"]
    for cell in NASBench201():
        score = str(cell).count("nor_conv_3x3") + 0.01 * sum(cell.operations)
        lines.append(f"{cell},{score:.4f},{100 - score:.4f}")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return f"{path}:Mine"


def compared(out, table, own, *more):
    arguments = ["--table", table, "--objective", "val", "--report", "test", "--method", own,
                 "--methods", "random,evolution", "--reference", "random", "--seeds", "3",
                 "--budget", "14", "--start", "4", "--out", out, *more]  # fmt: skip
    result = CliRunner().invoke(compare.main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return {path.name: path for path in (out / "runs").glob("*.json")}


def test_methods_start_alike_and_are_judged_by_what_they_chose(tmp_path, table, own):
    files = compared(tmp_path / "out", table, own)
    assert len(files) == 9
    runs = [json.loads(path.read_text()) for path in files.values()]
    for seed in range(3):
        starts = {tuple(run["archs"][:4]) for run in runs if run["seed"] == seed}
        assert len(starts) == 1
    assert len({tuple(run["archs"][:4]) for run in runs}) == 3
    for run in runs:
        best = np.maximum.accumulate(run["values"])
        assert run["reported"] == pytest.approx([100 - v for v in best])
        assert {"commit", "versions", "finished", "settings", "fingerprint"} <= run.keys()
    mine = next(run for run in runs if "Mine" in run["method"])
    assert mine["archs"][4:6] == [str(cell) for cell in list(NASBench201())[:2]]


def test_runs_are_kept_until_something_changes(tmp_path, table, own):
    out = tmp_path / "out"
    files = compared(out, table, own)
    path = files["val__random__0.json"]
    run = json.loads(path.read_text())
    path.write_text(json.dumps({**run, "seconds": 1234.0}))
    compared(out, table, own, "--budget", "12")
    assert json.loads(path.read_text())["seconds"] == 1234.0
    compared(out, table, own, "--start", "5")
    assert json.loads(path.read_text())["seconds"] < 1234.0


def test_the_page_and_the_tables_tell_the_same(tmp_path, table, own):
    compared(tmp_path, table, own)
    page = (tmp_path / "compare.html").read_text()
    rows = json.loads((tmp_path / "compare.json").read_text())["rows"]
    assert {row["method"] for row in rows} == {"random", "evolution", own}
    for row in rows:
        assert row["to the table's best"] in page
        assert row["test of the chosen"] in page
    assert page.count("<svg") == 2
    assert "mine.py, " in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--methods", "nonsense"), "unknown method 'nonsense'; known: random, "),
        (("--method", "nowhere.py:X"), "there is no file nowhere.py"),
        (("--benchmark", "nasbench201/nothing"), "unknown benchmark"),
        (("--table", __file__), "--table needs --objective"),
    ],
)
def test_mistakes_are_one_line(capsys, monkeypatch, arguments, message):
    monkeypatch.delenv("NASLIB_DIFFUSION_DATA", raising=False)
    assert cli._run(["bench", "compare", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_method_that_does_not_fit_is_named(tmp_path):
    lines = ["arch,value"]
    from naslib_diffusion.spaces import MobileNetV3

    space = MobileNetV3()
    lines += [f'"{arch}",{i}' for i, arch in enumerate(dict.fromkeys(space.sample(40)))]
    path = tmp_path / "ofa.csv"
    path.write_text("\n".join(lines))
    result = CliRunner().invoke(
        compare.main,
        ["--table", str(path), "--objective", "value", "--space", "mobilenetv3", "--methods",
         "random,nasbowl", "--reference", "random", "--seeds", "1", "--budget", "12"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "nasbowl is left out on value" in result.output


def test_rows_of_tables_with_and_without_a_judge_go_into_one_file():
    rows = compare.alike([{"a": 1, "c": 3}, {"a": 4, "b": 5, "c": 6}])
    assert rows == [{"a": 1, "b": "", "c": 3}, {"a": 4, "b": 5, "c": 6}]
    assert list(rows[0]) == ["a", "b", "c"]


def test_searches_that_ended_early_stay_as_they_were():
    assert padded([[1, 2], [3, 4, 5]], 3).tolist() == [[1, 2, 2], [3, 4, 5]]


def test_evaluations_until_a_value():
    curves = np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    assert evaluations_to(curves, 2.0).tolist() == [2.0, 4.0]


def test_holm_is_the_step_down_procedure():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_pairs_without_a_difference_differ_in_nothing():
    assert paired(np.ones(5), np.ones(5)) == 1.0
    assert paired(np.arange(8.0), np.arange(8.0) + 1) == pytest.approx(2 / 2**8)


def test_ranks_are_by_the_last_value_and_then_by_speed():
    fast = np.array([[1.0, 3.0, 3.0]])
    slow = np.array([[2.0, 2.0, 3.0]])
    poor = np.array([[2.0, 2.0, 2.0]])
    assert mean_ranks([poor, slow, fast, fast]).tolist() == [4.0, 3.0, 1.5, 1.5]


def test_the_critical_difference_is_that_of_the_textbook():
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.01)  # Demsar, 2006, Section 3.2


class Brief:
    """Trains ten cells briefly before each whole training."""

    def __init__(self, space, seed, *, brief, cost):
        self.space, self.brief, self.cost = space, brief, cost
        self.random = torch.Generator().manual_seed(seed)

    def ask(self):
        cells = self.space.sample(10, self.random)
        return max(cells, key=self.brief)

    def tell(self, arch, value):
        self.last = arch


def test_short_trainings_count_by_what_they_cost(monkeypatch):
    task = Task("nasbench201/cifar10")
    with pytest.raises(ValueError, match="no short trainings of nasbench201/cifar10"):
        runs.make(task, Entry(Brief, "", brief=True), 0)
    monkeypatch.setattr(Task, "brief", property(lambda own: own.searched))
    monkeypatch.setattr(runs, "find", lambda name: Entry(Brief, "", brief=True))
    found = runs.search(runs.Job(task, "brief", 0, 12, 4))
    # 0.6 evaluations before each whole one: after the second, fourth, fifth they add up to one
    values = found["values"]
    repeats = [i for i in range(4, 12) if found["archs"][i] in found["archs"][:i]]
    assert len(values) == 12
    assert repeats == [5, 8, 10]
    assert all(values[i] == max(values[:i]) for i in repeats)
