"""Stand-ins for libraries that NASLib imports always and only some of its parts use."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, ClassVar

OPTIONAL_LIBRARIES = frozenset(
    {
        "emcee",
        "grakel",
        "lightgbm",
        "nasbench_pytorch",
        "ngboost",
        "pybnn",
        "pyro",
        "pytorch_msssim",
        "seaborn",
        "skimage",
        "tensorwatch",
        "tornado",
        "transforms3d",
        "xgboost",
    }
)
"""By the name of their module. Each serves a few predictors, data sets or figures."""


class _Module(ModuleType):
    """A module with any attribute: classes to inherit from, that cannot be instantiated."""

    __path__: ClassVar[list[str]] = []  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        library = self.__name__.split(".")[0]

        def refuse(self: object, *args: object, **kwargs: object) -> None:
            raise ModuleNotFoundError(
                f"this part of NASLib needs the library {library!r}, which is not installed",
                name=library,
            )

        placeholder = type(name, (), {"__init__": refuse})
        setattr(self, name, placeholder)
        return placeholder


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the stand-ins; last in line, so that a real library goes before."""

    def __init__(self) -> None:
        self.libraries: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find any module of the libraries that were stood in for."""
        if fullname.split(".", maxsplit=1)[0] not in self.libraries:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Make an empty module."""
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to execute."""


_finder = _Finder()


def stand_in_for(library: str) -> None:
    """Let `import library` succeed; what is used of it says that it is missing."""
    if _finder not in sys.meta_path:
        sys.meta_path.append(_finder)
    _finder.libraries.add(library)
