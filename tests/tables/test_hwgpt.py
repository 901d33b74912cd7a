"""HW-GPT-Bench's predictors as benchmark, as guide and in a front against parameters."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from naslib_diffusion import GuidedGenerator, cli
from naslib_diffusion.search import ParetoSearch
from naslib_diffusion.spaces import GPT, Transformer
from naslib_diffusion.tables import TableError, benchmark
from naslib_diffusion.tables.hwgpt import perplexity

SPACE = GPT("s")


def run(*words):
    """Run a command; return its exit code."""
    try:
        cli.main([str(word) for word in words])
    except SystemExit as ended:
        return ended.code or 0
    return 0


@pytest.fixture(scope="module")
def folder(data_folder):
    path = data_folder / "hwgpt_perplexity_s.safetensors"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    return data_folder


@pytest.fixture(scope="module")
def table(folder):
    return benchmark("hwgpt/s", api_file=folder)


def test_predictions_have_the_documented_range_and_order(table):
    """About 22 to 42 in scale s: wide transformers are best, and deep beat shallow ones."""
    assert 21 < table.optimum < table.values[1:].min() < 22.5
    assert 40 < table.values.max() < 44
    means = [
        table[Transformer(width, True, (3,) * depth, (8,) * depth)]
        for width in (192, 384, 768)
        for depth in (10, 12)
    ]
    assert means == sorted(means, reverse=True)


def test_it_is_a_table_of_all_architectures(table):
    arch = SPACE.sample(1, torch.Generator().manual_seed(5))[0]
    assert arch not in table.archs
    assert arch in table
    assert table[arch] == table.outcome(arch) == table.get(arch)
    assert (table.direction, table.distinct, table.complete) == ("minimize", SPACE.size, False)
    assert table.rank(table.optimum) == 1
    assert table.gap(table[arch]) > 0
    assert table.fingerprint == table.fingerprint


def test_the_predictor_is_a_guide(folder):
    predict = perplexity(folder / "hwgpt_perplexity_s.safetensors", "s")
    x = SPACE.encode(SPACE.sample(64, torch.Generator().manual_seed(0))).requires_grad_()
    (gradient,) = torch.autograd.grad(predict(x).sum(), x)
    assert gradient.abs().amax() > 0
    archs = GuidedGenerator(SPACE, seed=0).generate(50, lambda x: -predict(x))
    values = predict(SPACE.encode(archs))
    assert values.mean() < predict(x).sort().values[3]
    assert len(set(archs)) == 50


def test_front_of_perplexity_and_parameters(folder):
    predict = perplexity(folder)
    search = ParetoSearch(SPACE, ("minimize", "minimize"), initial=8, seed=0)
    for archs in (search.ask(8), search.ask(4)):
        rows = zip(predict(SPACE.encode(archs)).tolist(), map(SPACE.cost, archs), strict=True)
        search.tell(archs, list(rows))
    front = sorted(trial.objectives for trial in search.front)
    assert len(front) >= 3
    assert [p for _, p in front] == sorted((p for _, p in front), reverse=True)


def test_wrong_files(folder, tmp_path):
    weights = load_file(folder / "hwgpt_perplexity_s.safetensors")
    save_file(weights, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("hello there")
    for path, scale, reason in (
        (tmp_path, "s", "hwgpt_perplexity_s.safetensors: No such file"),
        (tmp_path / "text.safetensors", "s", "cannot read .*text.safetensors: "),
        (tmp_path / "other.safetensors", "m", "is not the predictor of gpt-m"),
        (tmp_path, "xl", "unknown scale 'xl'; known: s, m, l"),
    ):
        with pytest.raises(TableError, match=reason) as caught:
            perplexity(path, scale)
        assert "\n" not in str(caught.value)


def test_command_line(folder, tmp_path):
    out = tmp_path / "run"
    words = ["search", "--benchmark", "hwgpt/s", "--data", folder, "--out", out]
    assert run(*words, "--budget", 10, "--seeds", 1, "--quiet") == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["table"]["direction"] == summary["settings"]["direction"] == "minimize"
    curve = summary["curve"]["median"]
    assert curve == sorted(curve, reverse=True)
    assert run("search", "--out", out, "--resume", "--budget", 11, "--quiet") == 0
    assert len((out / "trials.csv").read_text().splitlines()) == 12


def test_command_line_says_what_is_missing(tmp_path, capsys):
    for words, reason in (
        (["--benchmark", "hwgpt/s"], "needs its data file or folder (--data)"),
        (["--benchmark", "hwgpt/s", "--data", tmp_path], "No such file"),
        (["--benchmark", "nasbench201/cifar10", "--direction", "minimize"], "is maximised"),
    ):
        assert run("search", *words) == 2
        assert reason in capsys.readouterr().err
