"""The report of a search on images: what the best cell confuses, and how trainings went."""

import torch
from pages import HOSTILE, check

from naslib_diffusion.report.images import render_image_report
from naslib_diffusion.runs import Evaluation
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.transfer.diagnostics import Course

CELLS = NASBench201().sample(3, torch.Generator().manual_seed(0))


RECIPE = {"epochs": 2, "channels": 8, "cells": 1}


def report(classes, counts, losses):
    trials = [Evaluation(0, i + 1, str(cell), 50.0 + i) for i, cell in enumerate(CELLS)]
    summary = {
        "settings": {"data": "photos", "prior": ["none"], "size": 8, "recipe": RECIPE},
        "images": 40, "held_out": 8, "classes": classes, "skipped_files": [],
        "baselines": {"chance": 50.0}, "seconds": 1.0, "diverged": 0,
        "best": {"seed": 0, "step": 3, "arch": trials[2].arch, "value": 52.0},
        "diagnosis": counts and {"parameters": 7, "counts": counts},
    }  # fmt: skip
    courses = {step: Course(own, 41.5) for step, own in losses.items()}
    return render_image_report(summary, trials, courses)


def test_the_report_shows_them():
    counts = [[5, 3], [0, 8]]
    text = check(report((HOSTILE, "cat"), counts, {1: [2.0, 1.0], 3: [1.5, 0.5]})).text
    assert "What it takes for what" in text
    assert "How they learned" in text
    for cell in CELLS:
        network = NASBench201().build(cell, channels=8, cells=1, outputs=2)
        assert f"{sum(p.numel() for p in network.parameters()):,}" in text
    assert text.count("41.5") == 3  # of two trainings, and of the best once more
    assert "torch" in text  # versions
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
