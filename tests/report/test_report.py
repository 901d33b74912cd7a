"""The report: self-contained, complete, escaped, the same each time."""

import re

import numpy as np
import pytest
from pages import HOSTILE, check

from naslib_diffusion.report import render_report
from naslib_diffusion.report.cells import decisions, draw_cell
from naslib_diffusion.report.scales import StretchedAxis, formatter
from naslib_diffusion.runs import Evaluation, Forecast, Results, Settings
from naslib_diffusion.spaces import (
    Categorical,
    DeclaredSpace,
    Maybe,
    MobileNetV3,
    NASBench201,
    ProductSpace,
    Subset,
    from_samples,
)
from naslib_diffusion.tables import Table

CELLS = list(NASBench201())


def cell_table(direction="maximize", name="bench"):
    values = [sum(op * (i + 1) for i, op in enumerate(c.operations)) / 7 for c in CELLS]
    return Table(name, NASBench201(), CELLS, values, objective="acc (%)", direction=direction)


def results(table, seeds=3, budget=20, initial=5, **settings):
    chosen = Settings(benchmark="b", seeds=seeds, budget=budget, initial=initial, **settings)
    random = np.random.default_rng(0)
    trials = []
    for seed in chosen.all_seeds:
        rows = random.choice(len(table), size=budget, replace=False)
        trials += [
            Evaluation(seed, step, str(table.archs[row]), float(table.values[row]))
            for step, row in enumerate(rows, start=1)
        ]
    return Results(chosen, table, trials, seconds=12.5)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("seeds", [1, 2, 7])
def test_a_page_is_whole_and_needs_nothing_else(direction, seeds):
    found = results(cell_table(direction), seeds)
    page = render_report(found, "runs/x")
    checker = check(page)
    assert checker.tags.count("section") >= 8
    assert checker.tags.count("script") == 1
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert "@import" not in page
    assert found.winner.best.arch in checker.text
    assert f"{found.winner.rank:,} of 15,625" in checker.text
    assert checker.text.count("median of") == (0 if seeds == 1 else 3)
    assert "naslib-diffusion search --benchmark b" in checker.text
    assert page == render_report(found, "runs/x")


def test_predictions_are_shown_beside_what_came_of_them():
    found = results(cell_table(), 2)
    assert "Predicted and observed" not in render_report(found, "x")
    some = [t for t in found.trials if t.step > 5]
    forecasts = [Forecast(t.seed, t.step, t.value + 3 * (t.step == 6), 1.0) for t in some]
    forecasts.append(Forecast(0, 99, 1.0, 1.0))  # of no evaluation
    known = Results(found.settings, found.table, found.trials, seconds=1, forecasts=forecasts)
    page = check(render_report(known, "x")).text
    assert "Predicted and observed" in page
    assert "28 of 30 intervals (93 %) hold what was observed" in page


def test_figures_take_the_colours_of_the_page():
    page = render_report(results(cell_table()), "x")
    figures = re.findall(r"<svg xmlns:xlink.*?</svg>", page, flags=re.DOTALL)
    assert len(figures) == 5
    for figure in figures:
        assert set(re.findall(r"#[0-9a-f]{6}\b", figure)) <= {"#000000"}
        assert "var(--accent)" in figure
    assert "prefers-color-scheme: dark" in page


def test_each_evaluation_says_what_it_is_where_the_pointer_rests():
    found = results(cell_table())
    page = check(render_report(found, "x"))
    for trial in found.trials:
        assert f"at {trial.step} of seed {trial.seed}: {trial.arch}" in page.text


def test_hostile_strings_are_escaped_everywhere():
    choices = (HOSTILE, "b", "c", "d")
    space = ProductSpace([Categorical(choices, name=HOSTILE + str(i)) for i in range(3)])
    points = list(space)
    table = Table(
        HOSTILE, space, points, range(len(points)), objective=HOSTILE, direction="minimize"
    )
    page = render_report(results(table), HOSTILE)
    checker = check(page)
    assert page.count("<script") == checker.tags.count("script") == 1
    assert HOSTILE in checker.text
    assert str(points[0])[:20] in checker.text
    assert page.count("<title>") > 30  # of the page, and of points that hold the same strings


