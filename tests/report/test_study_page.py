"""The page of a study."""

import dataclasses
import json
import math

import pytest
import torch
from pages import HOSTILE, check

from naslib_diffusion.report.foresight import Foreseen, sentence
from naslib_diffusion.report.study import Study, StudyTrial
from naslib_diffusion.report.study_figures import hypervolumes
from naslib_diffusion.report.study_page import render_study


def trial(number, *values, state="complete", predictions=()):
    params = {HOSTILE: HOSTILE, "n": number}
    return StudyTrial(number, state, values, params, json.dumps(params), predictions)


def test_the_best_trials_come_first():
    trials = (trial(0, 2.0), trial(1, 1.0), trial(2, math.nan), trial(3, 1.0), trial(4))
    least = Study("s", ("minimize",), ("loss",), trials)
    assert [t.number for t in least.best()] == [1, 3, 0]
    most = Study("s", ("maximize",), ("acc",), trials)
    assert [t.number for t in most.best()] == [0, 1, 3]


def test_the_front_is_what_nothing_dominates():
    values = [(1.0, 5.0), (2.0, 6.0), (2.0, 5.0), (0.5, 4.0), (1.0, 5.0), (0.5, 4.5)]
    trials = tuple(trial(i, *own) for i, own in enumerate(values))
    study = Study("s", ("maximize", "minimize"), ("acc", "cost"), trials)
    assert {t.number for t in study.best()} == {2, 3}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_page_is_whole_and_escapes_what_a_study_says(count):
    trials = tuple(
        trial(i, *[float(i % 7)] * count, predictions=((i % 7 + 0.5, 0.3),) * count)
        for i in range(30)
    )
    lost = (trial(30, state="failed"), trial(31, state="running"))
    names = tuple(f"{HOSTILE}{i}" for i in range(count))
    study = Study(HOSTILE, ("maximize",) * count, names, trials + lost)
    page = render_study(study)
    checker = check(page)
    assert page.count("<script") == 1
    assert HOSTILE in checker.text
    assert "30 of 30 intervals (100 %)" in checker.text
    assert ("The best trial" in checker.text) == (count == 1)


def test_a_study_without_a_value_is_refused():
    with pytest.raises(ValueError, match="no complete trial"):
        render_study(Study("s", ("minimize",), ("loss",), (trial(0), trial(1, math.inf))))


def test_trials_that_break_a_constraint_are_shown_and_never_the_best():
    trials = [trial(i, float(i), 1.0) for i in range(6)]
    trials[5] = dataclasses.replace(trials[5], feasible=False)
    study = Study("s", ("maximize", "minimize"), ("acc", "cost"), tuple(trials))
    assert [t.number for t in study.best()] == [4]
    checker = check(render_study(study))
    assert "breaks a constraint" in checker.text


def test_the_front_grows_to_all_that_it_is():
    values = [(1.0, 3.0), (0.0, 0.0), (3.0, 1.0), (2.0, 2.0), (1.0, 1.0)]
    rows = torch.tensor(values, dtype=torch.double)
    assert hypervolumes(rows) == pytest.approx([3, 3, 5, 6, 6])


def test_the_page_says_how_wide_intervals_should_have_been():
    points = [Foreseen(float(i), 0.0, 2.0, "a") for i in range(20)]
    assert sentence(points).endswith(
        "5 of 20 intervals (25 %) hold what was observed; ± 9.0 would have held 95 %"
    )
    assert sentence(points[:5]).endswith("5 of 5 intervals (100 %) hold what was observed")
    sure = [Foreseen(1.0, 1.0, 0.0, "a"), Foreseen(1.0, 2.0, 0.0, "b")]
    assert sentence(sure).endswith("1 of 2 intervals (50 %) hold what was observed")
