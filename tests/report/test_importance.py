"""The figure of what matters: main effects of decisions, with their uncertainty."""

import math

import numpy as np
import pytest
from pages import HOSTILE, Checker

from naslib_diffusion.report.importance import effects_figure
from naslib_diffusion.report.importance import main_effects as of_values
from naslib_diffusion.runs import Evaluation
from naslib_diffusion.spaces import (
    Categorical,
    DeclaredSpace,
    Integer,
    NASBench201,
    ProductSpace,
    Real,
    When,
    from_samples,
)
from naslib_diffusion.tables import Table

WORTH = {"a": 3.0, "b": 1.0, "c": 0.0}
SPACE = ProductSpace(
    [
        Categorical(("a", "b", "c"), name="operation"),
        Integer(1, 40, name="width"),
        Categorical((True, False), name="bias"),
    ]
)


def main_effects(table, trials):
    archs = [table.space.parse(trial.arch) for trial in trials]
    return of_values(table.space, table.direction, archs, [trial.value for trial in trials])


def value(point):
    operation, width, _ = point.values
    return 10 + 4 * WORTH[operation] + 0.1 * width


def table_of(direction="maximize", count=400):
    points = list(dict.fromkeys(SPACE.sample(count)))
    sign = 1 if direction == "maximize" else -1
    values = [sign * value(point) for point in points]
    return Table("t", SPACE, points, values, objective="score", direction=direction)


def trials_of(table, count=40):
    rows = np.random.default_rng(0).choice(len(table), size=count, replace=False)
    return [
        Evaluation(0, i + 1, str(table.archs[row]), float(table.values[row]))
        for i, row in enumerate(rows)
    ]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_decision_that_matters_most_comes_first_and_its_best_value(direction):
    table = table_of(direction)
    effects = main_effects(table, trials_of(table))
    assert [effect.name for effect in effects] == ["operation", "width", "bias"]
    operation, width, bias = effects
    assert [level.value for level in operation.levels] == ["a", "b", "c"]
    assert width.levels[0].value.endswith("40")
    assert operation.share > 0.8 > 0.2 > width.share > bias.share
    assert bias.share < 0.01
    assert sum(effect.share for effect in effects) == pytest.approx(1, abs=0.05)


def test_levels_hold_the_true_averages():
    table = table_of()
    (operation, *_) = main_effects(table, trials_of(table))
    for level in operation.levels:
        mean = 10 + 4 * WORTH[level.value] + 0.1 * 20.5
        assert level.low - 0.5 <= mean <= level.high + 0.5
        assert level.low < level.middle < level.high
    few = main_effects(table, trials_of(table, 10))
    width = {e.name: max(v.high - v.low for v in e.levels) for e in few}["operation"]
    assert width > 2 * max(level.high - level.low for level in operation.levels)


def test_there_is_no_figure_of_too_little():
    table = table_of()
    failed = [Evaluation(0, i + 1, str(a), math.nan) for i, a in enumerate(table.archs[:40])]
    assert main_effects(table, trials_of(table, 9)) == []
    assert main_effects(table, trials_of(table, 9) + failed) == []
    graphs = from_samples([([[1, 0], [0, 1]], [[0, 1], [0, 0]])] * 2, name="g")
    assert of_values(graphs, "maximize", graphs.sample(20), [1.0] * 20) == []  # no decisions


def test_decisions_that_exist_only_under_conditions():
    space = DeclaredSpace({"opt": ["sgd", "adam"], "momentum": When(Real(0.0, 0.99), opt="sgd")})
    archs = list(dict.fromkeys(space.sample(40)))
    values = [3.0 * a.as_dict().get("momentum", 0.2) for a in archs]
    effects = {e.name: e for e in of_values(space, "maximize", archs, values)}
    assert set(effects) == {"opt", "momentum"}
    levels = [level.value for level in effects["momentum"].levels]
    assert "absent" in levels
    assert levels[0].endswith("0.99") or levels[0].endswith("0.989")
    assert len(levels) <= 5


def test_edges_of_a_cell():
    cells = list(NASBench201())[::7]
    values = [80 + 3.0 * (c.operations[0] == 3) for c in cells]
    table = Table("b", NASBench201(), cells, values, objective="accuracy")
    rows = np.random.default_rng(1).choice(len(cells), size=60, replace=False)
    trials = [Evaluation(0, i + 1, str(cells[r]), values[r]) for i, r in enumerate(rows)]
    effects = main_effects(table, trials)
    assert effects[0].name == "0 → 1"
    assert effects[0].levels[0].value == "conv 3×3"
    assert len(effects) == 6


def test_the_figure_names_every_level_and_is_escaped():
    hostile = ProductSpace([Categorical((HOSTILE, "b"), name=HOSTILE), Integer(1, 8, name="n")])
    points = list(dict.fromkeys(hostile.sample(60)))
    values = [float(p.values[1]) for p in points]
    table = Table("t", hostile, points, values, objective="score")
    rows = enumerate(zip(points, values, strict=True), start=1)
    trials = [Evaluation(0, step, str(point), value) for step, (point, value) in rows]
    checker = Checker()
    checker.feed(effects_figure(main_effects(table, trials), table.objective))
    assert "script" not in checker.tags
    assert HOSTILE[:10] in checker.text
    assert "expected score" in checker.text
