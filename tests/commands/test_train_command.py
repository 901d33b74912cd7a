"""`naslib-diffusion train` and `generate --checkpoint`."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch

from naslib_diffusion.diffusion import ScoreNetwork
from naslib_diffusion.diffusion.checkpoint import read_header
from naslib_diffusion.spaces import NASBench201

SPACE = NASBench201()
QUICK = ("--steps", 5, "--batch-size", 16, "--measure", 0)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "folder" / "net.safetensors"


def fails(result, *words):
    code, stdout, stderr = result
    assert code == 2
    assert not stdout
    assert stderr.count("\n") == 1
    assert stderr.startswith("error: ")
    for word in words:
        assert word in stderr


def test_trains_and_measures(run, out):
    code, stdout, stderr = run("train", "--out", out, *QUICK[:4], "--measure", 100, "--seed", 4)
    assert (code, stderr) == (0, "")
    assert "valid without decoding" in stdout
    assert str(out) in stdout
    header = read_header(out)
    assert (header["seed"], header["step"], header["training"]["batch_size"]) == (4, 5, 16)
    assert 0 <= header["figures"]["pair_distance"] <= 1
    assert header["figures"]["relative_errors"]["0.5"] > 0
    assert list(out.parent.glob("[!.]*")) == [out]
    ScoreNetwork.load(out, SPACE)


def test_generates_from_a_checkpoint(run, out, tmp_path):
    run("train", "--out", out, *QUICK)
    for source in (out, "nasbench201"):
        made = tmp_path / "cells.csv"
        code, _, _ = run("generate", "--checkpoint", source, "-n", 20, "--out", made, "--force")
        assert code == 0
        cells = [SPACE.parse(row["arch"]) for row in csv.DictReader(made.open(newline=""))]
        assert len(set(cells)) == 20
    out.write_bytes(out.read_bytes()[:-5])
    fails(run("generate", "--checkpoint", out, "--out", tmp_path / "x.csv"), "--checkpoint", "cut")
    fails(run("generate", "--checkpoint", "no", "--out", tmp_path / "x.csv"), "those that ship")


def test_trains_on_samples(run, out, tmp_path):
    table = tmp_path / "mine.csv"
    cells = [str(cell) for cell in SPACE.sample(30)]
    table.write_text("\n".join(["note,arch", *(f"1,{cell}" for cell in cells)]) + "\n")
    code, _, _ = run("train", "--samples", table, "--out", out, *QUICK[:4], "--measure", 50)
    assert code == 0
    assert read_header(out)["figures"]["relative_errors"] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("note\n1\n", ("has no column 'arch'; it has: note", "--arch-column")),
        ("arch\n", ("is empty",)),
        ("arch\nnonsense\n", ("line 2", "'nonsense' is not")),
        ("a,arch\n1\n", ("line 2: 1 fields for 2 columns",)),
    ],
)
def test_bad_samples(run, out, tmp_path, text, words):
    table = tmp_path / "mine.csv"
    table.write_text(text)
    fails(run("train", "--samples", table, "--out", out, *QUICK), "--samples", *words)


def test_mistakes(run, out, tmp_path):
    fails(run("train", "--space", "nowhere", "--out", out), "unknown space 'nowhere'")
    fails(run("train", "--out", tmp_path), "is a folder")
    fails(
        run("train", "--out", tmp_path / "x.pt"),
        "are written as .safetensors; let its name end so",
    )
    fails(run("train", "--out", out, "--samples", "none.csv"), "cannot read", "none.csv")
    fails(run("train", "--out", out, "--resume"), "there is no training to resume")
    fails(run("train", "--out", out, "--steps", 0), "--steps")
    fails(run("train", "--out", out, "--device", "tpux"), "'tpux' is not a device")
    if not torch.cuda.is_available():
        fails(
            run("train", "--out", out, "--device", "cuda"), "there is no GPU that PyTorch can use"
        )
    fails(run("train"), "--out")
    assert not out.exists()


def test_nothing_is_overwritten(run, out):
    run("train", "--out", out, *QUICK)
    content = out.read_bytes()
    fails(run("train", "--out", out, *QUICK), "exists already; --force overwrites it")
    fails(run("train", "--out", out, "--resume", *QUICK), "is finished")
    assert out.read_bytes() == content
    assert run("train", "--out", out, "--force", "--quiet", *QUICK) == (0, "", "")


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_resumes_after_a_stop(run, out, stop):
    options = ("--steps", 400, "--batch-size", 16, "--measure", 0, "--out", out)
    state = out.with_name("net.safetensors.state")
    command = [sys.executable, "-m", "naslib_diffusion.cli", "train", *map(str, options)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not state.exists():
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, stop)
        message = process.stderr.read()
    if stop == signal.SIGINT:
        assert process.returncode == 130
        assert message.startswith("interrupted: go on from the last saved state")
    fails(run("train", *options), "--resume goes on with it")
    fails(run("train", *options, "--seed", 1, "--resume"), "seed was 0, now 1")
    code, _, _ = run("train", *options, "--resume")
    assert code == 0
    assert not state.exists()
    whole = out.with_name("whole.safetensors")
    run("train", *options[:-1], whole)
    resumed, uninterrupted = (ScoreNetwork.load(path).state_dict() for path in (out, whole))
    assert all((resumed[name] == uninterrupted[name]).all() for name in resumed)


@pytest.mark.slow
def test_trains_in_two_processes(out):
    """The command starts the other process by itself; one of them writes the checkpoint."""
    pytest.importorskip("lightning_fabric")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "naslib_diffusion.cli", "train", "--processes", 2]
    env = os.environ | {"MASTER_PORT": str(port)}
    arguments = [str(part) for part in (*command, "--out", out, *QUICK)]
    done = subprocess.run(
        arguments, check=False, env=env, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("checkpoint:") == 1
    assert list(out.parent.glob("[!.]*")) == [out]
    ScoreNetwork.load(out, SPACE)
