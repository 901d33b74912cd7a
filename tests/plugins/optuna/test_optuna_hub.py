"""The folder for the OptunaHub registry, loaded as OptunaHub does, and its front matter."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
import yaml

from naslib_diffusion import DiffusionNAGSampler

REGISTRY = Path(__file__).parents[3] / "plugins" / "optuna" / "hub" / "package"
FOLDER = REGISTRY / "samplers" / "diffusion_nag"


def test_loads_from_the_registry_and_samples() -> None:
    hub = pytest.importorskip("optunahub", reason="optunahub is not installed")
    module = hub.load_local_module("samplers/diffusion_nag", registry_root=str(REGISTRY))
    assert module.DiffusionNAGSampler is DiffusionNAGSampler
    study = optuna.create_study(sampler=module.DiffusionNAGSampler(seed=0, n_startup_trials=2))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=4)
    assert len(study.trials) == 4


def test_layout_and_front_matter() -> None:
    names = {path.name for path in FOLDER.iterdir() if not path.name.startswith("_")}
    assert names == {"LICENSE", "README.md", "example.py", "requirements.txt"}
    assert (FOLDER / "LICENSE").read_text().startswith("MIT License")
    _, front, text = (FOLDER / "README.md").read_text().split("---\n", 2)
    matter = yaml.safe_load(front)
    assert set(matter) == {
        "author", "title", "description", "tags", "optuna_versions", "license",
    }  # fmt: skip
    assert matter["license"] == "MIT License"
    assert "sampler" in matter["tags"]
    for heading in ("Abstract", "APIs", "Installation", "Example", "Others"):
        assert f"\n## {heading}\n" in text
    assert "<" not in text.replace("<!--", "")  # no HTML
