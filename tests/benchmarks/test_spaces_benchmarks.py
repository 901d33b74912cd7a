"""The measurements on large, limited and conditional spaces."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from naslib_diffusion.benchmarks.engine import gpt_within, steps
from naslib_diffusion.benchmarks.engine.landscapes import Quadratic
from naslib_diffusion.benchmarks.hosts import conditional

from naslib_diffusion.spaces import ProductSpace


@pytest.fixture(scope="module")
def data(data_folder: Path) -> Path:
    if not (data_folder / "hwgpt_perplexity_s.safetensors").is_file():
        pytest.skip("the predictors of HW-GPT-Bench are missing")
    return data_folder


def test_a_quadratic_values_pairs_too() -> None:
    space = ProductSpace.categorical([3] * 8)
    value, again = Quadratic(space, 1), Quadratic(space, 1)
    archs = space.sample(200, torch.Generator().manual_seed(0))
    assert value(archs) == again(archs)
    assert value(archs) != Quadratic(space, 2)(archs)
    x = torch.cat([space.encode(archs), torch.ones(200, 1)], 1)
    y = torch.tensor(value(archs), dtype=torch.double)
    rest = y - x @ torch.linalg.lstsq(x, y.unsqueeze(1), driver="gelsd").solution[:, 0]
    assert 0.1 < float(rest.var() / y.var()) < 0.9, "neither linear nor without linear effects"


@pytest.mark.parametrize("method", ["guided", "mutation+random"])
def test_each_way_to_propose_keeps_to_the_budget(method: str) -> None:
    problem = steps.stages(None)
    where = steps.searched(problem, "within")
    drawn = problem.space.sample(200, torch.Generator().manual_seed(1))
    assert 0.1 < np.mean([where.is_valid(arch) for arch in drawn]) < 0.3
    best = steps.run("stages", None, "within", method, seed=0, budget=11)
    assert len(best) == 11
    assert best == sorted(best)


def test_guided_generation_reaches_more_of_the_acquisition_function_than_random() -> None:
    found = {
        method: steps.reached("stages", None, "everywhere", method, seed=0, budget=11)
        for method in ("guided", "random")
    }
    assert found["guided"] > found["random"]


def test_wins_and_losses_are_of_the_first_method() -> None:
    own = {"guided": np.array([[1.0, 3.0], [2.0, 2.0], [0.0, 5.0]])}
    own["random"] = np.array([[1.0, 2.0], [2.0, 2.0], [9.0, 9.0]])
    rows = steps.rows_of({"one": own, "two": own})
    assert [row["end: w-t-l"] for row in rows] == ["", "1-1-1", "", "1-1-1", "2-2-2"]
    assert [row["half: w-t-l"] for row in rows] == ["", "0-2-1", "", "0-2-1", "0-4-2"]
    assert (rows[1]["half"], rows[1]["end"]) == ("4.0000", "4.3333")
    assert rows[-1]["end: p"] == "1"


@pytest.mark.parametrize("method", gpt_within.METHODS)
def test_the_best_within_the_budget_counts(data: Path, method: str) -> None:
    best = gpt_within.run("s", data, method, seed=0, budget=12)
    assert best == sorted(best, reverse=True)
    task = gpt_within.Task("s", data)
    archs = gpt_within.METHODS[method](task, 0, 12)
    pairs = zip(archs, task(archs), strict=True)
    inside = [value for arch, value in pairs if task.excess(arch) <= 0]
    assert best[-1] == min(inside, default=math.inf)


def test_each_method_of_the_branches_is_best_at_its_floor() -> None:
    problem = conditional.branches()
    assert len(problem.space.variables) == 12
    drawn = problem.space.sample(2000, torch.Generator().manual_seed(0))
    values = {arch: problem.evaluate(problem.space.spell(arch))[0] for arch in drawn}
    for arch, value in values.items():
        assert value >= conditional.FLOORS[arch["method"]]
    best = {"method": "network", "share": 0.55, "network_activation": "sine", "network_decay": 0.1}
    assert problem.evaluate(best)[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("sampler", [s for s in conditional.SAMPLERS if "hierarchical" not in s])
def test_each_sampler_searches_the_branches(sampler: str) -> None:
    best = conditional.run("branches", sampler, seed=0, budget=12)
    assert len(best) == 12
    assert best == sorted(best, reverse=True)


@pytest.mark.parametrize("name", [name for name in conditional.PROBLEMS if name != "branches"])
def test_declarations_are_the_hierarchies_of_sb_arch_opt(name: str) -> None:
    hierarchical = pytest.importorskip("sb_arch_opt.problems.hierarchical")
    problem = conditional.PROBLEMS[name]()
    theirs = getattr(hierarchical, problem.space.name)()
    for arch in problem.space.sample(50, torch.Generator().manual_seed(0)):
        values = problem.space.spell(arch)
        _, active = theirs.correct_x(np.array([problem.vector(values)], dtype=float))
        assert int(active.sum()) == len(values) + (name == "rosenbrock")  # two choices are one
