"""What the measurements of acquisition optimizers and of Bayesian optimisation rest on."""

from __future__ import annotations

import csv
import gzip

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from naslib_diffusion.benchmarks.engine import multiobjective
from naslib_diffusion.benchmarks.harness.curves import draw_curves
from naslib_diffusion.benchmarks.hosts import acquisition_peers as peers
from naslib_diffusion.benchmarks.hosts.acquisition import main, summary
from naslib_diffusion.benchmarks.hosts.acquisition_problems import Case, acquisition, fitted
from naslib_diffusion.benchmarks.paper import figure4
from naslib_diffusion.benchmarks.paper.ofa import AccuracyPredictor
from scipy.stats import spearmanr

from naslib_diffusion.report import render_bench
from naslib_diffusion.spaces.mobilenetv3 import Subnet

pytestmark = pytest.mark.filterwarnings("ignore:A not p.d., added jitter")

TINY = Case("tiny", 3, 3, 12)


def test_all_optimizers_find_the_best_of_a_tiny_problem():
    model, x = fitted(TINY, 0, fit=False)
    everyone = {
        "diffusion": peers.diffusion(),
        "all": peers.enumeration,
        "local": peers.local_search(4, 16),
        "mixed": peers.mixed_alternating(4, 16),
        "genetic": peers.genetic,
        "hill": peers.hill_climbing,
    }
    function = acquisition("UCB", model, x)
    found = {name: peers.measure(o, TINY, function, 1, 0) for name, o in everyone.items()}
    best = max(outcome.value for outcome in found.values())
    for outcome in found.values():
        assert outcome.value == pytest.approx(best)
        assert outcome.evaluations > 0
        assert outcome.candidates.sum() == 3
    outcomes = {("UCB", name): [outcome] for name, outcome in found.items()}
    rows = summary(TINY, 1, outcomes)
    assert [row["best"] for row in rows] == ["1/1"] * 6
    assert rows[0]["at least all others"] == "1/1"


def test_batches_of_peers_are_distinct():
    model, x = fitted(TINY, 0, fit=False)
    function = acquisition("qLogNEI", model, x)
    for optimizer in (peers.diffusion(), peers.local_search(4, 16)):
        outcome = peers.measure(optimizer, TINY, function, 2, 0)
        assert len({tuple(row) for row in outcome.candidates.tolist()}) == 2
        assert function.X_pending is None


def test_page_of_a_measurement_holds_all_of_it():
    page = render_bench("A < B", "how", b"PNG", [{"task": "x", "p": "0.01"}])
    assert "<h1>A &lt; B</h1>" in page
    assert "data:image/png;base64,UE5H" in page
    assert '<td class="text" data-name="p">0.01</td>' in page
    assert "http" not in page.replace("http-equiv", "")


def test_command_writes_its_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("naslib_diffusion.benchmarks.hosts.acquisition.CASES", {"6x5": TINY})
    arguments = ["--case", "6x5", "--function", "UCB", "--problems", "2", "--out", str(tmp_path)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    with (tmp_path / "acquisition_tiny_q1_UCB.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["optimizer"] == "diffusion"
    assert rows[0]["valid"] == "100 %"


def test_predictor_agrees_with_measurements(data_folder):
    with gzip.open(data_folder / "ofa_mobilenetv3_imagenet.csv.gz", "rt") as file:
        rows = [row for row in csv.DictReader(file) if row["resolution"] == "224"][:300]
    assert len(rows) > 100
    names = ("kernel_sizes", "expand_ratios", "depths")
    archs = [
        Subnet.from_ofa(*([int(v) for v in row[name].split()] for name in names)) for row in rows
    ]
    predicted = AccuracyPredictor(data_folder)(archs)
    assert spearmanr(predicted, [float(row["imagenet_top1"]) for row in rows]).statistic > 0.9
    assert 70 < min(predicted) < max(predicted) < 90


def test_predictor_refuses(tmp_path, data_folder):
    with pytest.raises(ValueError, match="is missing"):
        AccuracyPredictor(tmp_path)
    with pytest.raises(ValueError, match="resolution must be one of"):
        AccuracyPredictor(data_folder, 100)


def test_curves_never_fall(data_folder):
    for task in figure4.TASKS:
        best = figure4.curve(task, data_folder, "GP-UCB", "mutation+random", 0, 12)
        assert len(best) == 12
        assert best == sorted(best)


def test_evaluations_and_pairs():
    curves = np.array([[1.0, 2.0, 3.0], [3.0, 3.0, 3.0], [1.0, 1.0, 2.0]])
    assert figure4.evaluations_to(curves, 3.0).tolist() == [3, 1, 4]
    assert figure4.paired(np.ones(5), np.ones(5)) == 1.0
    assert figure4.paired(np.arange(10.0), np.arange(10.0) + 1) < 0.01


def test_hypervolume():
    values = torch.tensor([[0.5, 0.5], [0.25, 1.0], [-1.0, 3.0], [0.4, 0.4]]).double()
    assert multiobjective.hypervolume(values) == pytest.approx(0.25 + 0.125)
    assert multiobjective.hypervolume(-values.abs()) == 0


@pytest.mark.parametrize("method", ["diffusion", "NSGA-II"])
def test_multiobjective_search(data_folder, method):
    curve = multiobjective.run("latency", data_folder, method, 0, 12, 2)
    assert len(curve) == 12
    assert curve == sorted(curve)
    assert 0 <= curve[-1] <= 1


def test_figure_is_drawn(tmp_path):
    curves = {"a": np.random.default_rng(0).random((4, 12)).cumsum(1)}
    path = tmp_path / "figure.png"
    draw_curves({"one": curves, "two": curves}, path, start=5, xlabel="x", ylabel="y")
    assert path.stat().st_size > 1000
