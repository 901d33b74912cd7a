"""`naslib-diffusion data`: tables from what is installed, and from the official files."""

import bz2
import importlib
import pickle
import types

import numpy as np
import pytest

from naslib_diffusion import cli
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.tables import benchmark, load_table

SPACE = NASBench201()


class ArchResults:
    """Has what NATS-Bench's class of this name has."""

    def __init__(self, state):
        self.state = state

    @staticmethod
    def create_from_state_dict(state):
        return ArchResults(state)

    def get_dataset_names(self):
        return list(self.state)

    def get_dataset_seeds(self, dataset):
        return list(self.state[dataset])

    def get_metrics(self, dataset, setname, iepoch=None, is_random=False):
        return {"accuracy": self.state[dataset][is_random][setname]}


@pytest.fixture
def official(tmp_path, monkeypatch):
    """A file of NATS-Bench's form of three cells, the last of which lacks a data set."""
    package = types.SimpleNamespace(ArchResults=ArchResults)
    monkeypatch.setattr(importlib, "import_module", lambda name: package)

    def trained(*pairs):
        return {777 + i: {k: np.float64(v) for k, v in own.items()} for i, own in enumerate(pairs)}

    infos = {}
    for i in range(3):
        states = {
            "cifar10-valid": trained({"x-valid": 50.0 + i}, {"x-valid": 52.0 + i}),
            "cifar10": trained({"ori-test": 60.0 + i}),
            "cifar100": trained({"x-valid": 30.0 + i, "x-test": 40.0 + i}),
        }
        if i == 2:
            del states["cifar100"]
        infos[i] = {"200": states, "12": {"cifar10": trained({"ori-test": 20.0 + i})}}
    path = tmp_path / "nats.pickle.pbz2"
    archs = [str(cell) for cell in list(SPACE)[::100][:3]]
    with bz2.open(path, "wb") as file:
        pickle.dump(
            {"meta_archs": archs, "arch2infos": infos, "evaluated_indexes": set(infos)}, file
        )
    return path


def test_from_the_official_file(tmp_path, official):
    assert cli._run(["data", "nasbench201", "--out", str(tmp_path), "--from", str(official)]) == 0
    path = tmp_path / "nasbench201.csv.gz"
    for column, values in {
        "cifar10_val_200": [51.0, 52.0, 53.0],
        "cifar10_test_200": [60.0, 61.0, 62.0],
        "cifar10_test_12": [20.0, 21.0, 22.0],
    }.items():
        table = load_table(path, SPACE, column)
        assert table.archs == tuple(list(SPACE)[::100][:3])
        assert table.values.tolist() == values
    assert load_table(path, SPACE, "cifar100_test_200").failures == 1  # which the file lacks


def test_from_what_is_installed(tmp_path, capsys):
    out = tmp_path / "data"
    assert cli._run(["data", "nasbench201", "--out", str(out)]) == 0
    table = load_table(out / "nasbench201.csv.gz", SPACE, "imagenet16_val_200")
    assert len(table) == 15625
    reference = benchmark("nasbench201/imagenet16")
    cells = table.archs[::997]
    assert [table[c] for c in cells] == pytest.approx([reference[c] for c in cells], abs=1e-3)
    assert "15,625 cells" in capsys.readouterr().out
    assert cli._run(["data", "nasbench201", "--out", str(out)]) == 2
    assert "is there already; --overwrite replaces it" in capsys.readouterr().err


def test_files_that_are_none(tmp_path, capsys):
    junk = tmp_path / "junk.pbz2"
    junk.write_bytes(b"junk")
    assert cli._run(["data", "nasbench201", "--out", str(tmp_path), "--from", str(junk)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "nasbench201.csv.gz").exists()
