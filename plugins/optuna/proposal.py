"""One proposal of the engine, from a study's history."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from naslib_diffusion.plugins.optuna.history import History, read_history
from naslib_diffusion.plugins.optuna.spaces import Codec
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from naslib_diffusion.optimize.pool import SpaceExhausted
from naslib_diffusion.search.pareto import ParetoSearch
from naslib_diffusion.search.scalarisation import chebyshev, random_weights
from naslib_diffusion.search.search import Search
from naslib_diffusion.search.trials import Prediction
from naslib_diffusion.surrogates import Surrogate, gaussian_process, make_surrogate
from naslib_diffusion.surrogates.multiobjective import MAX_OBJECTIVES
from naslib_diffusion.surrogates.prior import EarlierSearch, Prior

_logger = logging.getLogger(__name__)

STARTUP = 10
"""Random proposals before the surrogate is trusted, where nothing is known beforehand."""

SILENT = (
    "prior_studies[%d] says nothing of %s: no trial of it has a value and all of these "
    "parameters, within the ranges and among the choices that they have here."
)

Priors = tuple[tuple[Prior, ...], ...]
"""For each objective what earlier studies say of it."""


@dataclass(frozen=True)
class Options:
    """What all proposals of a sampler have in common.

    Attributes:
        startup: random proposals before the surrogate is trusted; None for `STARTUP` of them, and
            for none where something is known beforehand.
        acquisition: the acquisition function.
        candidates: architectures generated for each proposal.
        repeats: whether a point may be proposed again.
        device: where to compute.
    """

    startup: int | None
    acquisition: str
    candidates: int
    repeats: bool
    device: torch.device

    def initial(self, *, known: bool) -> int:
        """Return how many proposals are random, where something is known beforehand or nothing."""
        if self.startup is None:
            return 0 if known else STARTUP
        return max(self.startup, 0 if known else 1)


@dataclass(frozen=True)
class Proposal:
    """An architecture, and what the surrogates thought of it.

    Attributes:
        arch: the architecture.
        acquisition: its score; None if it was drawn at random.
        predictions: by objective, in the units and directions of the study; may be empty.
        repeats: whether it may have been proposed before.
    """

    arch: Any
    acquisition: float | None
    predictions: tuple[Prediction, ...]
    repeats: bool


def propose(
    history: History[Any],
    codec: Codec[Any],
    directions: Sequence[StudyDirection],
    options: Options,
    priors: Priors,
    seed: int,
    surrogate: Surrogate | None = None,
) -> Proposal:
    """Rebuild the search and ask it; once the space is exhausted, repeats are all there is.

    A copy of `surrogate` is fitted, which may remember what copies learned from the same data.
    """
    allowed = options.repeats or history.partial
    for repeats in (allowed, True):
        model = copy.copy(surrogate or make_surrogate("gp", codec.space))
        search = _search(history, codec, len(directions), options, priors, seed, repeats, model)
        search.expect(history.pending)
        try:
            (arch,) = search.ask()
        except SpaceExhausted:
            _logger.info("All %s points were proposed; from now on they repeat.", codec.space.size)
            continue
        score, predictions = _predict(search, arch, directions)
        return Proposal(arch, score, predictions, repeats and not options.repeats)
    (arch,) = codec.space.sample(1, torch.Generator().manual_seed(seed))
    return Proposal(arch, None, (), True)


def earlier(
    studies: Sequence[tuple[Sequence[StudyDirection], Sequence[FrozenTrial]]],
    codec: Codec[Any],
    count: int,
    *,
    warn: bool,
) -> Priors:
    """Fit a surrogate to each objective of each earlier study that has trials of this space.

    Args:
        studies: their directions and trials.
        codec: of the space.
        count: of objectives.
        warn: whether to log which studies have none.

    Raises:
        ValueError: if a study has another number of objectives.
    """
    found: list[list[Prior]] = [[] for _ in range(count)]
    for number, (directions, trials) in enumerate(studies):
        if len(directions) != count:
            raise ValueError(
                f"a prior study has {len(directions)} objectives, this study has {count}"
            )
        history = read_history(trials, codec, directions, elsewhere=True)
        silent = True
        for i, column in enumerate(zip(*history.values, strict=True)):
            if any(map(math.isfinite, column)):
                surrogate = gaussian_process(codec.space)
                found[i].append(EarlierSearch(surrogate, codec.space, history.archs, column))
                silent = False
        if warn and silent:
            _logger.warning(SILENT, number, ", ".join(codec.distributions))
    return tuple(map(tuple, found)) if any(found) else ()


def _search(
    history: History[Any],
    codec: Codec[Any],
    count: int,
    options: Options,
    priors: Priors,
    seed: int,
    repeats: bool,
    surrogate: Surrogate,
) -> Search[Any]:
    """Return the search that goes on from the history."""
    settings: dict[str, Any] = {
        "surrogate": surrogate,
        "seed": seed,
        "initial": options.initial(known=bool(priors)),
        "candidates": options.candidates,
        "device": options.device,
        "repeats": repeats,
        "distinct": "isomorphic",  # as the codec's space has it
    }
    if 2 <= count <= MAX_OBJECTIVES and options.acquisition == "logei":
        pareto = ParetoSearch(codec.space, ["maximize"] * count, priors=priors, **settings)
        pareto.tell(history.archs, history.values, history.constraints)
        return pareto
    search: Search[Any] = Search(
        codec.space,
        acquisition=options.acquisition,
        prior=priors[0] if count == 1 and priors else (),
        **settings,
    )
    search.tell(history.archs, _scalars(history, count, seed), history.constraints)
    return search


def _scalars(history: History[Any], count: int, seed: int) -> list[float]:
    """Return one value for each trial; several objectives are scalarised at random."""
    table = torch.tensor(history.values, dtype=torch.double).view(-1, count)
    if count == 1:
        return [float(value) for value in table[:, 0]]
    weights = random_weights(count, torch.Generator().manual_seed(seed))
    scalars: list[float] = chebyshev(table, weights).tolist()
    return scalars


def _predict(
    search: Search[Any], arch: Any, directions: Sequence[StudyDirection]
) -> tuple[float | None, tuple[Prediction, ...]]:
    """Return the acquisition value and the predictions of objectives, in the study's units."""
    if isinstance(search, ParetoSearch):
        predictions = search.predict_each(arch)
    else:
        prediction = search.predict(arch)
        predictions = () if prediction is None else (prediction,)
    if not predictions:
        return None, ()
    score = predictions[0].acquisition
    if len(predictions) != len(directions):  # of a scalarisation
        return score, ()
    signs = [1.0 if d == StudyDirection.MAXIMIZE else -1.0 for d in directions]
    pairs = zip(signs, predictions, strict=True)
    return score, tuple(Prediction(score, sign * p.mean, p.deviation) for sign, p in pairs)
