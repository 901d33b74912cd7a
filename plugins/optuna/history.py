"""A study's trials as the history of a search."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

import torch
from naslib_diffusion.plugins.optuna.sharing import claimed
from naslib_diffusion.plugins.optuna.spaces import Codec
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from naslib_diffusion.scalarisation import chebyshev
from naslib_diffusion.search import Search
from naslib_diffusion.spaces.base import A

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass
class History(Generic[A]):
    """Trials in the terms of the engine.

    Attributes:
        archs: of the finished trials that have all parameters, oldest first.
        values: their objectives; NaN if failed.
        constraints: their constraints; empty if unknown.
        pending: architectures of trials that run or wait.
        partial: whether trials have other parameters too, so that equal architectures differ.
    """

    archs: list[A] = field(default_factory=list)
    values: list[tuple[float, ...]] = field(default_factory=list)
    constraints: list[tuple[float, ...]] = field(default_factory=list)
    pending: list[A] = field(default_factory=list)
    partial: bool = False

    def tell(self, search: Search[A], scalars: Sequence[float]) -> None:
        """Tell a search, with one value for each trial."""
        search.tell(self.archs, scalars, self.constraints)
        search.expect(self.pending)


def read_history(
    trials: Sequence[FrozenTrial],
    codec: Codec[A],
    directions: Sequence[StudyDirection],
    own: int,
) -> History[A]:
    """Read all trials but number `own`.

    A pruned trial counts with its last intermediate value, but never as better than the median of
    the complete ones, since values of early steps are not final ones. A failed trial counts as a
    failure, unless its architecture was or is evaluated again.
    """
    history: History[A] = History()
    names = set(codec.distributions)
    middle = _median(trials)
    failures: list[A] = []
    for trial in trials:
        if trial.number == own:
            continue
        finished = trial.state in FINISHED
        arch = _read(codec, trial.params if finished else claimed(trial))
        if arch is None:
            continue
        if not finished:
            history.pending.append(arch)
            continue
        extra = trial.params.keys() - names
        history.partial |= any(not trial.distributions[name].single() for name in extra)
        values = _values(trial, directions, middle)
        if values is None:
            failures.append(arch)
            continue
        history.archs.append(arch)
        history.values.append(values)
        history.constraints.append(tuple(trial.constraints.values()))
    canonical = codec.space.canonical
    again = set(map(canonical, [*history.archs, *history.pending])) if failures else set()
    for arch in failures:
        if canonical(arch) not in again:
            history.archs.append(arch)
            history.values.append((math.nan,) * len(directions))
            history.constraints.append(())
    return history


def scalars(
    history: History[Any], directions: Sequence[StudyDirection], weights: torch.Tensor
) -> list[float]:
    """Return one value per trial, to be maximised; several objectives are scalarised."""
    signs = [1.0 if d == StudyDirection.MAXIMIZE else -1.0 for d in directions]
    table = torch.tensor(history.values, dtype=torch.double).view(-1, len(signs))
    table = table * torch.tensor(signs, dtype=torch.double)
    values: list[float] = (table[:, 0] if len(signs) == 1 else chebyshev(table, weights)).tolist()
    return values


def _read(codec: Codec[A], params: dict[str, Any]) -> A | None:
    """Return a trial's architecture; None if it has none of this space."""
    try:
        arch = codec.read(params)
    except (KeyError, ValueError, TypeError):
        return None
    return arch if codec.space.is_valid(arch) else None


def _values(
    trial: FrozenTrial, directions: Sequence[StudyDirection], middle: float | None
) -> tuple[float, ...] | None:
    """Return the objectives of a finished trial; None if it failed."""
    if trial.state == TrialState.COMPLETE:
        values: tuple[float, ...] = tuple(trial.values)
        return values if all(map(math.isfinite, values)) else None
    if trial.state == TrialState.FAIL or not trial.intermediate_values:
        return None
    last = trial.intermediate_values[max(trial.intermediate_values)]
    if not math.isfinite(last):
        return None
    worse = max if directions[0] == StudyDirection.MINIMIZE else min
    return (last if middle is None else worse(last, middle),)


def _median(trials: Sequence[FrozenTrial]) -> float | None:
    """Return the median of the complete trials where some are pruned, which have one objective."""
    if not any(trial.state == TrialState.PRUNED for trial in trials):
        return None
    complete = [t.values[0] for t in trials if t.state == TrialState.COMPLETE]
    return statistics.median(complete) if complete else None
