"""`naslib-diffusion transfer`, on tables and on images."""

import csv
import importlib.util
import json

import pytest
from PIL import Image

from naslib_diffusion import cli
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.transfer import load_cell
from naslib_diffusion.transfer.dataset import has_image_encoder

SPACE = NASBench201()
CELLS = list(SPACE)[::231]


@pytest.fixture
def run(capsys):
    """Run the command in this process; return exit code, stdout and stderr."""

    def call(*args):
        with pytest.raises(SystemExit) as stop:
            cli.main(["transfer", *map(str, args)])
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return call


@pytest.fixture
def table(tmp_path):
    lines = [f"{c},{c.operations.count(3)}.{i}" for i, c in enumerate(CELLS)]
    path = tmp_path / "table.csv"
    path.write_text("arch,accuracy\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes that a tiny network tells apart: dark and bright."""
    folder = tmp_path_factory.mktemp("photos")
    for name, low in (("dark", 0), ("bright", 150)):
        (folder / name).mkdir()
        for i in range(12):
            Image.new("L", (8, 8), low + 5 * i).save(folder / name / f"{i}.png")
    return folder


QUICK = ("--epochs", 2, "--channels", 2, "--cells", 1, "--batch-size", 8)


def values(path):
    with path.open(newline="") as file:
        return [(row["arch"], row["value"]) for row in csv.DictReader(file)]


def test_on_a_table(run, table, tmp_path):
    out = tmp_path / "out"
    code, text, _ = run(
        "--table", table, "--objective", "accuracy", *("--budget", 4, "--seeds", 1, "--out", out)
    )
    assert code == 0
    assert "report.html" in text
    assert len({arch for arch, _ in values(out / "trials.csv")[:4]}) == 4
    settings = json.loads((out / "summary.json").read_text())["settings"]
    assert (settings["prior"], settings["initial"]) == ("default", 0)
    page = (out / "report.html").read_text()
    assert "naslib-diffusion search" in page
    assert "guided by other tasks from the first" in page


@pytest.mark.parametrize(("data", "noted"), [("cora", True), ("proteins", False)])
def test_table_that_the_prior_has_seen_is_told(run, tmp_path, data, noted):
    code, _, errors = run(
        "--benchmark",
        f"nasbenchgraph/{data}",
        "--budget",
        2,
        "--seeds",
        1,
        "--out",
        tmp_path / "x",
    )
    assert code == 0
    assert (f"has seen nasbenchgraph/{data}" in errors) == noted


def test_tables_as_prior(run, table, tmp_path):
    args = ("--table", table, "--prior", f"{table}:accuracy", "--budget", 2, "--seeds", 1)
    code, _, _ = run(*args, "--out", tmp_path / "out")
    assert code == 0
    best = max(float(line.split(",")[-1]) for line in table.read_text().splitlines()[1:])
    found = [float(value) for _, value in values(tmp_path / "out" / "trials.csv")]
    assert max(found) > 0.8 * best  # the prior is the table itself


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--space", "mobilenetv3", "--table", "x.csv"], "no prior ships for space 'mobilenetv3'"),
        (["--table", "x.csv", "--prior", "missing.csv"], "cannot read table missing.csv"),
        (
            ["--table", "x.csv", "--prior", "no.safetensors"],
            "cannot read no.safetensors: No such file",
        ),
        (["--table", "x.csv", "--epochs", "3"], "--epochs belongs to --data"),
        (["--data", "missing"], "missing is not a folder"),
        (["--data", ".", "--table", "x.csv"], "--table belongs to tables"),
        (["--data", ".", "--space", "nasbenchgraph"], "trains cells of nasbench201"),
    ],
)
def test_mistakes_are_one_line(run, tmp_path, args, message):
    code, _, err = run(*args, "--out", tmp_path / "out")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_on_images_and_resume(run, photos, tmp_path):
    out = tmp_path / "out"
    args = ("--data", photos, "--out", out, "--no-flip", *QUICK)
    code, text, _ = run(*args, "--budget", 2, "--export", "pt")
    assert code == 0
    assert "24 images of 2 classes, 8 x 8" in text
    assert "each training: 2 epochs, batches of 8, 2 channels, 1 cell a stage" in text
    assert "2 trainings on 1 thread: at most about" in text
    assert "to beat: chance (the most frequent class) 50.00 %; logistic regression" in text
    trained = load_cell(out / "best.safetensors")
    summary = json.loads((out / "summary.json").read_text())
    assert str(trained.cell) == summary["best"]["arch"]
    assert trained.classes == ("bright", "dark")
    names = ["cells", "images"] if has_image_encoder() else ["cells"]
    assert summary["settings"]["prior"] == names
    page = (out / "report.html").read_text()
    assert "load_cell" in page
    for name, value in summary["baselines"].items():
        assert name in page
        assert f"{value:.2f} %" in page
    assert not (out / "training.safetensors").exists()
    assert (out / "best.pt").stat().st_size
    whole = values(out / "trials.csv")
    code, _, err = run(*args, "--budget", 2)
    assert code == 2
    assert "already holds a run" in err
    lines = (out / "trials.csv").read_text().splitlines(keepends=True)
    (out / "trials.csv").write_text("".join(lines[:2]) + lines[2][:30])  # as a cut power leaves it
    code, text, _ = run(*args, "--resume")
    assert code == 0
    assert "1 already done" in text
    assert values(out / "trials.csv") == whole
    assert (out / "trials.csv").read_text() == "".join(lines)
    code, text, _ = run(*args, "--budget", 3, "--resume")
    assert code == 0
    assert "2 already done" in text
    assert values(out / "trials.csv")[:2] == whole
    assert len(values(out / "trials.csv")) == 3
    code, _, err = run(*args, "--budget", 2, "--resume")
    assert code == 2
    assert "3 cells are trained, more than --budget 2" in err
    code, _, err = run(*args, "--seed", 1, "--resume")
    assert code == 2
    assert "seed was 0, is 1" in err


