"""What is killed: small runs of the commands that work for long."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from naslib_diffusion.benchmarks.engine import killed_study
from naslib_diffusion.benchmarks.engine.kills import Case, Rows
from PIL import Image
from safetensors import safe_open

from naslib_diffusion.spaces import NASBench201


def cases(folder: Path) -> list[Case]:
    """Return small runs of the commands; their tables and images are made in a folder."""
    cells, images = folder / "cells.csv", folder / "images"
    _make_table(cells)
    _make_images(images)
    table = ("--table", str(cells), "--objective", "params", "--seeds", "2", "--budget", "30")
    data = ("--data", str(images), "--size", "8", "--epochs", "6", "--threads", "1")
    small = ("--channels", "2", "--cells", "1", "--batch-size", "8", "--budget", "6")
    return [
        Case("search", ("search", *table, "--quiet"), ("--resume",), "search", "trials.csv",
             _rows, _trials),
        Case("transfer --data", ("transfer", *data, *small, "--quiet"), ("--resume",), "transfer",
             "trials.csv", _rows, _trials),
        Case("zero-cost", ("zero-cost", "--space", "nasbench201", "--count", "60", "--size", "8",
             "--quiet"), (), "prior.safetensors", "prior.safetensors.scores.csv", _rows, _tensors),
        Case("train", ("train", "--steps", "400", "--batch-size", "32", "--measure", "0",
             "--quiet"), ("--resume",), "net.safetensors", "net.safetensors.state", _no_rows,
             _tensors),
        Case("meta-dataset", ("--tasks", "16", "--jobs", "4"), (), "meta", "triples.csv", _rows,
             lambda out: (out / "triples.csv").read_bytes(),
             _module("naslib_diffusion.benchmarks.priors.meta_dataset")),
        *(_study(kind) for kind in killed_study.STORAGES),
    ]  # fmt: skip


def _study(kind: str) -> Case:
    """Return a study with our sampler, by what keeps it."""
    return Case(
        f"sampler, {kind}",
        (kind,),
        (),
        "study",
        killed_study.LOG,
        _rows,
        lambda out: killed_study.facts(kind, out),
        _module(killed_study.__spec__.name),
    )


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name)


def _make_table(path: Path) -> None:
    space = NASBench201()
    lines = [f"{cell},{space.cost(cell, 'params')}" for cell in list(space)[::53]]
    path.write_text("\n".join(["arch,params", *lines]) + "\n")


def _make_images(folder: Path) -> None:
    for label in range(2):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        for i in range(24):
            image = Image.linear_gradient("L").rotate(90 * label + i).resize((8, 8))
            image.save(folder / str(label) / f"{i}.png")


def _rows(log: Path) -> Rows:
    """Return the whole rows of a log of evaluations."""
    text = log.read_text()
    return list(csv.reader(text[: text.rfind("\n") + 1].splitlines()))


def _no_rows(log: Path) -> Rows:
    return []


def _trials(out: Path) -> object:
    return (out / "trials.csv").read_bytes()


def _tensors(out: Path) -> object:
    with safe_open(out, framework="np") as file:
        return {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118
