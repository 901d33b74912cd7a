"""The report of a search on images: what the best cell confuses, and how trainings went."""

import torch
from pages import HOSTILE, check

from naslib_diffusion.report.images import render_image_report
from naslib_diffusion.runs import Evaluation
from naslib_diffusion.spaces import NASBench201

CELLS = NASBench201().sample(3, torch.Generator().manual_seed(0))


def report(classes, counts, losses):
    trials = [Evaluation(0, i + 1, str(cell), 50.0 + i) for i, cell in enumerate(CELLS)]
    summary = {
        "settings": {"data": "photos", "prior": ["none"], "size": 8, "recipe": {"epochs": 2}},
        "images": 40, "held_out": 8, "classes": classes, "skipped_files": [],
        "baselines": {"chance": 50.0}, "seconds": 1.0, "diverged": 0,
        "best": {"seed": 0, "step": 3, "arch": trials[2].arch, "value": 52.0},
        "diagnosis": counts and {"parameters": 1234567, "counts": counts},
    }  # fmt: skip
    return render_image_report(summary, trials, losses)


def test_the_report_shows_them():
    counts = [[5, 3], [0, 8]]
    text = check(report((HOSTILE, "cat"), counts, {1: [2.0, 1.0], 3: [1.5, 0.5]})).text
    assert "What it takes for what" in text
    assert "How they learned" in text
    assert "1,234,567" in text
    assert "37.5" in text  # of the class are taken for the other


def test_the_report_without_them():
    text = check(report(("dog", "cat"), None, {2: [float("nan")]})).text
    assert "52.00 %" in text
    assert "What it takes for what" not in text
    assert "How they learned" not in text
    assert "Most frequent confusions" not in text


def test_a_matrix_of_many_classes_is_a_list():
    classes = tuple(f"class {i}" for i in range(40))
    counts = [[7 if i == j else int(j == i + 1) for j in range(40)] for i in range(40)]
    page = report(classes, counts, {})
    text = check(page).text
    assert "What it takes for what" not in text
    assert "Most frequent confusions" in text
    assert page.count('data-name="taken for"') == 10
