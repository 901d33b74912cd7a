"""NASLib's optimizers and the ones here, by the name that a config gives."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from naslib_diffusion.plugins.naslib import compat
from naslib_diffusion.plugins.naslib.optimizer import DiffusionNAG
from naslib_diffusion.plugins.naslib.settings import ConfigError

DISCRETE = {
    "rs": "RandomSearch",
    "re": "RegularizedEvolution",
    "ls": "LocalSearch",
    "bananas": "Bananas",
    "npenas": "Npenas",
}
"""NASLib's classes that query a benchmark."""

GRADIENT = {
    "darts": "DARTSOptimizer",
    "drnas": "DrNASOptimizer",
    "gdas": "GDASOptimizer",
}
"""NASLib's classes that train a supernet and its architecture by gradients."""

ONE_SHOT = ("rsws", *GRADIENT)
"""All that train a supernet; "rsws" is random search with weight sharing (RSPS)."""

OURS = ("diffusionnag", "guided_bananas", "guided_npenas")

NAMES = (*OURS, *DISCRETE, *ONE_SHOT)


class Optimizers(Mapping[str, Any]):
    """From a config's `optimizer` to an instance, which is made when it is looked up."""

    def __init__(self, config: Any, zc_api: Any = None) -> None:
        self._config, self._zc_api = config, zc_api

    def __getitem__(self, name: str) -> Any:
        """Make an optimizer.

        Raises:
            ConfigError: if there is none of that name, or the config lacks a key that it needs.
        """
        kind = optimizer_class(name)
        if name in GRADIENT:
            return kind(**self._config.search)
        extra = {"zc_api": self._zc_api} if "zc_api" in inspect.signature(kind).parameters else {}
        try:
            return kind(self._config, **extra)
        except AttributeError as error:  # of fvcore's config nodes
            raise ConfigError(
                f"optimizer {name!r} needs a key that is missing: search.{error}; "
                "plugins/naslib/configs/bananas.yaml has all keys of NASLib's optimizers"
            ) from None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(NAMES)

    def __len__(self) -> int:
        """Count the names."""
        return len(NAMES)


def supported_optimizers(config: Any, zc_api: Any = None) -> Optimizers:
    """Return the dictionary in which a runner script of NASLib looks its optimizer up.

    The line `supported_optimizers = {...}` of NASLib's own runners becomes
    `supported_optimizers = supported_optimizers(config)`. Then the config may name any of these
    optimizers.
    """
    return Optimizers(config, zc_api)


def optimizer_class(name: str) -> Any:
    """Return the class of an optimizer; imports NASLib.

    Raises:
        ConfigError: if there is none of that name; lists the names.
    """
    if name not in NAMES:
        raise ConfigError(f"unknown optimizer {name!r}; known: {', '.join(NAMES)}")
    naslib = compat.load("naslib.optimizers")
    if name == "diffusionnag":
        compat.load("naslib.optimizers.core.metaclasses").MetaOptimizer.register(DiffusionNAG)
        return DiffusionNAG
    if name in OURS:
        from naslib_diffusion.plugins.naslib import guided

        return {"guided_bananas": guided.GuidedBananas, "guided_npenas": guided.GuidedNpenas}[name]
    if name == "rsws":
        from naslib_diffusion.plugins.naslib.oneshot import RandomSearchWithSharing

        return RandomSearchWithSharing
    return getattr(naslib, {**DISCRETE, **GRADIENT}[name])
