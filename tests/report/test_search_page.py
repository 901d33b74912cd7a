"""The page of a search that a user's own program ran."""

import math

import pytest
from pages import HOSTILE, check

from naslib_diffusion import Search
from naslib_diffusion.report import write_report
from naslib_diffusion.report.searches import study_of
from naslib_diffusion.search import ParetoSearch
from naslib_diffusion.spaces import Categorical, Integer, NASBench201, ProductSpace

OPTIONS = {"strategy": "mutation", "initial": 10, "candidates": 8, "device": "cpu"}
SPACE = ProductSpace(
    [Categorical(["a", "b", HOSTILE], name="block"), Integer(1, 64, name="width")]
)


def told(directions, count=13):
    """Return a search in which quality and cost are at odds; one trial fails, one is too wide."""
    search = ParetoSearch(SPACE, directions, **OPTIONS)
    for number in range(count):
        (point,) = search.ask()
        block, width = point.values
        quality = math.nan if number == 3 else width / 64 + (block == "a")
        rest = (float(width), float(block == "b"))[: len(directions) - 1]
        search.tell(point, (quality, *rest), [width - 60])
    return search


def test_several_objectives(tmp_path):
    search = told(["maximize", "minimize", "minimize"])
    search.ask(2)
    names = [HOSTILE, "cost", "other"]
    write_report(search, tmp_path / "r.html", name=HOSTILE, objectives=names)
    checker = check((tmp_path / "r.html").read_text())
    assert f"{len(search.front)} trial" in checker.text
    assert "of 3 intervals" in checker.text
    for title, count in (("What matters: ", 3), ("Front: ", 3), ("How the front grew", 1)):
        assert checker.text.count(title) == count
    assert "Front: cost and other" in checker.text
    study = study_of(search, "s", names)
    states = [trial.state for trial in study.trials]
    assert states.count("failed") == 1
    assert states.count("running") == 2
    assert {str(t.arch) for t in study.best()} == {str(t.arch) for t in search.front}
    assert all(trial.feasible for trial in study.best())


def test_one_objective_and_cells(tmp_path):
    space = NASBench201()
    search = Search(space, direction="minimize", **OPTIONS)
    for _ in range(13):
        (cell,) = search.ask()
        search.tell(cell, float(sum(cell.operations)))
    write_report(search, tmp_path / "r.html")
    checker = check((tmp_path / "r.html").read_text())
    assert search.best is not None
    assert f"Best value {search.best.value:g}, at trial" in checker.text
    assert str(search.best.arch) in checker.text
    assert "0 → 1" in checker.text  # an edge that matters
    assert "of 3 intervals" in checker.text


def test_what_was_predicted_is_what_the_search_said_when_it_asked(tmp_path):
    search = told(["maximize", "minimize"])
    first, second = search.ask(2)
    said = [[p.mean for p in search.predict_each(arch)] for arch in (first, second)]
    search.tell([second, first], [(0.5, 1.0), (0.25, 2.0)])
    search.ask()  # believes something else by now
    *_, b, a, _ = study_of(search, "s").trials
    assert [mean for mean, _ in a.predictions] == pytest.approx(said[0])
    assert [mean for mean, _ in b.predictions] == pytest.approx(said[1])
    search.save(tmp_path / "s.json")
    loaded = ParetoSearch.load(tmp_path / "s.json", SPACE)
    assert study_of(loaded, "s").trials == study_of(search, "s").trials


def test_what_is_told_again_keeps_the_prediction_from_before_it_was_known():
    search = Search(SPACE, repeats=True, **OPTIONS)
    points = SPACE.sample(12)
    search.tell(points, [float(point.values[1]) for point in points])
    (point,) = search.ask()
    before = search.history.predicted(point)
    assert before
    for _ in range(3):
        search.tell(point, 99.0)
        search.history.foresee([point], [()])
    assert search.history.predicted(point) == before


def test_names_and_empty_searches_are_refused(tmp_path):
    search = told(["maximize", "minimize"], 12)
    with pytest.raises(ValueError, match="2 objectives need as many names, not 1"):
        write_report(search, tmp_path / "r.html", objectives=["accuracy"])
    with pytest.raises(ValueError, match="no complete trial"):
        write_report(Search(SPACE, **OPTIONS), tmp_path / "r.html")
    strict = Search(SPACE, **OPTIONS)
    strict.tell(SPACE.sample(2), [1.0, 2.0], [[1.0], [0.5]])
    with pytest.raises(ValueError, match="that meets all constraints"):
        write_report(strict, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