def test_tables_that_are_degenerate():
    constant = Table("t", NASBench201(), CELLS[:30], [5.0] * 30, objective="o")
    check(render_report(results(constant, 2, 10, 10), "x"))
    tiny = Table("t", NASBench201(), CELLS[:1], [1e-9], objective="o")
    check(render_report(results(tiny, 1, 1, 1), "x"))
    wild = Table("t", NASBench201(), CELLS[:30], [10.0**i for i in range(30)], objective="o")
    check(render_report(results(wild, 3, 10, 3), "x"))


def test_the_headline_tells_rank_and_value():
    table = cell_table()
    found = results(table)
    best = int(table.values.argmax())
    found.trials[-1] = Evaluation(2, 20, str(table.archs[best]), table.optimum)
    top = Results(found.settings, table, found.trials, seconds=1)
    page = check(render_report(top, "x")).text
    assert f"Found the best of 15,625 architectures: {formatter(table)(table.optimum)}" in page
    assert "1 of 3 seeds reached it" in page
    assert top.seeds[2].steps_to_optimum == 20
    assert "rank" in check(render_report(results(table), "x")).text


def test_drawings_show_each_edge_once():
    cell = NASBench201().parse(
        "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"
    )
    edges = draw_cell(cell)
    assert [edge.operation for edge in edges[:2]] == ["none", "none"]
    assert sorted(edge.label for edge in edges) == [
        "conv 1×1",
        "conv 3×3",
        "none",
        "none",
        "pool 3×3",
        "skip",
    ]
    assert all(0 < edge.x < 532 and 0 < edge.y < 240 for edge in edges)
    assert draw_cell("else") is None


def test_decisions_have_the_names_of_the_space():
    space = ProductSpace([Categorical((1, 2), name="depth"), Categorical(("a", "b"), name="op")])
    point = space.parse('[2, "b"]')
    assert decisions(space, point) == [("depth", "2"), ("op", "b")]
    assert decisions(Subset(space, [point]), point) == [("depth", "2"), ("op", "b")]
    declared = DeclaredSpace({"op": ["a", "b"], "extra": Maybe({"n": [1, 2]})})
    arch = declared.parse('{"op": "b"}')
    assert decisions(declared, arch) == [("op", "b"), ("extra.exists", "False")]
    graphs = from_samples([([[1, 0], [0, 1]], [[0, 1], [0, 0]])] * 2, name="g")
    (graph,) = graphs.sample(1)
    assert decisions(graphs, graph) == [("architecture", str(graph))]
    assert decisions(MobileNetV3(), MobileNetV3().sample(1)[0])[0][0] == "architecture"  # of many


def test_results_over_seeds():
    table = Table("t", NASBench201(), CELLS[:4], [1.0, 4.0, 2.0, 3.0], objective="o")
    chosen = Settings(seeds=2, budget=3, initial=1)
    order = {0: (0, 2, 3), 1: (2, 1, 0)}
    trials = [
        Evaluation(seed, step, str(CELLS[row]), float(table.values[row]))
        for seed, rows in order.items()
        for step, row in enumerate(rows, start=1)
    ]
    found = Results(chosen, table, trials, seconds=1.0)
    assert found.curves.tolist() == [[1, 2, 3], [2, 4, 4]]
    first, second = found.seeds
    assert (first.steps_to_best, first.steps_to_optimum, first.gap, first.rank) == (3, None, 1, 2)
    assert (second.steps_to_best, second.steps_to_optimum, second.gap) == (2, 2, 0)
    assert found.winner is second
    curve = found.summary()["curve"]
    assert (curve["median"], curve["min"], curve["max"]) == ([1.5, 3, 3.5], [1, 2, 3], [2, 4, 4])
    assert curve["sd"] == pytest.approx([2**-0.5, 2**0.5, 2**-0.5])
    assert found.top(2)[0] == (str(CELLS[1]), 4.0, 1, 2)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_stretched_axis_rises_towards_the_best(direction):
    table = cell_table(direction)
    axis = StretchedAxis.of(table)
    values = np.unique(table.values)
    positions = axis(values if direction == "maximize" else values[::-1])
    assert (np.diff(positions) > 0).all()
    ticks = axis.ticks(float(positions[0]))
    assert 4 <= len(ticks) <= 9
    assert all(values[0] <= tick <= values[-1] for tick in ticks)
