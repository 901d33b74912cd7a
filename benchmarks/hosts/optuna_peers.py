"""HEBO and SMAC3 as Optuna samplers, so that they run on the same objectives; extras."""

from __future__ import annotations

import importlib
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

Space = Mapping[str, BaseDistribution]
Params = dict[str, Any]


class Engine(Protocol):
    """An ask/tell optimiser; choices are given as their numbers."""

    def ask(self) -> Params:
        """Return what to evaluate next."""

    def tell(self, params: Params, value: float) -> None:
        """Record a value, to be minimised."""


class Hebo:
    """HEBO (Cowen-Rivers et al., JAIR 2022), its own settings but for the start."""

    def __init__(self, space: Space, seed: int, startup: int) -> None:
        design: Any = importlib.import_module("hebo.design_space.design_space")
        module: Any = importlib.import_module("hebo.optimizers.hebo")
        self._space = design.DesignSpace().parse([_hebo(n, d) for n, d in space.items()])
        np.random.seed(seed)
        self._own = module.HEBO(self._space, rand_sample=startup, scramble_seed=seed)

    def ask(self) -> Params:
        """Return what to evaluate next."""
        row = self._own.suggest(n_suggestions=1).iloc[0]
        return dict(row.items())

    def tell(self, params: Params, value: float) -> None:
        """Record a value."""
        pandas: Any = importlib.import_module("pandas")
        self._own.observe(pandas.DataFrame([params]), np.array([[value]]))


class Smac:
    """SMAC3 (Lindauer et al., JMLR 2022), its facade for hyperparameters (a random forest)."""

    def __init__(self, space: Space, seed: int, startup: int) -> None:
        configs: Any = importlib.import_module("ConfigSpace")
        smac: Any = importlib.import_module("smac")
        self._runs: Any = importlib.import_module("smac.runhistory")
        self._space = configs.ConfigurationSpace(seed=seed)
        self._space.add([_smac(configs, n, d) for n, d in space.items()])
        self._configuration = configs.Configuration
        self._folder = tempfile.TemporaryDirectory()
        facade = smac.HyperparameterOptimizationFacade
        scenario = smac.Scenario(
            self._space, deterministic=True, n_trials=10**6, seed=seed,
            output_directory=Path(self._folder.name),
        )  # fmt: skip
        self._own = facade(
            scenario,
            lambda config, seed=0: 0.0,
            initial_design=facade.get_initial_design(scenario, n_configs=startup),
            overwrite=True,
            logging_level=50,
        )
        self._asked: Any = None

    def ask(self) -> Params:
        """Return what to evaluate next."""
        self._asked = self._own.ask()
        return dict(self._asked.config)

    def tell(self, params: Params, value: float) -> None:
        """Record a value."""
        asked, self._asked = self._asked, None
        if asked is None or dict(asked.config) != params:
            asked = self._runs.TrialInfo(self._configuration(self._space, params), seed=0)
        self._own.tell(asked, self._runs.TrialValue(cost=value))


ENGINES: dict[str, Callable[[Space, int, int], Engine]] = {"hebo": Hebo, "smac": Smac}


class EngineSampler(BaseSampler):
    """Leaves joint sampling to an engine; the first trial, before the space is known, is random.

    Failures are told as the worst value seen.
    """

    def __init__(self, name: str, seed: int, startup: int) -> None:
        self._make, self._seed, self._startup = ENGINES[name], seed, startup
        self._random = RandomSampler(seed=seed)
        self._common = IntersectionSearchSpace()
        self._engine: Engine | None = None
        self._told = 0

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what all finished trials have."""
        common: dict[str, BaseDistribution] = self._common.calculate(study)
        return common

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Params:
        """Ask the engine, after it was told what is new."""
        if not search_space:
            return {}
        if self._engine is None:
            self._engine = self._make(search_space, self._seed, self._startup)
        done = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
        for other in done[self._told :]:
            params = {n: _number(d, other.params[n]) for n, d in search_space.items()}
            self._engine.tell(params, _value(other, done))
        self._told = len(done)
        asked = self._engine.ask()
        return {name: _external(d, asked[name]) for name, d in search_space.items()}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw at random."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)


def _hebo(name: str, distribution: BaseDistribution) -> Params:
    if isinstance(distribution, CategoricalDistribution):
        numbers = list(range(len(distribution.choices)))
        return {"name": name, "type": "cat", "categories": numbers}
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    whole, log = isinstance(distribution, IntDistribution), distribution.log
    kind = ("pow_int" if log else "int") if whole else ("pow" if log else "num")
    return {"name": name, "type": kind, "lb": distribution.low, "ub": distribution.high}


def _smac(configs: Any, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return configs.Categorical(name, list(range(len(distribution.choices))))
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    kind = configs.Integer if isinstance(distribution, IntDistribution) else configs.Float
    return kind(name, (distribution.low, distribution.high), log=distribution.log)


def _number(distribution: BaseDistribution, value: Any) -> Any:
    categorical = isinstance(distribution, CategoricalDistribution)
    return int(distribution.to_internal_repr(value)) if categorical else value


def _external(distribution: BaseDistribution, value: Any) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.to_external_repr(int(value))
    if isinstance(distribution, IntDistribution):
        return int(value)
    assert isinstance(distribution, FloatDistribution)
    return min(max(float(value), distribution.low), distribution.high)


def _value(trial: FrozenTrial, done: Sequence[FrozenTrial]) -> float:
    if trial.state == TrialState.COMPLETE and math.isfinite(trial.values[0]):
        return float(trial.values[0])
    finite = [t.values[0] for t in done if t.state == TrialState.COMPLETE]
    return max(filter(math.isfinite, finite), default=0.0)
