"""What a measurement or command needs is looked for before it starts."""

import importlib.util
import sys

import pytest

from naslib_diffusion import cli


@pytest.fixture
def fails(capsys, monkeypatch):
    """Return a function that runs a command, which must fail in one line, and returns that."""
    monkeypatch.delenv("NASLIB_DIFFUSION_DATA", raising=False)

    def function(*args):
        code = cli._run([str(arg) for arg in args])
        out, error = capsys.readouterr()
        assert (code, out) == (2, "")
        assert error.count("\n") == 1, error
        assert error.startswith("error: ")
        return error

    return function


@pytest.mark.parametrize(
    ("name", "options", "file"),
    [
        ("table1", (), "nasbench201.csv.gz"),
        ("scratch", ("--task", "cifar10_test_200"), "nasbench201.csv.gz"),
        ("multiobjective", (), "nasbench201.csv.gz"),
        ("figure4", (), "nasbench201.csv.gz"),
        ("figure4", ("--task", "mobilenetv3"), "ofa_mobilenetv3_accuracy_predictor.safetensors"),
        ("optuna", ("--part", "pareto", "--sampler", "random"), "nasbench201.csv.gz"),
        ("transfer", ("--part", "table1"), "nasbench201.csv.gz"),
        ("naslib", (), None),
        ("table3", (), "nasbench201.csv.gz"),
    ],
)
def test_tables_are_looked_for_first(fails, tmp_path, name, options, file):
    if name != "table3":  # which does without
        message = fails("bench", name, *options)
        assert "--data" in message
        assert file is None or file in message
    assert f"{tmp_path} has no {file or 'nasbench201.csv.gz'}" in fails(
        "bench", name, *options, "--data", tmp_path
    )


def test_unknown_tasks_and_columns(fails, tmp_path):
    assert "unknown benchmark 'no/such'" in fails("bench", "scratch", "--task", "no/such")
    (tmp_path / "nasbench201.csv.gz").write_bytes(b"nothing")
    assert "nasbench201.csv.gz" in fails("bench", "table1", "--data", tmp_path)


def test_naslib(fails, tmp_path, monkeypatch):
    monkeypatch.setenv("NASLIB_HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "naslib.utils", raising=False)
    (tmp_path / "nasbench201.csv.gz").write_bytes(b"")
    out = tmp_path / "out"
    message = fails("bench", "naslib", "--data", tmp_path, "--out", out)
    assert "NASLIB_HOME is" in message
    config = tmp_path / "config.yaml"
    config.write_text(
        "{seed: 0, optimizer: rs, search_space: nasbench201, dataset: cifar10, "
        f"out_dir: {out}, search: {{epochs: 1, checkpoint_freq: 1}}}}"
    )
    assert "NASLIB_HOME is" in fails("naslib", "--config-file", config)


@pytest.mark.parametrize("name", ["dataset_aware", "transfer_images"])
def test_extras(fails, tmp_path, monkeypatch, name):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda module, *rest: None if module == "sklearn" else find(module, *rest),
    )
    message = fails("bench", name, "--fashion", tmp_path)
    assert "sklearn is not installed: pip install 'naslib-diffusion[bench]'" in message


def test_images_of_fashion(fails, tmp_path):
    given = ("--source", "fashion", "--fashion", tmp_path / "nowhere", "--prior", "cells")
    message = fails("bench", "transfer_images", *given)
    assert "nowhere/train-images-idx3-ubyte.gz is missing; name Fashion-MNIST" in message


def test_folders_of_results(fails, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert "Not a directory" in fails("bench", "speed", "--out", blocked / "out")
    assert "cannot write" in fails("generate", "--out", blocked / "x.csv")
