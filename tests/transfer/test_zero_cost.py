"""Untrained networks tell of architectures, and a prior learns what they tell."""

import math
import re

import pytest
import torch
from naslib_diffusion.benchmarks.harness.searching import best_so_far
from torch import nn

from naslib_diffusion import Search, cli
from naslib_diffusion.spaces import (
    GPT,
    MobileNetV3,
    NASBench201,
    NASBenchGraph,
    ProductSpace,
    Subset,
)
from naslib_diffusion.tables import load_table
from naslib_diffusion.transfer import MetaSurrogate, ZeroCost, load_priors, untrained, zero_cost
from naslib_diffusion.transfer.scores import log_parameters, log_synflow, nwot
from naslib_diffusion.transfer.untrained import Measuring, combine, distinct_sample, measure
from naslib_diffusion.transfer.zero_cost import learn

SPACE = NASBench201()
NOTHING, SMALL, LARGE = SPACE.parse("000000"), SPACE.parse("111111"), SPACE.parse("333333")
TINY = Measuring(count=12, batch=4, size=8)


class Perceptrons(ProductSpace):
    """A user's own space: one hidden layer of ReLUs, its width and depth free."""

    def build(self, arch, *, inputs=3, outputs=10):
        width, depth = 4 * (1 + arch.values[0]), 1 + arch.values[1]
        hidden = [m for _ in range(depth) for m in (nn.LazyLinear(width), nn.ReLU())]
        network = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, outputs))
        network(torch.zeros(2, inputs, 8, 8))
        return network


def test_synaptic_flow_of_a_line_is_its_product():
    """R = sum |w| dR/d|w| is the output for each of the layers it passes."""
    line = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False), nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        line[1].weight.copy_(torch.tensor([[1.0, -2.0, 3.0, -4.0]]))
        line[2].weight.fill_(-5.0)
    assert log_synflow(line, torch.zeros(2, 1, 2, 2)) == pytest.approx(math.log(2 * 50))
    assert line[2].weight.item() == -5.0  # the network itself is as it was


def test_naswot_counts_the_rectifiers_on_which_images_agree():
    network = nn.Sequential(nn.Flatten(), nn.Identity(), nn.ReLU())
    images = torch.tensor([[1.0, 1.0, -1.0], [1.0, -1.0, -1.0]]).view(2, 1, 1, 3)
    assert nwot(network, images) == pytest.approx(math.log(3 * 3 - 2 * 2))
    assert nwot(network, images[:1].expand(2, 1, 1, 3)) == -math.inf


def test_parameters_are_counted():
    assert log_parameters(nn.Linear(3, 2), torch.zeros(1)) == pytest.approx(math.log(8))


def test_what_no_signal_passes_is_lowest_and_does_not_stretch_the_scale():
    levels = combine([[1.0, -math.inf], [2.0, 5.0], [3.0, 6.0], [4.0, 7.0]])
    assert levels.argsort().tolist() == [0, 1, 2, 3]
    assert float(levels.mean()) == pytest.approx(0, abs=1e-9)
    assert float(levels.std()) == pytest.approx(1)


def test_measuring_does_not_depend_on_the_callers_generator_and_goes_on(tmp_path):
    log = tmp_path / "scores.csv"
    torch.manual_seed(5)
    archs, scores = measure(SPACE, TINY, log)
    before = torch.get_rng_state()
    whole = log.read_text()
    log.write_text(whole[: whole.index("\n", 300) + 10])  # cut off within a line
    asked = []
    again = measure(SPACE, TINY, log, lambda sample: (asked.append(a) or a for a in sample))
    assert again == (archs, scores)
    assert log.read_text() == whole
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(ValueError, match="other settings"):
        measure(SPACE, Measuring(count=12, batch=4, size=8, seed=1), log)


def test_samples_are_distinct_and_end_with_the_space():
    space = ProductSpace.categorical([2, 3])
    assert len(set(distinct_sample(space, 100, 0))) == 6
    found = distinct_sample(SPACE, 50, 0)
    assert len({SPACE.canonical(cell) for cell in found}) == 50


def test_the_prior_of_an_own_space_learns_what_its_networks_tell(monkeypatch):
    monkeypatch.setattr(zero_cost, "STEPS", 200)
    space = Perceptrons.categorical([5, 3])
    network = learn(space, Measuring(count=15, batch=8, size=8))
    x = space.encode([space.parse(text) for text in ("[0, 0]", "[4, 0]", "[4, 2]")])
    with torch.no_grad():
        narrow, wide, deep = network(x).tolist()
    assert narrow < wide
    assert narrow < deep


def test_a_space_without_networks_is_refused():
    with pytest.raises(ValueError, match=r"needs a method build\(arch, inputs=..., outputs=...\)"):
        ZeroCost(ProductSpace.categorical([2, 3]))
    with pytest.raises(ValueError, match="has no zero-cost scores"):
        load_priors(["zero-cost"], ProductSpace.categorical([2, 3]))
    with pytest.raises(ValueError, match="space 'gpt-s' has no zero-cost scores"):  # no images
        learn(GPT("s"), TINY)


def test_mobilenetv3_has_scores():
    archs, scores = measure(MobileNetV3(), Measuring(count=3, batch=4, size=8))
    assert len(set(archs)) == 3
    assert all(math.isfinite(value) for row in scores for value in row)


