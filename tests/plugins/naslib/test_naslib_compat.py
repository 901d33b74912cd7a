"""Importing NASLib: each fix applies under its condition, and not otherwise."""

import collections
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from naslib_diffusion.plugins.naslib import compat, stand_ins

from naslib_diffusion import cli

UTILS = """
import numpy as np

def count_parameters_in_MB(model):
    return np.sum(np.prod(v.size()) for name, v in model.named_parameters()) / 1e6
"""


@pytest.fixture
def pretend(tmp_path, monkeypatch):
    """Return a function that makes a package `naslib` of given sources, the only one there is."""
    for name in [name for name in sys.modules if name.split(".")[0] == "naslib"]:
        monkeypatch.delitem(sys.modules, name)
    home = tmp_path / "checkout"
    monkeypatch.setattr(sys, "path", [p for p in sys.path if not (_is_checkout(p))])
    monkeypatch.setenv(compat.HOME, str(home))
    monkeypatch.setattr(compat, "applied", [])

    def make(optimizers="", utils=UTILS):
        sources = {"": "", "utils": utils, "optimizers": optimizers}
        for name, text in sources.items():
            folder = home / "naslib" / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").write_text(text)

    yield make
    for name in [name for name in sys.modules if name.split(".")[0] == "naslib"]:
        del sys.modules[name]


def _is_checkout(folder):
    from pathlib import Path

    return (Path(folder) / "naslib" / "__init__.py").is_file()


def test_a_healthy_naslib_is_left_alone(pretend, monkeypatch):
    monkeypatch.setattr(compat, "generator_sums_fail", lambda: False)
    pretend("value = 1")
    names, finders = dir(collections), list(sys.meta_path)
    assert compat.load("naslib.optimizers").value == 1
    assert compat.applied == []
    assert dir(collections) == names
    assert sys.meta_path == finders
    assert not hasattr(sys.modules["naslib.utils"].count_parameters_in_MB, "replaced")


def test_names_that_left_collections_are_lent_for_the_import(pretend):
    pretend("from collections import Iterable\nfrom collections import Mapping")
    module = compat.load("naslib.optimizers")
    assert module.Iterable is collections.abc.Iterable
    assert not hasattr(collections, "Iterable")
    assert "names of collections.abc in collections" in compat.applied


def test_parameters_are_counted_where_numpy_sums_no_generator(pretend, monkeypatch):
    monkeypatch.setattr(compat, "generator_sums_fail", lambda: True)
    pretend("from naslib.utils import count_parameters_in_MB")
    count = compat.load("naslib.optimizers").count_parameters_in_MB
    assert count(torch.nn.Linear(999, 1000)) == 1.0


def test_the_condition_on_numpy_is_what_numpy_does():
    try:
        np.sum(n for n in (1, 2))
        fails = False
    except TypeError:
        fails = True
    except DeprecationWarning:
        fails = False
    assert compat.generator_sums_fail() == fails


def test_a_missing_optional_library_is_stood_in_for(pretend, monkeypatch):
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(stand_ins, "_finder", stand_ins._Finder())
    monkeypatch.setattr(stand_ins, "OPTIONAL_LIBRARIES", frozenset({"no_such_boosting"}))
    monkeypatch.setattr(compat, "OPTIONAL_LIBRARIES", frozenset({"no_such_boosting"}))
    pretend("from no_such_boosting.trees import Tree\nclass Forest(Tree): pass")
    module = compat.load("naslib.optimizers")
    with pytest.raises(ModuleNotFoundError, match="needs the library 'no_such_boosting'"):
        module.Forest()
    for name in [name for name in sys.modules if name.startswith("no_such_boosting")]:
        del sys.modules[name]


def test_other_missing_libraries_are_reported_as_they_are(pretend):
    pretend("import no_such_library_at_all")
    with pytest.raises(ModuleNotFoundError, match="no_such_library_at_all"):
        compat.load("naslib.optimizers")


def test_a_missing_torchvision_is_told_with_how_to_get_it(pretend):
    pretend("raise ModuleNotFoundError('none', name='torchvision')")
    with pytest.raises(compat.NaslibMissing, match="pip install torchvision torch==") as caught:
        compat.load("naslib.optimizers")
    assert "\n" not in str(caught.value)


def test_an_error_that_a_fix_does_not_cure_is_raised(pretend):
    pretend("raise ImportError(\"cannot import name 'X' from 'collections'\")")
    with pytest.raises(ImportError, match="cannot import name 'X'"):
        compat.load("naslib.optimizers")
    assert not hasattr(collections, "Iterable")


def test_vision_operators_are_declared_for_their_error_only(pretend, monkeypatch):
    declared = []
    monkeypatch.setattr(compat, "FIXES", compat.FIXES)
    (fix,) = [fix for fix in compat.FIXES if "torchvision" in fix.name]
    assert fix.explains(RuntimeError("operator torchvision::nms does not exist"))
    assert not fix.explains(RuntimeError("out of memory"))
    assert not fix.explains(ImportError("operator torchvision::nms does not exist"))

    class Library:
        def __init__(self, namespace, kind):
            declared.append((namespace, kind))

        def define(self, schema):
            declared.append(schema.split("(")[0])

    monkeypatch.setattr(torch.library, "Library", Library)
    monkeypatch.setattr(compat, "_libraries", [])
    fix.apply(RuntimeError())
    assert declared == [("torchvision", "FRAGMENT"), "nms", "qnms"]


def test_without_naslib_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(compat, "available", lambda: False)
    monkeypatch.delitem(sys.modules, "naslib.optimizers", raising=False)
    with pytest.raises(compat.NaslibMissing, match=r"git clone https://github.com/automl/NASLib"):
        compat.load("naslib.optimizers")


def test_a_wrong_home_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(compat.HOME, str(tmp_path))
    with pytest.raises(compat.NaslibMissing, match="NASLIB_HOME is"):
        compat._find()


def test_the_command_says_it_in_one_line(monkeypatch, tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text(
        "{seed: 0, optimizer: rs, search_space: nasbench201, dataset: cifar10, out_dir: r, "
        "search: {epochs: 1, checkpoint_freq: 1}}"
    )
    monkeypatch.setattr(compat, "available", lambda: False)
    monkeypatch.delitem(sys.modules, "naslib.utils", raising=False)
    assert cli._run(["naslib", "--quiet", "--config-file", str(config)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: this needs NASLib")
    assert compat.GET_NASLIB in line


def test_help_needs_no_naslib():
    result = CliRunner().invoke(cli.cli, ["naslib", "--help"])
    assert result.exit_code == 0
    assert "guided_bananas" in result.output
