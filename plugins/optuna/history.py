"""A study's trials as the history of a search."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

from naslib_diffusion.plugins.optuna.inference import complete
from naslib_diffusion.plugins.optuna.sharing import claimed, lost
from naslib_diffusion.plugins.optuna.spaces import Codec
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from naslib_diffusion.spaces.base import A, Space
from naslib_diffusion.spaces.equality import structure
from naslib_diffusion.spaces.pinned import unpinned

FATAL = 2
"""So many workers that died at one point are no accident."""

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)

Row = tuple[float, ...]


@dataclass
class History(Generic[A]):
    """Trials in the terms of the engine.

    Attributes:
        archs: of the finished trials that have all parameters, oldest first.
        values: their objectives, all to be maximised; NaN if failed.
        constraints: their constraints, in the same order for all; NaN if unknown.
        pending: architectures of trials that run or wait.
        partial: whether trials have other parameters too, so that equal architectures differ.
    """

    archs: list[A] = field(default_factory=list)
    values: list[Row] = field(default_factory=list)
    constraints: list[Row] = field(default_factory=list)
    pending: list[A] = field(default_factory=list)
    partial: bool = False


def read_history(
    trials: Sequence[FrozenTrial],
    codec: Codec[A],
    directions: Sequence[StudyDirection],
    own: int | None = None,
    *,
    elsewhere: bool = False,
) -> History[A]:
    """Read all trials but number `own`, of this study or of one that was made `elsewhere`.

    The latter count even where this study must not propose them: beside a list of architectures,
    beyond a budget, or against a rule. They tell of their neighbours all the same.

    A pruned trial counts with its last intermediate value, but never as better than the median of
    the complete ones, since values of early steps are not final ones. A failed trial counts as a
    failure, unless its architecture was or is evaluated again; where it failed before it had all
    parameters, the proposal has the others. One that was lost with its worker does not count, but
    two are a failure. An infinitely good value counts as the best finite one, an infinitely bad
    one as a failure.
    """
    history: History[A] = History()
    names = set(codec.distributions)
    signs = [1.0 if d == StudyDirection.MAXIMIZE else -1.0 for d in directions]
    cap, middle = _best(trials, signs), _median(trials, signs)
    always = _always(trials)
    rows: list[tuple[A, Row | None, dict[str, float]]] = []
    deaths: dict[Any, int] = {}
    space = structure(unpinned(codec.space)) if elsewhere else unpinned(codec.space)
    for trial in trials:
        if trial.number == own:
            continue
        finished = trial.state in FINISHED
        arch = _read(codec, space, _params(trial, names, always) if finished else claimed(trial))
        if arch is None:
            continue
        if not finished:
            history.pending.append(arch)
            continue
        extra = trial.params.keys() - names
        if lost(trial):
            key = codec.space.canonical(arch)
            deaths[key] = deaths.get(key, 0) + 1
            if deaths[key] < FATAL:
                continue
        history.partial |= any(not trial.distributions[name].single() for name in extra)
        values = _values(trial, signs, cap, middle)
        rows.append((arch, values, {} if values is None else trial.constraints))
    canonical = codec.space.canonical
    again: set[Any] = set()
    if any(values is None for _, values, _ in rows):
        again = {canonical(arch) for arch, values, _ in rows if values is not None}
        again.update(map(canonical, history.pending))
    limits: list[dict[str, float]] = []
    for arch, values, limit in rows:
        if values is not None or canonical(arch) not in again:
            history.archs.append(arch)
            history.values.append(values or (math.nan,) * len(signs))
            limits.append(limit)
    history.constraints = _aligned(limits)
    return history


def _read(codec: Codec[A], space: Space[A], params: dict[str, Any]) -> A | None:
    """Return a trial's architecture; None if it has none of the space."""
    try:
        arch = codec.read(params)
    except (KeyError, ValueError, TypeError):
        return None
    return arch if space.is_valid(arch) else None


def _always(trials: Sequence[FrozenTrial]) -> set[str]:
    """Return the parameters of all complete trials: no choice decides whether they occur."""
    own = [set(trial.params) for trial in complete(trials)]
    return set.intersection(*own) if own else set()


def _params(trial: FrozenTrial, names: set[str], always: set[str]) -> dict[str, Any]:
    """Return what a finished trial had, and what it would have had if it had not failed before."""
    missing = names - trial.params.keys()
    early = trial.state == TrialState.FAIL and bool(missing) and missing <= always
    params: dict[str, Any] = claimed(trial) if early else trial.params
    return params


def _values(
    trial: FrozenTrial, signs: Sequence[float], cap: Row, middle: float | None
) -> Row | None:
    """Return the objectives of a finished trial, to be maximised; None if it failed."""
    if trial.state == TrialState.COMPLETE:
        signed = [sign * value for sign, value in zip(signs, trial.values, strict=True)]
        values = tuple(map(min, signed, cap))
        return values if all(map(math.isfinite, values)) else None
    if trial.state == TrialState.FAIL or not trial.intermediate_values:
        return None
    last = signs[0] * trial.intermediate_values[max(trial.intermediate_values)]
    if not math.isfinite(last):
        return None
    return (last if middle is None else min(last, middle),)


def _best(trials: Sequence[FrozenTrial], signs: Sequence[float]) -> Row:
    """Return for each objective the best finite value, to be maximised; 0 if there is none."""
    columns = zip(*(t.values for t in trials if t.state == TrialState.COMPLETE), strict=True)
    finite = [
        [sign * value for value in column if math.isfinite(value)]
        for sign, column in zip(signs, columns, strict=False)
    ]
    return tuple(max(column, default=0.0) for column in finite) or (0.0,) * len(signs)


def _median(trials: Sequence[FrozenTrial], signs: Sequence[float]) -> float | None:
    """Return the median of the complete trials where some are pruned, which have one objective."""
    if not any(trial.state == TrialState.PRUNED for trial in trials):
        return None
    complete = [signs[0] * t.values[0] for t in trials if t.state == TrialState.COMPLETE]
    return statistics.median(complete) if complete else None


def _aligned(limits: Sequence[dict[str, float]]) -> list[Row]:
    """Return constraints by name as columns; NaN where a trial does not tell."""
    names = sorted({name for limit in limits for name in limit})
    return [tuple(limit.get(name, math.nan) for name in names) for limit in limits]