def test_finished_training_is_not_run_twice(run, photos, tmp_path, monkeypatch):
    from naslib_diffusion.runs.trials import TrialLog
    from naslib_diffusion.transfer.trainer import Trainer

    class Killed(BaseException):
        pass

    def kill(self, *evaluations):
        raise Killed

    args = ("--data", photos, "--out", tmp_path / "out", *QUICK, "--budget", 1, "--prior", "none")
    with monkeypatch.context() as patch:
        patch.setattr(TrialLog, "append", kill)
        with pytest.raises(Killed):
            cli.main(["transfer", *map(str, args)])
    epochs, epoch = [], Trainer.epoch
    monkeypatch.setattr(Trainer, "epoch", lambda self: epochs.append(self) or epoch(self))
    code, _, _ = run(*args, "--resume")
    assert code == 0
    assert not epochs
    assert len(values(tmp_path / "out" / "trials.csv")) == 1


def test_missing_packages_are_told_before_anything_starts(run, photos, tmp_path, monkeypatch):
    real = importlib.util.find_spec

    def without(name, *more):
        return None if name.startswith(("onnx", "efficientnet")) else real(name, *more)

    monkeypatch.setattr("importlib.util.find_spec", without)
    args = ("--data", photos, "--out", tmp_path / "out", *QUICK, "--budget", 1)
    code, _, err = run(*args, "--export", "onnx")
    assert code == 2
    assert "--export onnx: export to ONNX needs onnx and onnxscript: pip install" in err
    assert not (tmp_path / "out").exists()
    code, _, err = run(*args)
    assert code == 0
    assert "prior `images` is left out; it needs: pip install 'naslib-diffusion[transfer]'" in err
    assert err.count("\n") == 1


def test_own_holdout_and_the_option_clash(run, tmp_path):
    for part in ("train", "val"):
        for name, grey in (("dark", 20), ("bright", 220)):
            folder = tmp_path / "data" / part / name
            folder.mkdir(parents=True)
            for i in range(4):
                Image.new("L", (8, 8), grey + i).save(folder / f"{i}.png")
    args = ("--data", tmp_path / "data", "--out", tmp_path / "out", *QUICK, "--budget", 1)
    code, _, err = run(*args, "--holdout", 0.3)
    assert code == 2
    assert "the folder itself sets images aside" in err
    code, text, _ = run(*args)
    assert code == 0
    assert "held out: the 8 images that the folder sets aside" in text


@pytest.mark.slow
def test_digits_with_the_defaults(run, tmp_path):
    """With CIFAR's shifts and mirror images they were 64 % right."""
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    for i, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        folder = tmp_path / "digits" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255 / 16).astype("uint8")).save(folder / f"{i}.png")
    code, _, _ = run("--data", tmp_path / "digits", "--out", tmp_path / "out", "--budget", 1)
    assert code == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["best"]["value"] > 95


def test_one_class_is_refused(run, tmp_path):
    (tmp_path / "data" / "only").mkdir(parents=True)
    for i in range(3):
        Image.new("L", (8, 8)).save(tmp_path / "data" / "only" / f"{i}.png")
    code, _, err = run("--data", tmp_path / "data", "--out", tmp_path / "out")
    assert code == 2
    assert "one class only" in err
