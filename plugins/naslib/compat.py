"""Importing NASLib on a current Python: each fix, and the condition under which it applies.

NASLib is a source checkout of 2023 that says it needs Python 3.7 to 3.9. Where it imports as it
is, nothing is changed. Otherwise the import's own error names the fix; the half-imported modules
are dropped and the import is tried again.
"""

from __future__ import annotations

import collections
import collections.abc
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from naslib_diffusion.plugins.naslib.stand_ins import OPTIONAL_LIBRARIES, stand_in_for

HOME = "NASLIB_HOME"
"""Environment variable with the folder of a NASLib checkout, if it is not on `sys.path`."""

GET_TORCHVISION = (
    """pip install torchvision torch==$(python -c "import torch; print(torch.__version__)")"""
)
"""One command for a user who has no torchvision: the one that goes with the torch there is."""

GET_NASLIB = (
    "git clone https://github.com/automl/NASLib && export NASLIB_HOME=$PWD/NASLib "
    f'&& pip install "naslib-diffusion[naslib]" && {GET_TORCHVISION}'
)
"""One command for a user who has no NASLib."""

_libraries: list[torch.library.Library] = []  # operators live as long as their library object


class NaslibMissing(ImportError):  # noqa: N818 - it reads as what is wrong
    """NASLib is not installed; the message says how to get it."""


@dataclass(frozen=True)
class Fix:
    """A repair of the interpreter's state that lets NASLib import.

    Attributes:
        name: for the record of what was applied.
        explains: whether this is the fix for an error raised by the import.
        apply: makes the repair; gets the error.
        undo: takes it back once NASLib is imported, where that is possible.
        stale: packages to be imported afresh afterwards, beside NASLib.
    """

    name: str
    explains: Callable[[BaseException], bool]
    apply: Callable[[BaseException], None]
    undo: Callable[[], None] = lambda: None
    stale: tuple[str, ...] = ()


def _abc_names() -> list[str]:
    """Return the names that Python 3.10 moved out of `collections` for good."""
    return [name for name in collections.abc.__all__ if not hasattr(collections, name)]


_aliases: list[str] = []


def _alias_collections(_: BaseException) -> None:
    for name in _abc_names():
        setattr(collections, name, getattr(collections.abc, name))
        _aliases.append(name)


def _remove_aliases() -> None:
    while _aliases:
        delattr(collections, _aliases.pop())


def _declare_vision_operators(_: BaseException) -> None:
    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _libraries.append(library)


def _names_optional_library(error: BaseException) -> bool:
    return (
        isinstance(error, ModuleNotFoundError)
        and (error.name or "").split(".")[0] in OPTIONAL_LIBRARIES
    )


FIXES = (
    Fix(
        "names of collections.abc in collections",
        lambda e: isinstance(e, ImportError) and "from 'collections'" in str(e),
        _alias_collections,
        _remove_aliases,
    ),
    Fix(
        "torchvision without its binary",
        lambda e: isinstance(e, RuntimeError) and "torchvision::nms does not exist" in str(e),
        _declare_vision_operators,
        stale=("torchvision",),
    ),
    Fix(
        "a library that only some predictors need",
        _names_optional_library,
        lambda e: stand_in_for((getattr(e, "name", None) or "").split(".")[0]),
    ),
)

applied: list[str] = []
"""Names of the fixes that were needed in this process, in order."""


def available() -> bool:
    """Whether NASLib can be found, installed or through NASLIB_HOME; does not import it."""
    return "naslib" in sys.modules or _find()


def load(name: str) -> Any:
    """Import a module of NASLib, with the fixes that it turns out to need.

    Raises:
        NaslibMissing: if there is no NASLib, or no torchvision; says how to get it.
    """
    if name in sys.modules:
        return sys.modules[name]
    if not available():
        raise NaslibMissing(f"this needs NASLib, which is not on PyPI; to get it: {GET_NASLIB}")
    before = set(sys.modules)
    tried: list[Fix] = []
    try:
        while True:
            try:
                module = _import(name)
                break
            except Exception as error:
                fix = next((f for f in FIXES if f.explains(error)), None)
                if getattr(error, "name", None) == "torchvision":
                    raise NaslibMissing(f"NASLib needs torchvision: {GET_TORCHVISION}") from None
                if fix is None or _hopeless(fix, error, tried):
                    raise
                tried.append(fix)
                fix.apply(error)
                _forget(before, ("naslib", *fix.stale))
    finally:
        for fix in tried:
            fix.undo()
    applied.extend(fix.name for fix in tried)
    return module


def _import(name: str) -> ModuleType:
    """Import a module, with the repairs that go between NASLib's own imports."""
    utils = importlib.import_module("naslib.utils")
    if generator_sums_fail():
        _replace_parameter_count(utils)
    return importlib.import_module(name)


def generator_sums_fail() -> bool:
    """Whether `np.sum` of a generator raises, as since numpy 2.4."""
    try:
        np.sum(number for number in (1,))  # type: ignore[call-overload]
    except TypeError:
        return True
    except DeprecationWarning:  # where warnings are errors
        return False
    return False


def _replace_parameter_count(utils: ModuleType) -> None:
    """Give NASLib a count that does not sum a generator, before its optimizers import it."""
    if getattr(utils.count_parameters_in_MB, "replaced", False):
        return

    def count_parameters_in_MB(model: torch.nn.Module) -> float:  # noqa: N802 - NASLib's name
        names = (p.numel() for n, p in model.named_parameters() if "auxiliary" not in n)
        return sum(names) / 1e6

    count_parameters_in_MB.replaced = True  # type: ignore[attr-defined]
    utils.count_parameters_in_MB = count_parameters_in_MB  # type: ignore[attr-defined]
    applied.append("count of parameters for numpy >= 2.4")


def _find() -> bool:
    """Look for NASLib; puts NASLIB_HOME on the path if that is where it is."""
    home = os.environ.get(HOME)
    if home:
        folder = Path(home).expanduser().absolute()
        if not (folder / "naslib" / "__init__.py").is_file():
            raise NaslibMissing(f"{HOME} is {home}, which has no folder naslib/ of a checkout")
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    return importlib.util.find_spec("naslib") is not None


def _hopeless(fix: Fix, error: BaseException, tried: list[Fix]) -> bool:
    """Whether the fix was tried for this very error already."""
    if fix.explains is _names_optional_library:
        return (getattr(error, "name", None) or "").split(".")[0] in sys.modules
    return fix in tried


def _forget(before: set[str], packages: tuple[str, ...]) -> None:
    """Drop what the failed import left behind, so that it is imported afresh."""
    for name in set(sys.modules) - before:
        if name.split(".")[0] in packages:
            del sys.modules[name]
