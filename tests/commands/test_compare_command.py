"""`compare` and `report`."""

import json

import optuna

from naslib_diffusion.runs.trials import Evaluation, TrialLog


def write_run(path, value, strategy):
    path.mkdir()
    with TrialLog(path / "trials.csv") as log:
        log.append(Evaluation(0, 1, "[red]arch", value))
    table = {"name": "t", "objective": "acc", "direction": "maximize", "optimum": 9.0}
    settings = {"strategy": strategy, "budget": 1}
    summary = {"settings": settings, "table": table, "timing": {"seconds": 1.0}}
    (path / "summary.json").write_text(json.dumps(summary))
    return path


def test_compare_prints_and_writes(run, tmp_path):
    runs = [write_run(tmp_path / "a", 1.0, "guided"), write_run(tmp_path / "b", 2.0, "mutation")]
    page = tmp_path / "new" / "page.html"
    code, text, _ = run("compare", *runs, "--out", page)
    assert code == 0
    assert "strategy: guided | mutation" in text
    assert "budget" not in text
    assert "[red]arch" in page.read_text()
    code, _, error = run("compare", *runs, "--out", page)
    assert (code, error) == (2, f"error: {page} exists already; --force overwrites it\n")
    assert run("compare", *runs, "--out", page, "--force", "--quiet")[:2] == (0, "")


def test_compare_refuses_what_is_no_run(run, tmp_path):
    code, _, error = run("compare", tmp_path)
    assert code == 2
    assert "no finished run" in error
    assert run("compare")[0] == 2


def test_compare_says_what_a_summary_lacks(run, tmp_path):
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / "trials.csv").write_text("seed,step,arch,value\n")
    code, _, error = run("compare", str(tmp_path))
    assert code == 2
    assert "it is damaged (it lacks 'settings')" in error


def test_report_makes_a_page_of_a_study(run, tmp_path):
    url, page = f"sqlite:///{tmp_path / 'study.db'}", tmp_path / "page.html"
    study = optuna.create_study(study_name="s", storage=url)
    assert run("report", "--study", url, "--out", page)[0] == 2  # nothing to show yet
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    code, text, _ = run("report", "--study", url, "--out", page)
    assert (code, text) == (0, f"page: {page}\n")
    assert "3</b><span>trials complete" in page.read_text()
    code, _, error = run(
        "report", "--study", f"sqlite:///{tmp_path}/none.db", "--out", page, "--force"
    )
    assert (code, error) == (2, f"error: --study: there is no file {tmp_path}/none.db\n")
