"""The settings of a run: all that decides what it does."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from typing import Any, get_args

from naslib_diffusion.search.strategies import STRATEGIES
from naslib_diffusion.spaces.equality import EQUALITIES, Equality
from naslib_diffusion.surrogates import SURROGATES
from naslib_diffusion.tables import Direction, Missing

LATER = {
    "arch_column": None,
    "distinct": "isomorphic",
    "missing": "fail",
    "prior_fingerprint": "",
    "within": None,
}
"""Settings that runs of earlier versions do not have, and what they did."""

CHOICES: dict[str, tuple[str, ...]] = {
    "missing": get_args(Missing),
    "direction": get_args(Direction),
    "distinct": EQUALITIES,
    "strategy": tuple(STRATEGIES),
    "surrogate": SURROGATES,
}
LEAST = {"budget": 1, "seeds": 1, "seed": 0, "initial": 0, "batch": 1}
MOST = 2**31 - 1
"""What a stored setting may be: names, and whole numbers from `LEAST` to `MOST`."""


@dataclass(frozen=True)
class Settings:
    """What the user chose, by the names of the command line's options.

    Attributes:
        prior: what is believed before the first evaluation: "default", "zero-cost" or files, one a
            line.
        within: what architectures may cost, bounds such as "params<=60M", one a line.
        distinct: what counts as one architecture, "isomorphic" or "exact"; None only until the
            table has decided it.
        fingerprint: of the table that was searched, so that a resumed run meets the same one.
        prior_fingerprint: of the files of the prior, likewise.
    """

    benchmark: str | None = None
    api_file: str | None = None
    space: str | None = None
    table: str | None = None
    objective: str | None = None
    arch_column: str | None = None
    missing: Missing = "fail"
    direction: Direction = "maximize"
    budget: int = 50
    seeds: int = 3
    seed: int = 0
    initial: int = 10
    batch: int = 1
    strategy: str = "guided"
    surrogate: str = "gp"
    noisy: bool = False
    distinct: Equality | None = "isomorphic"
    prior: str | None = None
    within: str | None = None
    fingerprint: str = ""
    prior_fingerprint: str = ""

    @property
    def all_seeds(self) -> range:
        """The seeds of the run, in order."""
        return range(self.seed, self.seed + self.seeds)

    @property
    def priors(self) -> list[str]:
        """The names of the priors."""
        return [] if self.prior is None else self.prior.split("\n")

    @property
    def bounds(self) -> list[str]:
        """What architectures may cost."""
        return [] if self.within is None else self.within.split("\n")

    @property
    def seeds_agree(self) -> bool:
        """Whether nothing that counts is random: a prior proposes, and the table has no noise."""
        return (
            self.prior is not None
            and self.initial == 0
            and not self.noisy
            and self.strategy in ("guided", "enumerate", "auto")
        )

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(data: Any) -> Settings:
        """Inverse of `to_json`; raises ValueError if `data` is something else."""
        types = {field.name: type(field.default) for field in dataclasses.fields(Settings)}
        if isinstance(data, dict):
            data = {**LATER, **data}
        if not isinstance(data, dict) or set(data) != set(types):
            raise ValueError("not the settings of a run")
        for name, kind in types.items():
            allowed = (str, type(None)) if kind is type(None) else (kind,)
            if type(data[name]) not in allowed:
                raise ValueError(f"{name} cannot be {data[name]!r}")
        _check_values(data)
        return Settings(**data)

    def changes(self, other: Settings) -> list[str]:
        """Describe where `other` differs, one setting each."""
        pairs = zip(self.to_json().items(), other.to_json().values(), strict=True)
        return [
            f"--{name.replace('_', '-')} was {old}, is {new}"
            for (name, old), new in pairs
            if old != new
        ]

    def command(self, out: str) -> str:
        """Return the command line that makes this run."""
        words = ["naslib-diffusion", "search"]
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("fingerprint") or value is None or value is False:
                continue
            option = f"--{field.name.replace('_', '-')}"
            several = field.name in ("prior", "within")
            values = value.split("\n") if several else [str(value)]
            words += [option] if value is True else [w for v in values for w in (option, v)]
        return shlex.join([*words, "--out", out])


def _check_values(data: dict[str, Any]) -> None:
    """Raise ValueError for a name or a number that no command line gives."""
    for name, choices in CHOICES.items():
        if data[name] not in choices:
            known = ", ".join(choices)
            raise ValueError(f"{name} cannot be {data[name]!r}; it is one of: {known}")
    for name, least in LEAST.items():
        if not least <= data[name] <= MOST:
            raise ValueError(f"{name} is {data[name]}; it is {least} to {MOST}")
