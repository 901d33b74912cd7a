"""Optuna's sampler on the engine's search."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import torch
from naslib_diffusion.plugins.optuna import sharing
from naslib_diffusion.plugins.optuna.history import read_history
from naslib_diffusion.plugins.optuna.inference import complete, rivals, seen
from naslib_diffusion.plugins.optuna.parts import Distributions, Parts
from naslib_diffusion.plugins.optuna.proposal import Options, Priors, earlier, propose
from naslib_diffusion.plugins.optuna.shortlist import shortlisted
from naslib_diffusion.plugins.optuna.spaces import (
    Codec,
    ProductCodec,
    Rule,
    allows,
    obstacle,
    with_equality,
)
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from naslib_diffusion.runtime.threads import on_cpu
from naslib_diffusion.search.model import ACQUISITIONS
from naslib_diffusion.spaces.equality import EQUALITIES, Equality
from naslib_diffusion.spaces.pinned import unpinned
from naslib_diffusion.surrogates import Surrogate, make_surrogate
from naslib_diffusion.surrogates.prior import Prior

_logger = logging.getLogger(__name__)

VARIES = "its range changes, or it is not in every trial and `group` is False"
"""Why a parameter is left to the independent sampler that could be searched jointly."""

CLAIMS = 10
"""How often a proposal is drawn anew because another worker claimed it at the same moment."""

REDRAWS = 200
"""How often a group is drawn anew, at most, because all groups together repeat a trial."""


class DiffusionNAGSampler(BaseSampler):
    """Proposes trials by diffusion that a Gaussian process guides, and never the same trial twice.

    Works for any search space: categorical, integer and float parameters are searched jointly.
    The sampler keeps nothing of its own: each proposal is computed from the study's storage, so
    any number of processes can work on one study. See docs/optuna.md.

    Example:
        study = optuna.create_study(sampler=DiffusionNAGSampler(seed=0))
        study.optimize(objective, n_trials=100)

    Args:
        seed: determines all random decisions.
        n_startup_trials: how many random, distinct proposals are made before the surrogate is
            trusted. The default is 10, and 0 with a `prior` or with `prior_studies` that say
            something of the parameters.
        space: an architecture space, such as `NASBench201()`, whose kernel and canonical forms are
            used. Trials then suggest its parameters by their documented names (see `suggest`).
            It may also be a dictionary of distributions by name, where the search space is known
            beforehand.
        independent_sampler: samples the parameters outside the joint search space. The default is
            a random sampler.
        warn_independent_sampling: whether to log when that sampler is used after the start.
        group: whether to split conditional search spaces into groups of parameters that occur
            together, as `TPESampler`'s argument of that name does. Otherwise parameters that are
            not in every trial are left to the independent sampler.
        is_valid: maps the parameters of a proposal, a dictionary, to whether it is allowed. Banned
            combinations are never proposed once the search space is known, which without `space`
            takes one finished trial.
        allow_repeats: whether a point may be proposed again, which pays for very noisy objectives.
        acquisition: "logei", "ucb" or "its" (independent Thompson sampling). With two or three
            objectives, "logei" is the expected hypervolume improvement.
        candidates: architectures generated for each proposal; the best of them is proposed.
        prior_studies: earlier studies over the same space, with as many objectives, whose trials
            (as they are now) tell where good ones are to be expected.
        prior: what is expected of the objective before it is measured, where there is a single
            objective and `space` is an architecture space, such as `ZeroCost(space)`: one `Prior`
            or several. It says what is good, whatever the direction of the study.
        device: where to compute, such as "cuda". The default is the CPU.
        predictions_as_user_attrs: whether to keep the predictions of proposals as user attributes,
            which optuna-dashboard shows, instead of system attributes, which it does not show.
        distinct: "isomorphic" counts architectures of `space` of equal canonical form as one,
            which is right for accuracy. "exact" tells them apart, which is right for latency and
            size. The default is the former for one objective and the latter for several.

    Raises:
        ValueError: if an argument has a value that is not allowed.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        n_startup_trials: int | None = None,
        space: Any = None,
        independent_sampler: BaseSampler | None = None,
        warn_independent_sampling: bool = True,
        group: bool = True,
        is_valid: Rule | None = None,
        allow_repeats: bool = False,
        acquisition: str = "logei",
        candidates: int = 16,
        prior_studies: Sequence[Study] = (),
        prior: Prior | Sequence[Prior] = (),
        device: torch.device | str | None = None,
        predictions_as_user_attrs: bool = False,
        distinct: Equality | None = None,
    ) -> None:
        self._told = tuple(prior) if isinstance(prior, Sequence) else (prior,)
        if n_startup_trials is not None:
            _check_whole("n_startup_trials", n_startup_trials, 0)
        _check_whole("candidates", candidates, 1)
        if is_valid is not None and not callable(is_valid):
            raise ValueError(f"is_valid must be a function of the parameters, not {is_valid!r}")
        if acquisition not in ACQUISITIONS:
            known = ", ".join(map(repr, ACQUISITIONS))
            raise ValueError(f"acquisition must be one of {known}, not {acquisition!r}")
        self._rng = LazyRandomState(seed)
        self._independent_sampler = independent_sampler or RandomSampler(seed=seed)
        self._earlier = [(s.directions, s.get_trials(deepcopy=True)) for s in prior_studies]
        trials = [trial for _, own in self._earlier for trial in own]
        if distinct is not None and distinct not in EQUALITIES:
            raise ValueError(f"distinct must be 'isomorphic' or 'exact', not {distinct!r}")
        self._distinct = distinct
        self._parts = Parts(space, is_valid, group, trials)
        if self._told and (self._parts.told is None or isinstance(self._parts.told, ProductCodec)):
            raise ValueError("prior needs space, the architecture space that it tells of")
        self._warn_independent_sampling = warn_independent_sampling
        self._is_valid = is_valid
        self._visible = predictions_as_user_attrs
        self._options = Options(
            n_startup_trials, acquisition, candidates, allow_repeats, torch.device(device or "cpu")
        )
        self._priors: dict[str, Priors] = {}
        self._surrogates: dict[str, Surrogate] = {}

    def reseed_rng(self) -> None:
        """Draw new random states, as workers that share a sampler's copy need."""
        self._rng.rng.seed()
        self._independent_sampler.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Distributions:
        """Return the parameters that are searched jointly."""
        found: Distributions = {}
        for part in self._parts(sharing.whole(study)):
            found.update(part)
        return found

    @on_cpu
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Distributions
    ) -> dict[str, Any]:
        """Propose values for the joint search space, and claim them for this trial."""
        study = sharing.whole(study)
        given = sharing.fixed_values(study, trial)
        parts = self._parts(study)
        shares = [{n: d for n, d in p.items() if n in search_space or n in given} for p in parts]
        inferred = {name for share in shares for name in share}
        shares.append({n: d for n, d in search_space.items() if n not in inferred})  # handed in
        shares = [share for share in shares if not share.keys() <= given.keys()]
        params: dict[str, Any] = {}
        for share in shares:
            codec = self._parts.codec(study, share, params, _part(given, share))
            params.update(self._propose(study, trial, codec, params))
        if len(shares) > 1:
            self._refresh(study, trial, shares, params, given)
        return _part(params, search_space)

    @on_cpu
    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return the planned value of a parameter, or leave it to the independent sampler."""
        study = sharing.whole(study)
        planned = self._parts.planned(study, param_name)
        if planned:
            plan = sharing.claimed(trial)
            if param_name not in plan:
                given = _part(sharing.fixed_values(study, trial), planned)
                codec = self._parts.codec(study, planned, {}, given)
                plan = {**plan, **self._propose(study, trial, codec, plan)}
            if _contains(param_distribution, plan[param_name]):
                return plan[param_name]
        elif self._warn_independent_sampling:
            self._warn(study, trial, param_name, param_distribution)
        return self._independent_sampler.sample_independent(
            study, trial, param_name, param_distribution
        )

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Tell the independent sampler that a trial begins."""
        self._independent_sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Note a failure that the worker survived, and tell the independent sampler."""
        if state == TrialState.FAIL:
            sharing.note_failure(study, trial)
        self._independent_sampler.after_trial(study, trial, state, values)

    def _propose(
        self, study: Study, trial: FrozenTrial, codec: Codec[Any], others: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Propose an architecture that no other trial has, and claim it.

        A worker claims, then looks for the same claim by another. Whoever looks last sees it, and
        proposes anew; at random if the other was first or the next is taken too, lest they come to
        the same again and again.
        """
        options = self._options
        directions = study.directions
        finer: Equality = "isomorphic" if len(directions) == 1 else "exact"
        codec = with_equality(codec, self._distinct or finer)
        params: dict[str, Any] = {}
        known = [t for _, own in self._earlier for t in own]
        for attempt in range(CLAIMS):
            trials = study.get_trials(deepcopy=False)
            codec = shortlisted(codec, [*known, *trials], directions, self._seed)
            history = read_history(trials, codec, directions, trial.number)
            priors = self._priors_for(codec, len(directions))
            surrogate = self._surrogate_for(codec)
            proposal = propose(
                history, codec, directions, options, priors, self._seed(), surrogate
            )
            params = codec.write(proposal.arch)
            sharing.claim(study, trial, {**others, **params})
            others_too = rivals(study, trial, codec, proposal.arch, trials)
            if proposal.repeats or not others_too:
                break
            if attempt or min(others_too) < trial.number:
                options = replace(options, startup=sys.maxsize)
        if proposal.acquisition is not None:
            sharing.record(study, trial, proposal.acquisition, proposal.predictions, self._visible)
        return params

    def _refresh(
        self,
        study: Study,
        trial: FrozenTrial,
        shares: Sequence[Distributions],
        params: dict[str, Any],
        given: Mapping[str, Any],
    ) -> None:
        """Draw groups anew where all together repeat a trial or break the user's rule.

        Each group was proposed on its own, and may repeat while others vary. Groups that the
        trial does not have are left as they are.
        """
        trials = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        for _ in range(REDRAWS):
            repeated = [] if self._options.repeats else seen(trials, params)
            if not repeated and (self._is_valid is None or allows(self._is_valid, params)):
                break
            own = [share for share in shares if not share.keys().isdisjoint(repeated)] or shares
            share = own[self._rng.rng.randint(len(own))]
            others = {n: params[n] for n in params if n not in share}
            codec = self._parts.codec(study, share, others, _part(given, share))
            (arch,) = codec.space.sample(1, torch.Generator().manual_seed(self._seed()))
            params.update(codec.write(arch))
        sharing.claim(study, trial, params)

    def _priors_for(self, codec: Codec[Any], count: int) -> Priors:
        """Return for each objective what the user and earlier studies say."""
        studies = self._studies_for(codec, count)
        if count > 1 or isinstance(codec, ProductCodec) or not self._told:
            return studies
        return ((*self._told, *(prior for own in studies for prior in own)),)

    def _studies_for(self, codec: Codec[Any], count: int) -> Priors:
        """Return what earlier studies say; kept, since their surrogates take time to fit."""
        if not self._earlier:
            return ()
        key = repr((codec.distributions, count))  # which also decide what counts as distinct
        new = key not in self._priors
        if new or (isinstance(codec, ProductCodec) and codec.shortlists):  # others each time
            self._priors[key] = earlier(self._earlier, codec, count, warn=new)
        return self._priors[key]

    def _surrogate_for(self, codec: Codec[Any]) -> Surrogate | None:
        """Return what is to be copied; kept, since it remembers what it learned from which data.

        Proposals do not depend on that, only how soon they come.
        """
        if isinstance(codec, ProductCodec) and codec.shortlists:  # another space each time
            return None
        key = repr((codec.distributions, codec.space.size))
        if key not in self._surrogates:
            made = make_surrogate("gp", unpinned(codec.space))
            self._surrogates = {key: made, **self._surrogates}
        return self._surrogates[key]

    def _seed(self) -> int:
        return int(self._rng.rng.randint(2**31 - 1))

    def _warn(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> None:
        if len(complete(study.get_trials(deepcopy=False))) >= self._options.initial(known=False):
            _logger.warning(
                "The parameter %r of trial %d is sampled independently by %s, since %s. "
                "`warn_independent_sampling=False` turns this message off.",
                name,
                trial.number,
                type(self._independent_sampler).__name__,
                obstacle(distribution) or VARIES,
            )


def _check_whole(name: str, value: Any, least: int) -> None:
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number, at least {least}, not {value!r}")


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a value, as users see it, is one of the distribution's."""
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except ValueError:  # of another kind
        return False


def _part(params: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of these names."""
    return {name: value for name, value in params.items() if name in names}
