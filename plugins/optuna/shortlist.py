"""Parameters with very many choices: which of these count for one proposal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from naslib_diffusion.plugins.optuna.sharing import claimed
from naslib_diffusion.plugins.optuna.spaces import Codec, ProductCodec, stored
from numpy.random import RandomState
from optuna.distributions import CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

MANY = 200
"""Parameters with more choices are searched among a few of these at a time."""
TRIED = 100
"""How many of the choices that trials had count: those of the best, then of the latest trials."""
UNTRIED = 50
"""How many others count. All of these are alike to a model, so that a few stand for them."""


def shortlisted(
    codec: Codec[Any],
    trials: Sequence[FrozenTrial],
    directions: Sequence[StudyDirection],
    seed: Callable[[], int],
) -> Codec[Any]:
    """Return a codec of which no parameter has very many choices; as it is if none has.

    Args:
        codec: of the whole space.
        trials: of the study, and of earlier ones.
        directions: of the objectives.
        seed: is asked for a seed if there are choices to be drawn.
    """
    if not isinstance(codec, ProductCodec):
        return codec
    many = {
        name: distribution
        for name, distribution in codec.distributions.items()
        if isinstance(distribution, CategoricalDistribution) and len(distribution.choices) > MANY
    }
    if not many:
        return codec
    random = RandomState(seed())
    order = list(_best_first(trials, directions))
    lists = {name: _shortlist(codec, name, d, order, random) for name, d in many.items()}
    return codec.shortlisted(lists)


def _shortlist(
    codec: ProductCodec,
    name: str,
    distribution: CategoricalDistribution,
    trials: Sequence[FrozenTrial],
    random: RandomState,
) -> list[int]:
    """Return the indices of the choices that trials had, and of some that none had."""
    tried: dict[int, None] = dict.fromkeys(codec.pinned(name))
    for trial in trials:
        params = trial.params if trial.state.is_finished() else claimed(trial)
        if name in params:
            try:
                tried.setdefault(codec.internal(name, params[name]))
            except ValueError:  # of another range
                continue
    others = [i for i in dict.fromkeys(stored(distribution.choices)) if i not in tried]
    chosen = random.choice(len(others), min(UNTRIED, len(others)), replace=False)
    return sorted([*list(tried)[:TRIED], *(others[i] for i in chosen)])


def _best_first(
    trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]
) -> Iterator[FrozenTrial]:
    """Yield the best half of `TRIED` by each objective, then all trials, latest first."""
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    count = TRIED // (2 * len(directions))
    for i, direction in enumerate(directions):
        ranked = sorted(done, key=partial(_value, i))
        yield from ranked[:count] if direction == StudyDirection.MINIMIZE else ranked[-count:]
    yield from reversed(trials)


def _value(objective: int, trial: FrozenTrial) -> float:
    value: float = trial.values[objective]
    return value
