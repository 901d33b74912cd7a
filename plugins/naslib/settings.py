"""The keys that the optimizers read under `search:` in a NASLib config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from naslib_diffusion.search.strategies import GuidedStrategy
from naslib_diffusion.spaces import Space
from naslib_diffusion.spaces.equality import EQUALITIES, Equality, under
from naslib_diffusion.surrogates import SURROGATES
from naslib_diffusion.surrogates.prior import Prior
from naslib_diffusion.transfer.priors import load_priors

NO_PRIOR = "none"
AUTOMATIC = -1
"""Guidance scale that the engine chooses; a number, since overrides keep a key's type."""

ACQUISITIONS = {"ei": "logei", "ucb": "ucb", "its": "its"}
"""Acquisition functions by NASLib's names, and the engine's."""


class ConfigError(ValueError):
    """A key of the config is missing or has a value that is not allowed; says which are."""


@dataclass(frozen=True)
class Settings:
    """Keys under `search:`, all optional; flat, since NASLib's overrides know one dot only.

    Attributes:
        num_init: random architectures before the surrogate is trusted.
        acq_fn_type: "ei", "ucb" or "its".
        num_candidates: architectures generated for each query, of which the best is taken.
        surrogate: "gp" or "ensemble".
        diffusion_steps: denoising steps of the generator.
        guidance_scale: strength of guidance in units of one over the spread of the acquisition
            function; -1 starts sharp and relaxes when architectures repeat.
        polish: candidates that are improved by a short discrete ascent; 0 for none.
        prior: "zero-cost", what untrained networks tell; "tasks", what other tasks do; "default",
            both; earlier searches or tables of the same space, "FILE.csv:COLUMN", of which the
            order counts; several separated by commas; "none" for none. With one, `num_init` may
            be 0.
        distinct: "isomorphic" never queries two isomorphic architectures; "exact" may, for
            objectives in which they differ.
    """

    num_init: int = 10
    acq_fn_type: str = "ei"
    num_candidates: int = 64
    surrogate: str = "gp"
    diffusion_steps: int = 10
    guidance_scale: float = AUTOMATIC
    polish: int = 8
    prior: str = NO_PRIOR
    distinct: Equality = "isomorphic"

    def __post_init__(self) -> None:
        for name, least in (
            ("num_init", 1 if self.prior == NO_PRIOR else 0),
            ("num_candidates", 1),
            ("diffusion_steps", 1),
            ("polish", 0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(
                    f"search.{name} must be an integer of at least {least}, not {value!r}"
                )
        _among("acq_fn_type", self.acq_fn_type, ACQUISITIONS)
        _among("surrogate", self.surrogate, SURROGATES)
        _among("distinct", self.distinct, EQUALITIES)
        if self.guidance_scale != AUTOMATIC and not _is_scale(self.guidance_scale):
            raise ConfigError(
                f"search.guidance_scale must be {AUTOMATIC} (automatic) or not negative, "
                f"not {self.guidance_scale!r}"
            )

    @staticmethod
    def read(search: Any) -> Settings:
        """Read the keys of a config's section `search`; those it lacks have their defaults.

        Raises:
            ConfigError: if a value is not allowed.
        """
        names = Settings.__dataclass_fields__
        return Settings(**{name: getattr(search, name) for name in names if hasattr(search, name)})

    def priors(self, space: Space[Any]) -> tuple[Prior, ...]:
        """Load what `prior` names.

        Raises:
            ConfigError: if one cannot be read; says why.
        """
        if self.prior == NO_PRIOR:
            return ()
        names = [name.strip() for name in self.prior.split(",")]
        try:
            return load_priors(names, under(space, self.distinct))
        except ValueError as error:
            raise ConfigError(f"search.prior: {error}") from None

    @property
    def strategy(self) -> GuidedStrategy:
        """Guided generation with these settings."""
        scale = None if self.guidance_scale == AUTOMATIC else float(self.guidance_scale)
        return GuidedStrategy(self.polish, self.diffusion_steps, scale)


def _among(name: str, value: object, allowed: Any) -> None:
    if value not in allowed:
        raise ConfigError(f"search.{name} must be one of {', '.join(allowed)}; not {value!r}")


def _is_scale(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
