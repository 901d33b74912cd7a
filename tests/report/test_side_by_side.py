"""Runs side by side: what their folders tell, and the page of it."""

import json
import math

import numpy as np
import pytest
from pages import HOSTILE, check

from naslib_diffusion.report.side_by_side import comparable, differences, render_comparison, row
from naslib_diffusion.runs import RunError
from naslib_diffusion.runs.finished import IMAGES, read_run
from naslib_diffusion.runs.trials import Evaluation, TrialLog


def write_run(path, values, *, direction="maximize", name="bench", **settings):
    """A folder as `search` leaves it; `values` are of each seed."""
    path.mkdir()
    trials = [
        Evaluation(seed, step, f"arch {step}", value)
        for seed, own in enumerate(values)
        for step, value in enumerate(own, start=1)
    ]
    with TrialLog(path / "trials.csv") as log:
        for trial in trials:
            log.append(trial)
    table = {"name": name, "objective": "acc", "direction": direction, "optimum": 9.0}
    summary = {"settings": settings, "table": table, "timing": {"seconds": 1.5}}
    (path / "summary.json").write_text(json.dumps(summary))
    return path


def test_a_run_tells_its_curves_and_its_best(tmp_path):
    found = read_run(write_run(tmp_path / "a", [[1.0, math.nan, 3.0], [math.nan, 4.0, 2.0]]))
    np.testing.assert_array_equal(found.curves, [[1, 1, 3], [math.nan, 4, 4]])
    assert (found.best.value, found.best.seed, found.steps_to_best) == (4.0, 1, (3, 2))
    least = read_run(write_run(tmp_path / "b", [[1.0, 2.0, 0.5]], direction="minimize"))
    np.testing.assert_array_equal(least.curves, [[1, 1, 0.5]])
    assert row(least).steps == 3


def test_a_run_on_images_is_read_too(tmp_path):
    write_run(tmp_path / "a", [[50.0, 60.0]])
    settings = {"data": "photos", "recipe": {"epochs": 20}, "prior": ["cells", "images"]}
    (tmp_path / "a" / "summary.json").write_text(
        json.dumps({"settings": settings, "seconds": 3.0})
    )
    found = read_run(tmp_path / "a")
    assert (found.source, found.objective, found.optimum) == ("photos", IMAGES, None)
    assert found.settings == {"data": "photos", "epochs": "20", "prior": "cells, images"}


def test_settings_that_differ_are_named(tmp_path):
    runs = [
        read_run(write_run(tmp_path / "a", [[1.0]], strategy="guided", budget=1, prior=None)),
        read_run(write_run(tmp_path / "b", [[2.0]], strategy="mutation", budget=1, prior="x")),
    ]
    assert differences(runs) == [("prior", ["", "x"]), ("strategy", ["guided", "mutation"])]
    assert comparable(runs)
    other = read_run(write_run(tmp_path / "c", [[2.0]], name="other"))
    assert not comparable([*runs, other])


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="no finished run"):
        read_run(tmp_path)
    write_run(tmp_path / "a", [[math.nan]])
    with pytest.raises(RunError, match="no evaluation has a value"):
        read_run(tmp_path / "a")
    for damaged in ("{}", "[" * 100_000, '{"settings": 1, "table": {}, "timing": {}}', "\x00"):
        (tmp_path / "a" / "summary.json").write_text(damaged)
        with pytest.raises(RunError, match="damaged"):
            read_run(tmp_path / "a")


def test_the_page_is_whole_and_escapes_what_runs_say(tmp_path):
    runs = [
        read_run(
            write_run(tmp_path / f"run {i}", [[1.0, 5.0, i], [2.0, 3.0, 4.0]], name=HOSTILE, x=i)
        )
        for i in range(8)
    ]
    checker = check(render_comparison(runs))
    assert HOSTILE in checker.text
    assert checker.tags.count("script") == 1
    assert "8 runs side by side" in checker.text
    assert "cannot be compared" not in checker.text
    mixed = [*runs[:1], read_run(write_run(tmp_path / "b", [[1.0]], name="other"))]
    assert "cannot be compared" in check(render_comparison(mixed)).text
