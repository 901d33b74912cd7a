"""Optuna's sampler on the engine's search."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import torch
from naslib_diffusion.plugins.optuna import sharing
from naslib_diffusion.plugins.optuna.history import History, read_history, scalars
from naslib_diffusion.plugins.optuna.spaces import (
    Codec,
    ProductCodec,
    Rule,
    codec_of,
    groups,
    representable,
)
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from naslib_diffusion.generator import SpaceExhausted
from naslib_diffusion.scalarisation import random_weights
from naslib_diffusion.search import Search

_logger = logging.getLogger(__name__)

CLAIMS = 5
"""How often a proposal is drawn anew because another worker claimed it at the same moment."""


class DiffusionNAGSampler(BaseSampler):
    """Proposes trials by diffusion guided by a Gaussian process; never the same one twice.

    Works for any search space: categorical, integer and float parameters are searched jointly.
    The sampler keeps nothing of its own: each proposal is computed from the study's storage, so
    any number of processes can work on one study. See docs/optuna.md.

    Example:
        study = optuna.create_study(sampler=DiffusionNAGSampler(seed=0))
        study.optimize(objective, n_trials=100)

    Args:
        seed: of all random decisions.
        n_startup_trials: random proposals, distinct too, before the surrogate is trusted.
        space: an architecture space whose kernel and canonical forms are to be used, such as
            `NASBench201()`, whose parameters trials then suggest by their documented names (see
            `suggest`); or distributions by name, where the search space is known beforehand.
        independent_sampler: of parameters outside the joint search space; random unless told.
        warn_independent_sampling: whether to log when it is used after the start.
        group: split conditional search spaces into groups that occur together, as `TPESampler`'s
            argument of that name does, instead of leaving out what is not in every trial.
        is_valid: maps the parameters of a proposal, a dictionary, to whether it is allowed. Banned
            combinations are never proposed once the search space is known, which without `space`
            takes one finished trial.
        allow_repeats: whether a point may be proposed again, for very noisy objectives.
        acquisition: "logei", "ucb" or "its" (independent Thompson sampling).
        candidates: architectures generated for each proposal; the best of them is proposed.
        device: where to compute, such as "cuda"; the CPU unless told.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        n_startup_trials: int = 10,
        space: Any = None,
        independent_sampler: BaseSampler | None = None,
        warn_independent_sampling: bool = True,
        group: bool = False,
        is_valid: Rule | None = None,
        allow_repeats: bool = False,
        acquisition: str = "logei",
        candidates: int = 32,
        device: torch.device | str | None = None,
    ) -> None:
        if n_startup_trials < 0:
            raise ValueError(f"n_startup_trials must not be negative, not {n_startup_trials}")
        if candidates < 1:
            raise ValueError(f"candidates must be at least 1, not {candidates}")
        self._rng = LazyRandomState(seed)
        self._independent_sampler = independent_sampler or RandomSampler(seed=seed)
        self._n_startup_trials = n_startup_trials
        self._codec: Codec[Any] | None = None if space is None else codec_of(space, is_valid)
        self._fixed_space = isinstance(space, Mapping)
        self._warn_independent_sampling = warn_independent_sampling
        self._group = group
        self._is_valid = is_valid
        self._allow_repeats = allow_repeats
        self._acquisition = acquisition
        self._candidates = candidates
        self._device = torch.device(device or "cpu")
        self._intersection: tuple[str, IntersectionSearchSpace] | None = None

    def reseed_rng(self) -> None:
        """Draw new random states, as workers that share a sampler's copy need."""
        self._rng.rng.seed()
        self._independent_sampler.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters that are searched jointly."""
        found: dict[str, BaseDistribution] = {}
        for part in self._parts(study):
            found.update(part)
        return found

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Propose values for the joint search space, and claim them for this trial."""
        params: dict[str, Any] = {}
        left = dict(search_space)
        for part in self._parts(study):
            own = {name: left.pop(name) for name in part if name in left}
            if own:
                params.update(self._propose(study, trial, self._codec_for(study, own), params))
        if left:  # a space that was handed in, not inferred
            params.update(self._propose(study, trial, ProductCodec(left, self._is_valid), params))
        return params

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return a planned architecture's value, or leave it to the independent sampler."""
        if self._codec is not None and param_name in self._codec.distributions:
            plan = sharing.claimed(trial)
            if param_name not in plan:
                plan = self._propose(study, trial, self._codec, {})
            if param_distribution._contains(param_distribution.to_internal_repr(plan[param_name])):
                return plan[param_name]
        elif self._warn_independent_sampling:
            self._warn(study, trial, param_name)
        return self._independent_sampler.sample_independent(
            study, trial, param_name, param_distribution
        )

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Tell the independent sampler."""
        self._independent_sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Tell the independent sampler."""
        self._independent_sampler.after_trial(study, trial, state, values)

    def _parts(self, study: Study) -> list[dict[str, BaseDistribution]]:
        """Return the parameters that are searched jointly, in groups."""
        parts = []
        structural: dict[str, BaseDistribution] = {}
        if self._codec is not None:
            structural = self._adopted(study, self._codec)
            parts.append(structural)
            if self._fixed_space:
                return parts
        names = self._codec.distributions if self._codec is not None else {}
        for part in self._inferred(study):
            own = {
                name: distribution
                for name, distribution in part.items()
                if name not in names and not distribution.single() and representable(distribution)
            }
            parts.append(own)
        return [part for part in parts if part]

    def _inferred(self, study: Study) -> list[dict[str, BaseDistribution]]:
        """Return what finished trials have in common, or the groups that occur together."""
        if self._group:
            parts: list[dict[str, BaseDistribution]]
            parts = groups(t.distributions for t in _complete(study))
            return parts
        if self._intersection is None or self._intersection[0] != study.study_name:
            self._intersection = study.study_name, IntersectionSearchSpace()
        common: dict[str, BaseDistribution] = self._intersection[1].calculate(study)
        return [common]

    def _adopted(self, study: Study, codec: Codec[Any]) -> dict[str, BaseDistribution]:
        """Return the distributions by which this study spells architectures; empty if unknown.

        Optuna demands equal choices in equal order, and trials may have an order of their own.
        """
        if self._fixed_space:
            return {n: d for n, d in codec.distributions.items() if not d.single()}
        for trial in reversed(study.get_trials(deepcopy=False)):
            if codec.distributions.keys() <= trial.distributions.keys():
                return {name: trial.distributions[name] for name in codec.distributions}
        return {}

    def _codec_for(self, study: Study, part: dict[str, BaseDistribution]) -> Codec[Any]:
        if self._codec is not None and part.keys() == self._codec.distributions.keys():
            return self._codec
        return ProductCodec(part, self._is_valid, self._constants(study))

    def _constants(self, study: Study) -> dict[str, Any]:
        """Return parameters with one value only, for the user's rule to see."""
        if self._is_valid is None:
            return {}
        parts = self._inferred(study)
        fixed = {name: d for part in parts for name, d in part.items() if d.single()}
        return {name: d.to_external_repr(_only(d)) for name, d in fixed.items()}

    def _propose(
        self, study: Study, trial: FrozenTrial, codec: Codec[Any], others: dict[str, Any]
    ) -> dict[str, Any]:
        """Propose an architecture that no other trial has, and claim it.

        A worker claims, then looks for the same claim by another. Whoever looks last sees it.
        """
        params: dict[str, Any] = {}
        weights = self._weights(len(study.directions))
        for _ in range(CLAIMS):
            trials = study.get_trials(deepcopy=False)
            history = read_history(trials, codec, study.directions, trial.number)
            with torch.device("cpu"):  # not the user's default device
                search, arch = self._ask(
                    history, codec, scalars(history, study.directions, weights)
                )
            params = codec.write(arch)
            sharing.claim(study, trial, {**others, **params})
            if history.partial or not _rivals(study, trial, codec, arch, trials):
                break
        sharing.record(study, trial, search.predict(arch))
        return params

    def _ask(
        self, history: History[Any], codec: Codec[Any], values: list[float]
    ) -> tuple[Search[Any], Any]:
        """Rebuild the search and ask it; once the space is exhausted, repeats are all there is."""
        for repeats in (self._allow_repeats or history.partial, True):
            search = self._search(codec, repeats)
            history.tell(search, values)
            try:
                return search, search.ask()[0]
            except SpaceExhausted:
                _logger.info(
                    "All %d points were proposed; from now on they repeat.", codec.space.size
                )
        (arch,) = codec.space.sample(1, torch.Generator().manual_seed(self._seed()))
        return search, arch

    def _search(self, codec: Codec[Any], repeats: bool) -> Search[Any]:
        return Search(
            codec.space,
            seed=self._seed(),
            initial=max(self._n_startup_trials, 1),
            acquisition=self._acquisition,
            candidates=self._candidates,
            device=self._device,
            repeats=repeats,
        )

    def _seed(self) -> int:
        return int(self._rng.rng.randint(2**31 - 1))

    def _weights(self, count: int) -> torch.Tensor:
        return random_weights(count, torch.Generator().manual_seed(self._seed()))

    def _warn(self, study: Study, trial: FrozenTrial, name: str) -> None:
        if len(_complete(study)) >= max(self._n_startup_trials, 1):
            _logger.warning(
                "The parameter %r of trial %d is sampled independently by %s, since it is not in "
                "every trial or changes its range; `group=True` searches conditional parameters "
                "in groups, `warn_independent_sampling=False` turns this message off.",
                name,
                trial.number,
                type(self._independent_sampler).__name__,
            )


def _complete(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _only(distribution: BaseDistribution) -> float:
    """Return the only value of a distribution, in internal representation."""
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return 0.0
    low: float = distribution.low  # type: ignore[attr-defined]
    return low


def _rivals(
    study: Study,
    trial: FrozenTrial,
    codec: Codec[Any],
    arch: Any,
    before: Sequence[FrozenTrial],
) -> bool:
    """Whether another trial got the same architecture since `before` was read."""
    finished = {t.number for t in before if t.state.is_finished()}
    key = codec.space.canonical(arch)
    for other in study.get_trials(deepcopy=False):
        if other.number == trial.number or other.number in finished:
            continue
        params = other.params if other.state.is_finished() else sharing.claimed(other)
        try:
            if codec.space.canonical(codec.read(params)) == key:
                return True
        except (KeyError, ValueError, TypeError):
            continue
    return False