def test_what_ships_orders_cells_and_agrees_with_measuring_anew():
    prior = ZeroCost(SPACE)
    with torch.no_grad():
        nothing, small, large = prior(SPACE.encode([NOTHING, SMALL, LARGE])).tolist()
    assert nothing < small < large
    archs, scores = measure(SPACE, Measuring(count=40, seed=3))
    with torch.no_grad():
        told = prior(SPACE.encode(archs))
    rows = torch.stack([told, combine(scores)])
    assert float(torch.corrcoef(rows)[0, 1]) > 0.97


def test_it_serves_searches_and_files(tmp_path):
    prior = ZeroCost(SPACE)
    prior.save(tmp_path / "prior.safetensors")
    x = SPACE.encode(SPACE.sample(5, torch.Generator().manual_seed(0)))
    (loaded,) = load_priors([str(tmp_path / "prior.safetensors")], SPACE)
    assert torch.allclose(loaded(x), prior(x))
    assert torch.allclose(ZeroCost.load(tmp_path / "prior.safetensors", SPACE)(x), prior(x))
    part = Subset(SPACE, SPACE.sample(40, torch.Generator().manual_seed(0)))
    search = Search(part, prior=ZeroCost(part), seed=0)
    (first,) = search.ask()
    with torch.no_grad():
        told = prior(SPACE.encode(list(part)))
    assert float(prior(SPACE.encode([first]))) >= float(told.quantile(0.9))


@pytest.mark.parametrize(
    ("name", "column", "limit"),
    [
        ("zero-cost", "cifar10_test_200", 8),
        ("zero-cost", "cifar100_test_200", 5),
        ("default", "cifar10_test_200", 4),
        ("default", "cifar100_test_200", 1),
    ],
)
def test_what_ships_finds_the_best_cell_soon(nasbench201_csv, name, column, limit):
    table = load_table(nasbench201_csv, SPACE, column)
    search = Search(SPACE, strategy="enumerate", prior=load_priors([name], SPACE))
    best = best_so_far(search, table.__getitem__, limit, table.optimum)
    assert best[-1] == table.optimum


def test_a_search_turns_round_where_small_networks_are_best():
    """Zero-cost scores say the opposite of what is wanted: few parameters."""
    search = Search(SPACE, strategy="enumerate", prior=ZeroCost(SPACE), direction="minimize")
    sizes = []
    for _ in range(8):
        (cell,) = search.ask()
        sizes.append(SPACE.cost(cell, "params"))
        search.tell([cell], sizes[-1:])
    assert min(sizes) < 0.2 * SPACE.cost(LARGE, "params")


def test_first_proposals_spread_over_what_is_uncertain():
    """The eight best by the prior alone are all alike; a batch is not."""
    prior = ZeroCost(SPACE)
    batch = Search(SPACE, strategy="enumerate", prior=prior).ask(8)
    cells = list({SPACE.canonical(cell): cell for cell in SPACE}.values())
    with torch.no_grad():
        top = [cells[i] for i in prior(SPACE.encode(cells)).argsort(descending=True)[:8].tolist()]

    def distance(archs):
        rows = torch.cat(SPACE.features(SPACE.encode(archs)), 1)
        return float(torch.cdist(rows, rows).mean())

    assert distance(batch) > 1.15 * distance(top)


def test_default_is_all_that_ships():
    tasks, zero = load_priors(["default", "zero-cost"], SPACE)
    assert isinstance(tasks, MetaSurrogate)
    assert isinstance(zero, ZeroCost)
    (alone,) = load_priors(["default"], NASBenchGraph())
    assert isinstance(alone, MetaSurrogate)


def run(capsys, *args):
    with pytest.raises(SystemExit) as stop:
        cli.main(list(map(str, args)))
    out = capsys.readouterr()
    return stop.value.code, out.out, out.err


def test_the_command_makes_a_prior_and_goes_on_after_an_interruption(
    tmp_path, capsys, monkeypatch
):

    out = tmp_path / "prior.safetensors"
    args = ("zero-cost", "--space", "nasbench201", "--out", out, "--count", 10, "--batch-size", 4,
            "--size", 8)  # fmt: skip
    count, whole = [], untrained.score

    def stopped(*what):
        count.append(what)
        if len(count) == 4:
            raise KeyboardInterrupt
        return whole(*what)

    monkeypatch.setattr(untrained, "score", stopped)
    monkeypatch.setattr(zero_cost, "TAUGHT", 50)
    monkeypatch.setattr(zero_cost, "STEPS", 20)
    code, _, err = run(capsys, *args)
    assert code == 130
    assert "goes on from there" in err
    code, text, _ = run(capsys, *args)
    assert code == 0
    assert len(count) == 4 + 7  # three were kept
    assert re.search(r"learned from 10 untrained networks", text)
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["prior.safetensors"]


def test_errors_of_the_command_are_one_line(tmp_path, capsys):
    code, _, err = run(capsys, "zero-cost", "--space", "nasbenchgraph", "--out", tmp_path / "a")
    assert code == 2
    assert "needs a method build" in err
    code, _, err = run(capsys, "search", "--benchmark", "nasbenchgraph/cora", "--prior",
                       "zero-cost", "--out", tmp_path / "b")  # fmt: skip
    assert code == 2
    assert err.count("\n") == 1
    assert not (tmp_path / "b").exists()
