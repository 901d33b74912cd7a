"""The measurements on large, limited and conditional spaces."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from naslib_diffusion.benchmarks.engine import gpt_within, problems, steps
from naslib_diffusion.benchmarks.engine.landscapes import Quadratic
from naslib_diffusion.benchmarks.hosts import conditional

from naslib_diffusion.spaces import NASBench201, ProductSpace


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


@pytest.mark.parametrize("method", ["guided", "mutation+random", "gp-ucb"])
def test_each_way_to_propose_keeps_to_the_budget(method: str) -> None:
    limited = problems.within("stages", None)
    drawn = problems.stages(None).space.sample(200, torch.Generator().manual_seed(1))
    assert 0.1 < np.mean([limited.space.is_valid(arch) for arch in drawn]) < 0.3
    best = steps.run("stages-within", None, method, seed=0, budget=11)
    assert len(best) == 11
    assert best == sorted(best)


def test_guided_generation_reaches_more_of_the_acquisition_function_than_random() -> None:
    found = {
        method: steps.reached("stages", None, method, seed=0, budget=11)
        for method in ("guided", "random")
    }
    assert found["guided"] > found["random"]


def test_a_failure_is_the_worst_that_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []

    class Own:
        def __init__(self, space: Any, seed: int) -> None:
            self.ask = lambda: space.sample(1)[0]

        def tell(self, arch: Any, value: float) -> None:
            told.append(value)

    values = iter([math.nan, 3.0, 2.0, math.nan, 1.0, *[4.0] * 6])
    own = problems.Problem(ProductSpace.categorical([3] * 4), lambda arch: next(values), best=9.0)
    monkeypatch.setitem(steps.METHODS, "own", Own)
    monkeypatch.setattr(steps, "load", lambda name, data: own)
    assert steps.run("any", None, "own", seed=0, budget=11) == [-math.inf, *[3.0] * 4, *[4.0] * 6]
    assert told == [3.0, 2.0, 2.0, 1.0, *[4.0] * 6]


def test_a_problem_is_searched_until_its_best(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    own = problems.Problem(
        ProductSpace.categorical([3] * 4), lambda a: calls.append(a) or 2.0, 2.0
    )
    monkeypatch.setattr(steps, "load", lambda name, data: own)
    assert steps.run("any", None, "random", seed=0, budget=5) == [2.0] * 5
    assert len(calls) == 1


def test_regret_is_in_units_of_the_median() -> None:
    own = problems.Problem(NASBench201(), lambda cell: float(str(cell).count("none")), 6.0)
    found = problems.regrets(own, {"whole": np.array([[-np.inf, 1.0, 3.5, 6.0]])})["whole"]
    unit = 6.0 - own.median
    assert found.tolist() == [[1.0, min(5 / unit, 1.0), 2.5 / unit, 0.0]]
    unknown = problems.Problem(NASBench201(), own.evaluate)
    other = problems.regrets(unknown, {"a": np.array([[1.0, 3.0]]), "b": np.array([[2.0, 4.0]])})
    assert (other["b"][0, 1], other["a"][0, 1]) == (0.0, 1 / (4 - own.median))


def test_wins_and_losses_are_of_the_first_method() -> None:
    own = {"guided": np.array([[0.5, 0.3], [0.2, 0.2], [1.0, 0.1]])}
    own["random"] = np.array([[0.6, 0.4], [0.2, 0.2], [0.0, 0.0]])
    found = {"stages": own, "stages-within": own}
    rows = steps.rows_of({2: found}, ("guided", "random", "enumerate"), None)
    assert [row["guided"] for row in rows] == ["0.200", "0.200", ""]
    assert [row["random"] for row in rows] == [*["0.200 (1-1-1)"] * 2, "2-2-2, p 1"]
    assert [row["enumerate"] for row in rows] == ["-", "-", ""]
    assert rows[0]["architectures"] == "3.31e+21"
    halved = steps.until(1, found)["stages"]["random"]
    assert halved.tolist() == [[0.6], [0.2], [0.0]]


def test_small_and_large_problems_are_counted_apart() -> None:
    own = {"guided": np.array([[0.1]]), "random": np.array([[0.3]])}
    rows = steps.rows_of({1: {"stages": own, "nasbench201/cifar10": own}}, tuple(own), None)
    assert [(row["problem"], row["random"]) for row in rows[2:]] == [
        ("all that can be listed", "1-0-0, p 1"),
        ("all too large for that", "1-0-0, p 1"),
        ("all", "2-0-0, p 0.5"),
    ]


def test_a_clear_difference_is_marked() -> None:
    guided = np.arange(8.0)[:, None]
    rows = steps.rows_of(
        {1: {"stages": {"guided": guided, "random": guided + 1}}}, ("guided", "random"), None
    )
    assert rows[0]["random"] == "4.500 (8-0-0*)"


def test_what_falls_short_is_counted_from_the_best_of_each_seed() -> None:
    found = steps.shortfalls({"a": np.array([[1.0], [5.0]]), "b": np.array([[2.0], [4.0]])})
    assert {name: own.tolist() for name, own in found.items()} == {
        "a": [[1.0], [0.0]],
        "b": [[0.0], [1.0]],
    }


def test_what_was_searched_is_not_searched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.setitem(steps.PARTS, "searches", lambda *job: [1.0, 2.0])
    job = ("searches", "a/b", None, "guided", 0, 2, tmp_path)
    assert steps.kept_run(*job) == [1.0, 2.0]
    monkeypatch.setitem(steps.PARTS, "searches", lambda *job: pytest.fail("it is kept"))
    assert steps.kept_run(*job) == [1.0, 2.0]


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
