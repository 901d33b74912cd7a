"""What a study's trials tell: the search space, who else works on it, what was tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from naslib_diffusion.plugins.optuna import sharing
from naslib_diffusion.plugins.optuna.spaces import Codec, representable
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

Distributions = dict[str, BaseDistribution]


class Common:
    """The parameters that all finished trials of a study share; reads new trials only."""

    def __init__(self) -> None:
        self._known: tuple[str, int, IntersectionSearchSpace] | None = None

    def __call__(self, study: Study) -> Distributions:
        """Return them, in the order of their names."""
        count = len(study.get_trials(deepcopy=False))
        name, before, space = self._known or ("", 0, IntersectionSearchSpace())
        if name != study.study_name or count < before:  # another study, or a new one of that name
            space = IntersectionSearchSpace()
        self._known = study.study_name, count, space
        common: Distributions = space.calculate(study)
        return common


def complete(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that ended with a value."""
    return [trial for trial in trials if trial.state == TrialState.COMPLETE]


def groups(trials: Iterable[Mapping[str, BaseDistribution]]) -> list[Distributions]:
    """Split parameters into the coarsest groups of which each trial has all or nothing.

    A parameter whose range changed counts with its latest one.
    """
    latest: Distributions = {}
    parts: list[set[str]] = []
    for distributions in trials:
        latest.update(distributions)
        left = set(distributions)
        cut = []
        for part in parts:
            cut += [part & left, part - left]
            left -= part
        parts = [part for part in (*cut, left) if part]
    return sorted(({name: latest[name] for name in sorted(part)} for part in parts), key=list)


def joint(part: Distributions, names: Mapping[str, Any]) -> Distributions:
    """Return what of a part is to be searched: not `names`, nor what has one value only."""
    return {
        name: distribution
        for name, distribution in part.items()
        if name not in names and not distribution.single() and representable(distribution)
    }


def constants(parts: Sequence[Distributions]) -> dict[str, Any]:
    """Return parameters with one value only, for the user's rule to see."""
    fixed = {name: d for part in parts for name, d in part.items() if d.single()}
    return {name: d.to_external_repr(_only(d)) for name, d in fixed.items()}


def rivals(
    study: Study,
    trial: FrozenTrial,
    codec: Codec[Any],
    arch: Any,
    before: Sequence[FrozenTrial],
) -> list[int]:
    """Return the numbers of trials that got the same architecture since `before` was read."""
    found = []
    finished = {t.number for t in before if t.state.is_finished()}
    key = codec.space.canonical(arch)
    for other in study.get_trials(deepcopy=False):
        if other.number == trial.number or other.number in finished:
            continue
        params = other.params if other.state.is_finished() else sharing.claimed(other)
        try:
            if codec.space.canonical(codec.read(params)) == key:
                found.append(other.number)
        except (KeyError, ValueError, TypeError):
            continue
    return found


def seen(trials: Iterable[FrozenTrial], params: Mapping[str, Any]) -> list[str]:
    """Return the parameters of a trial that has no other values than `params`; none if none has.

    What the trial leaves out does not matter.
    """
    for trial in trials:
        if sharing.lost(trial):
            continue
        own = trial.params if trial.state.is_finished() else sharing.claimed(trial)
        varied = [
            name
            for name in own
            if name not in trial.distributions or not trial.distributions[name].single()
        ]
        if varied and all(_equal(name, own, params) for name in varied):
            return varied
    return []


def _equal(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both have the same value of a parameter; NaN is the same as NaN."""
    if name not in other:
        return False
    a, b = one[name], other[name]
    return bool(a == b or (a != a and b != b))  # noqa: PLR0124 - NaN differs from itself


def _only(distribution: BaseDistribution) -> float:
    """Return the only value of a distribution, in internal representation."""
    if isinstance(distribution, CategoricalDistribution):
        return 0.0
    low: float = distribution.low  # type: ignore[attr-defined]
    return low
