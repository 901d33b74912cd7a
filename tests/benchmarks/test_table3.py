"""The measurement of score networks: it keeps what it has found, and counts right."""

import csv
import json

import pytest
from click.testing import CliRunner
from naslib_diffusion.benchmarks.engine import checkpoint, networks, networks_guided
from naslib_diffusion.benchmarks.paper import table3

from naslib_diffusion.spaces import NASBench201

CASE = networks.Case("nasbench201", "full", 0, steps=4, batch_size=16, samples=300)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(networks, "COMPARED", 64)


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("trained again")

    return lambda: monkeypatch.setattr(networks, "train", refuse)


def test_a_case_is_measured_once(tmp_path, no_training):
    found = networks.measured(CASE, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "nasbench201-full-0.json",
        "nasbench201-full-0.safetensors",
    }
    assert 0 <= found["thresholded"] <= found["valid"] == 100
    assert found["errors"]["0.5"] > found["clamped errors"]["0.5"] > 0
    no_training()
    again = networks.measured(CASE, tmp_path)
    assert again == json.loads(json.dumps(found))
    other = networks.Case("nasbench201", "full", 0, steps=5, batch_size=16, samples=300)
    with pytest.raises(AssertionError, match="trained again"):
        networks.measured(other, tmp_path)


def test_a_case_survives_a_foreign_state(tmp_path, monkeypatch):
    (tmp_path / "whole").mkdir()
    whole = networks.measured(CASE, tmp_path / "whole")
    stopped = []

    def cut(*args, state, resume, **options):
        stopped.append(resume)
        state.write_bytes(b"of another training")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(networks, "train", cut)
        with pytest.raises(KeyboardInterrupt):
            networks.measured(CASE, tmp_path)
    assert stopped == [False]
    assert networks.measured(CASE, tmp_path)["errors"] == whole["errors"]


def test_counts():
    space = NASBench201()
    cells = list(space)[:600]
    counts = networks._counts([*cells, *cells[:400]] * 2, space, set(cells[:150]))
    assert counts["valid"] == 100
    assert counts["unique of 1000"] == 60
    assert counts["novel of 1000"] == 75


def test_perfect_samplers_repeat_themselves():
    """The figures of the paper's critics: 96.9 % of 1,000, 99.2 % of 256."""
    for size, expected in ((1000, 96.87), (256, 99.19)):
        mean, deviation = networks.perfect_unique(NASBench201(), size, draws=60)
        assert mean == pytest.approx(expected, abs=0.3)
        assert 0.3 < deviation < 0.8


def test_the_half_is_random_and_a_half():
    halves = [set(networks.training_set(NASBench201(), seed)) for seed in (0, 0, 1)]
    assert [len(half) for half in halves] == [7812] * 3
    assert halves[0] == halves[1]
    assert 3600 < len(halves[0] & halves[2]) < 4200


def test_the_command_writes_tables(tmp_path):
    options = ["--space", "nasbench201", "--network", "full", "--network",
               "no network, rows alone", "--seeds", "2", "--steps", "3", "--batch-size", "16",
               "--samples", "256", "--out", str(tmp_path)]  # fmt: skip
    result = CliRunner().invoke(table3.main, options, catch_exceptions=False)
    assert result.exit_code == 0
    for name, rows in (("table3", 2), ("table3_errors", 3), ("table3_marginals", 2)):
        with (tmp_path / f"{name}.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) == rows
    assert len(list((tmp_path / "table3").glob("*.json"))) == 4


@pytest.mark.slow
def test_guiding_spends_equal_passes(tmp_path, nasbench201_csv, monkeypatch):
    """Each way of guiding evaluates the network as often, a backward pass counted as two."""
    networks.measured(CASE, tmp_path)
    path = tmp_path / "nasbench201-full-0.safetensors"
    monkeypatch.setattr(networks_guided, "SCALES", (3.0,))
    monkeypatch.setattr(networks_guided, "CELLS", 20)
    calls = {}
    current = []

    class Counted(networks_guided.ScoreNetwork):
        @staticmethod
        def load(*args):
            loaded = original(*args)

            def network(x, sigma):
                calls[current[-1]] = calls.get(current[-1], 0) + (3 if x.requires_grad else 1)
                return loaded(x, sigma)

            return network

    original = networks_guided.ScoreNetwork.load
    batch = networks_guided._batch

    def named(denoiser, *args):
        current.append(type(denoiser).__name__)
        return batch(denoiser, *args)

    monkeypatch.setattr(networks_guided, "ScoreNetwork", Counted)
    monkeypatch.setattr(networks_guided, "_batch", named)
    case = networks_guided.Generation("cifar10_test_200", 0)
    found = networks_guided.ways_of_guiding(case, nasbench201_csv.parent, path)
    assert len(found) == 5
    assert all(0 < value["distinct"] <= 100 for name, value in found.items() if "@" in name)
    first = calls["NoisyGuidance"]
    assert abs(calls["EstimateGuidance"] - first) <= 3
    assert abs(calls["TiltGuidance"] / 2 - first) <= 3


def test_cards_are_measured_again(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "DRAWS", 2000)
    options = ["--checkpoint", "nasbenchgraph", "--samples", "300", "--out", str(tmp_path)]
    result = CliRunner().invoke(checkpoint.main, options, catch_exceptions=False)
    assert result.exit_code == 0
    with (tmp_path / "checkpoint.csv").open(newline="") as file:
        clamped, raw, alone = csv.DictReader(file)
    assert float(clamped["thresholded, %"]) > 97
    assert float(raw["thresholded, %"]) > 97
    assert float(alone["thresholded, %"]) < 20
    with (tmp_path / "checkpoint_errors.csv").open(newline="") as file:
        clamped, _, alone = csv.DictReader(file)
    assert float(clamped["0.8"]) < 2 < float(alone["0.8"])
