"""The methods of the comparison: each does what its paper says, on cells of known values."""

import math

import numpy as np
import pytest
import torch
from naslib_diffusion.benchmarks.baselines.bohb import Density
from naslib_diffusion.benchmarks.baselines.cell_graphs import live_graph
from naslib_diffusion.benchmarks.baselines.decisions import Decisions
from naslib_diffusion.benchmarks.baselines.ednag import fitness_of
from naslib_diffusion.benchmarks.baselines.evolution import RegularizedEvolution
from naslib_diffusion.benchmarks.baselines.local_search import LocalSearch
from naslib_diffusion.benchmarks.baselines.method import UnfitSpace
from naslib_diffusion.benchmarks.baselines.methods import METHODS, find
from naslib_diffusion.benchmarks.baselines.nasbowl import (
    expected_improvement,
    log_errors,
    wl_kernel,
)
from naslib_diffusion.benchmarks.baselines.reinforce import Reinforce

from naslib_diffusion.spaces import MobileNetV3, NASBench201, Subset

SPACE = NASBench201()
NEVER_TWICE = (
    "local-search",
    "ednag",
    "gp-ucb",
    "nasbowl",
    "npenas",
    "bananas",
    "mutation",
    "enumerate",
)


def value(cell):
    """An objective with one best class of cells: convolutions of 3x3 everywhere."""
    return float(str(cell).count("nor_conv_3x3")) + 0.1 * str(cell).count("nor_conv_1x1")


def made(name, seed, space=SPACE):
    """A method; one that looks at short trainings sees the objective itself there."""
    entry = find(name)
    short = {"brief": value, "cost": 0.06} if entry.brief else {}
    return entry.maker()(space, seed, **short)


def asked(name, seed, count):
    """Tell a method ten random cells, and return what it asks after that."""
    method, found = made(name, seed), []
    for cell in SPACE.sample(10, torch.Generator().manual_seed(99)):
        method.tell(cell, value(cell))
    for _ in range(count):
        found.append(method.ask())
        method.tell(found[-1], value(found[-1]))
    return found


@pytest.mark.parametrize("name", METHODS)
def test_a_method_asks_the_same_again_for_the_same_seed(name):
    count = 1 if name in ("bananas-guided", "guided-priors") else 2
    cells = asked(name, 3, count)
    assert all(map(SPACE.is_valid, cells))
    assert cells == asked(name, 3, count)


@pytest.mark.parametrize("name", NEVER_TWICE)
def test_methods_with_a_model_ask_no_cell_twice(name):
    told = SPACE.sample(10, torch.Generator().manual_seed(99))
    cells = asked(name, 0, 3)
    known = {SPACE.canonical(cell) for cell in told}
    assert len(known | set(map(SPACE.canonical, cells))) == len(known) + len(cells)


@pytest.mark.parametrize("name", ["nasbowl", "npenas", "gp-ucb", "tpe"])
def test_models_find_better_cells_than_random(name):
    cells = asked(name, 1, 8)
    drawn = SPACE.sample(2000, torch.Generator().manual_seed(5))
    typical = sorted(map(value, drawn))
    assert sorted(map(value, cells))[4] > typical[1300]


def test_evolution_mutates_the_best_of_the_living():
    method = RegularizedEvolution(SPACE, 0, population=3, tournament=20)
    living = SPACE.sample(3, torch.Generator().manual_seed(1))
    for age, cell in enumerate(living):
        method.tell(cell, -float(age))  # the oldest is the best
    for step in range(8):
        child = method.ask()
        best = living[0] if step == 0 else max(living, key=lambda c: -living.index(c))
        assert child in SPACE.neighbors(best)
        method.tell(child, -10.0 - step)
        living = [*living[1:], child]  # who dies is the oldest, not the worst


def test_reinforce_learns_what_was_rewarded():
    method = Reinforce(SPACE, 0, rate=0.3, momentum=0.9)
    for _ in range(150):
        cell = method.ask()
        method.tell(cell, value(cell))
    cells = [method.ask() for _ in range(20)]
    assert sum(map(value, cells)) / 20 > 4.5


def test_local_search_moves_when_all_neighbours_are_known():
    start = next(iter(SPACE))
    method, known = LocalSearch(SPACE, 0), {SPACE.canonical(start)}
    method.tell(start, value(start))
    around = {SPACE.canonical(n) for n in SPACE.neighbors(start)} - known
    first = [method.ask() for _ in around if not method.tell(start, 0.0)]
    assert {SPACE.canonical(cell) for cell in first} == around
    for cell in first:
        method.tell(cell, value(cell))
    best = max(map(value, first))
    following = method.ask()
    assert any(following in SPACE.neighbors(cell) for cell in first if value(cell) == best)


def test_local_search_finds_the_best_and_starts_anew():
    method, values = LocalSearch(SPACE, 2), []
    for _ in range(200):
        cell = method.ask()
        values.append(value(cell))
        method.tell(cell, values[-1])
    assert max(values) == 6.0
    assert min(values[values.index(6.0) + 25 :]) < 3  # a new start


def test_bohb_trains_many_briefly_and_the_best_of_them_in_full():
    seen = []

    def brief(cell):
        seen.append(cell)
        return value(cell)

    method = find("bohb").maker()(SPACE, 0, brief=brief, cost=0.1)
    for count in (10, 0, 0, 10):  # one that was promoted, two at once, and so on
        seen.clear()
        cell = method.ask()
        assert len(seen) <= count
        if count:
            assert value(cell) == max(map(value, seen))
        method.tell(cell, value(cell))


