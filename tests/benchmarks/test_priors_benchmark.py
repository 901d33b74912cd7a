"""What `bench priors` counts, and how it twists tables."""

import numpy as np
import pytest
from click.testing import CliRunner
from naslib_diffusion.benchmarks.priors import kernel_studies
from naslib_diffusion.benchmarks.priors import priors as measured

from naslib_diffusion.spaces import NASBench201

SPACE = NASBench201()
TASK = measured.Task({f"c{i}": float(i) for i in range(2001)})


def test_regret_is_one_at_the_median_and_no_more():
    assert TASK.regret(2000.0) == 0
    assert TASK.regret(1500.0) == pytest.approx(0.5)
    assert TASK.regret(3.0) == 1


def test_figures_of_a_curve():
    found = measured.figures(TASK, [1000.0, 1500.0, 1999.0, 2000.0], budget=10)
    assert (found["best"], found["top 0.1 %"]) == (4, 3)
    assert (found["r5"], found["r10"]) == (0, 0)
    missed = measured.figures(TASK, [1000.0] * 10, budget=10)
    assert (missed["best"], missed["top 0.1 %"], missed["r10"]) == (11, 11, 1)


def test_worse_is_in_standard_errors_of_the_differences():
    assert measured._excess([0.2, 0.3], [0.3, 0.2]) == pytest.approx(0)
    assert measured._excess([0.4, 0.7], [0.1, 0.2]) == pytest.approx(0.4 / 0.1)
    assert measured._excess([0.1], [0.3]) == -np.inf


def test_other_runs_are_among_fewer_classes():
    whole, first, second = (measured.load("nasbench201/imagenet16", None, s) for s in range(3))
    assert 0.88 < len(first.values) / len(whole.values) < 0.92
    assert first.values.items() < whole.values.items()
    assert first.values.keys() != second.values.keys()
    found = [cell for cell in measured.space_of(1).sample(50) if first(cell)]
    assert len(found) == 50


def test_relabelled_tables():
    name = "nasbench201/imagenet16"
    straight, negated, permuted = (
        measured.load(f"{name}{how}", None, 0) for how in ("", " negated", " permuted")
    )
    cell = SPACE.parse("333333")
    assert negated(cell) == -straight(cell)
    assert np.array_equal(permuted.sorted, straight.sorted)
    assert permuted.values != straight.values
    assert len(straight.values) == 6466


def test_the_command_names_what_it_needs():
    done = CliRunner().invoke(measured.main, ["--task", "cifar10_test_200"], env={})
    assert done.exit_code == 2
    assert "--data" in done.output


NAN = float("nan")
GRIDS = {"block": [16, 32, 64], "padding": [0, 1]}
FAST = {(16, 0): 8.0, (32, 0): 2.0, (64, 0): NAN, (16, 1): 4.0, (32, 1): 1.0}


def test_slowdown_of_a_kernel():
    table = kernel_studies.Kernel(GRIDS, FAST)
    found = table.slowdowns([(64, 0), (16, 0), (32, 0), (16, 0), (32, 1)])
    assert found == pytest.approx(np.log([3, 8, 2, 2, 1]))  # the median before anything ran
    assert table.setting(table.params((64, 0))) == (64, 0)


def test_mean_rank_of_two_cards():
    one = kernel_studies.Kernel(GRIDS, FAST)
    other = kernel_studies.Kernel(GRIDS, {**FAST, (32, 0): 1.0, (32, 1): 30.0})
    order = kernel_studies.by_mean_rank([one, other])
    assert order[0] == (32, 0)
    assert order[-1] == (64, 0)  # it fails on both


def test_an_earlier_study_has_failures_too():
    many = {(i, i % 2): NAN if i % 10 == 0 else 1.0 + i for i in range(200)}
    table = kernel_studies.Kernel({"block": list(range(200)), "padding": [0, 1]}, many)
    trials = kernel_studies.earlier_study(table, "seed").trials
    assert len({tuple(t.params.items()) for t in trials}) == kernel_studies.EARLIER
    assert any(t.state.name == "FAIL" for t in trials)
    assert all(t.value == many[table.setting(t.params)] for t in trials if t.values)
