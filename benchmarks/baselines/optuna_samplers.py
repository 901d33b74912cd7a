"""Samplers of Optuna, with one categorical parameter for each choice of the space."""

from __future__ import annotations

import warnings
from typing import Any

import optuna
from naslib_diffusion.benchmarks.baselines.decisions import Decisions
from optuna.distributions import CategoricalDistribution

from naslib_diffusion.spaces import Space
from naslib_diffusion.spaces.base import A

SAMPLERS = {"TPE": optuna.samplers.TPESampler, "GP": optuna.samplers.GPSampler}


class OptunaSampler(Decisions[A]):  # type: ignore[misc]
    """A study that is asked and told.

    Args:
        space: where to search.
        seed: of the sampler.
        sampler: a key of `SAMPLERS`.
        options: of the sampler.

    Raises:
        UnfitSpace: if the choices of the space are not independent.
    """

    def __init__(self, space: Space[A], seed: int, *, sampler: str, **options: Any) -> None:
        super().__init__(space)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        self._study = optuna.create_study(
            direction="maximize", sampler=SAMPLERS[sampler](seed=seed, **options)
        )
        self._choices = {
            f"choice{i}": CategoricalDistribution(range(size)) for i, size in enumerate(self.sizes)
        }
        self._asked: optuna.Trial | None = None

    def ask(self) -> A:
        """Let the sampler suggest."""
        self._asked = self._study.ask(dict(self._choices))
        arch: A = self.build([self._asked.params[name] for name in self._choices])
        return arch

    def tell(self, arch: A, value: float) -> None:
        """Finish the trial, or add one that was never asked for."""
        if self._asked is not None:
            self._study.tell(self._asked, value)
            self._asked = None
            return
        params = dict(zip(self._choices, self.read(arch), strict=True))
        trial = optuna.trial.create_trial(
            params=params, distributions=dict(self._choices), value=value
        )
        self._study.add_trial(trial)