def test_bohb_draws_like_the_good_ones():
    method = made("bohb", 0)
    told = SPACE.sample(100, torch.Generator().manual_seed(3))
    for cell in told:
        method.tell(cell, value(cell))
    drawn = [value(method.ask()) for i in range(60) if i % 3]  # those that are not promoted
    assert np.mean(drawn) > np.mean(list(map(value, told))) + 0.5


def test_the_density_of_choices_adds_up_to_one():
    rows = np.array([[0, 1], [2, 1], [2, 0]])
    density = Density(rows, (3, 2), 0.05)
    grid = np.array([[a, b] for a in range(3) for b in range(2)])
    assert density(grid).sum() == pytest.approx(1.0)
    assert density(np.array([[2, 1]])) > density(np.array([[1, 0]]))


def test_ednag_estimates_the_clean_member_by_fitness_and_noise():
    method = find("ednag").maker()(SPACE, 0)
    x = torch.randn(6, 56, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    values = 90.0 + torch.arange(6, dtype=torch.double) / 100
    method._fitness = lambda members: fitness_of(values)
    method._noise = 0.0
    alpha, following = 0.3, 0.6
    logits = fitness_of(values) - (x[:, None] - alpha**0.5 * x).square().sum(2) / (2 * (1 - alpha))
    clean = (logits - logits.max()).exp()
    clean = clean / clean.sum(1, keepdim=True) @ x
    direction = (x - alpha**0.5 * clean) / (1 - alpha) ** 0.5
    expected = following**0.5 * clean + (1 - following) ** 0.5 * direction
    assert torch.allclose(method._denoised(x, alpha, following), expected)
    last = method._denoised(x, alpha, 1.0)  # nothing but the estimate is left
    assert torch.allclose(last, clean)


def test_fitness_resolves_the_best_percents():
    found = fitness_of(torch.tensor([0.0, 29.0, 69.0, 90.0, 91.0], dtype=torch.double))
    assert found.tolist() == pytest.approx([0.0, 2.9, 61.0, 303.0, 343.0])
    other = fitness_of(torch.tensor([-3.0, -1.0, -2.0], dtype=torch.double))
    assert other.tolist() == pytest.approx([0.0, 20.0, 10.0])


def test_choices_are_read_as_they_are_built():
    decisions = Decisions(SPACE)
    assert decisions.sizes == [5] * 6
    for cell in SPACE.sample(20, torch.Generator().manual_seed(0)):
        assert decisions.build(decisions.read(cell)) == cell
    members = list(SPACE)[::500]
    near = Decisions(Subset(SPACE, members)).build([0, 0, 0, 0, 0, 1])
    assert near in members


@pytest.mark.parametrize("name", ["reinforce", "tpe", "bohb", "nasbowl", "npenas"])
def test_what_does_not_fit_a_space_says_so(name):
    with pytest.raises(UnfitSpace, match="mobilenetv3"):
        made(name, 0, MobileNetV3())


def test_graphs_hold_what_is_alive():
    cell = SPACE.parse(
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_1x1~2|"
    )
    labels, edges = live_graph(cell)
    assert sorted(labels.values()) == [
        "avg_pool_3x3", "input", "nor_conv_1x1", "nor_conv_3x3", "output",
    ]  # fmt: skip
    named = {(labels[a], labels[b]) for a, b in edges}
    assert named == {
        ("input", "nor_conv_3x3"), ("nor_conv_3x3", "avg_pool_3x3"),
        ("nor_conv_3x3", "nor_conv_1x1"),
        ("avg_pool_3x3", "output"), ("nor_conv_1x1", "output"),
    }  # fmt: skip


def test_the_kernel_sees_labels_and_then_structure():
    chain = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|"
    other = "|nor_conv_1x1~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|"
    twin = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"
    cells = [SPACE.parse(text) for text in (chain, other, twin)]
    flat, deep = wl_kernel(cells, 0), wl_kernel(cells, 2)
    assert torch.allclose(flat, torch.ones(3, 3, dtype=torch.double))
    assert deep[0, 2] == pytest.approx(1.0)
    assert deep[0, 1] < 0.9
    drawn = SPACE.sample(40, torch.Generator().manual_seed(0))
    assert float(torch.linalg.eigvalsh(wl_kernel(drawn, 3)).min()) > -1e-9


def test_expected_improvement_is_the_integral():
    grid = torch.linspace(-12, 12, 200_001, dtype=torch.double)
    density = (-grid.square() / 2).exp() / math.sqrt(2 * math.pi)
    mean, deviation, best = 0.3, 0.7, 0.9
    gains = (mean + deviation * grid - best).clamp(min=0)
    exact = float((gains * density).sum() * (grid[1] - grid[0]))
    found = expected_improvement(torch.tensor([mean]), torch.tensor([deviation]), best)
    assert float(found) == pytest.approx(exact, rel=1e-5)


def test_errors_are_logarithms_only_of_percentages():
    assert log_errors([90.0, 99.0]).tolist() == pytest.approx([-math.log(10), 0.0])
    assert log_errors([-3.0, 5.0]).tolist() == [-3.0, 5.0]
