"""What trials tell each other, through the storage: claims on points, and what was predicted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.samplers import PartialFixedSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from naslib_diffusion.search import Prediction

CLAIM = "diffusion_nag:params"
PREDICTION = "diffusion_nag"
FAILED = "diffusion_nag:failed"
MAX_LENGTH = 2045
"""Longest value of a system attribute that a relational storage takes."""


def claim(study: Study, trial: FrozenTrial, params: Mapping[str, Any]) -> None:
    """Tell other workers which parameters a running trial is going to have."""
    try:
        text = json.dumps(params)
    except TypeError:  # choices that are objects: only the present process knows them
        return
    for i, start in enumerate(range(0, len(text), MAX_LENGTH)):
        part = text[start : start + MAX_LENGTH]
        study._storage.set_trial_system_attr(trial._trial_id, f"{CLAIM}:{i}", part)


def claimed(trial: FrozenTrial) -> dict[str, Any]:
    """Return what a trial that is not finished has, will have or claims; later words win."""
    attributes = trial.system_attrs
    parts, i = [], 0
    while f"{CLAIM}:{i}" in attributes:
        parts.append(attributes[f"{CLAIM}:{i}"])
        i += 1
    # a shorter claim leaves parts of the longer one before it behind itself
    params: dict[str, Any] = json.JSONDecoder().raw_decode("".join(parts))[0] if parts else {}
    return {**params, **attributes.get("fixed_params", {}), **trial.params}


def whole(study: Study) -> Study:
    """Return the study with all trials: pruners with brackets show those of one bracket only."""
    found: Study = getattr(study, "_study", study)
    return found


def note_failure(study: Study, trial: FrozenTrial) -> None:
    """Keep that a trial failed under the eyes of its worker."""
    study._storage.set_trial_system_attr(trial._trial_id, FAILED, True)


def lost(trial: FrozenTrial) -> bool:
    """Whether a trial failed because its worker died: whether its point is bad is not known."""
    own = f"{CLAIM}:0" in trial.system_attrs
    return own and trial.state == TrialState.FAIL and FAILED not in trial.system_attrs


def fixed_values(study: Study, trial: FrozenTrial) -> dict[str, Any]:
    """Return values that are given: by wrappers around the sampler, or since they are enqueued."""
    given: dict[str, Any] = {}
    sampler: Any = study.sampler
    while isinstance(sampler, PartialFixedSampler):
        given = {**sampler._fixed_params, **given}
        sampler = sampler._base_sampler
    return {**given, **trial.system_attrs.get("fixed_params", {})}


def record(
    study: Study,
    trial: FrozenTrial,
    acquisition: float,
    predictions: Sequence[Prediction],
    visible: bool,
) -> None:
    """Keep what the surrogate predicted of a proposal, for dashboards and reports.

    A number for each if the study has one objective, else lists. As system attributes, or where
    they are to be visible in optuna-dashboard, as user attributes.
    """
    values: dict[str, Any] = {"acquisition": acquisition}
    if predictions:
        means = [p.mean for p in predictions]
        deviations = [p.deviation for p in predictions]
        one = len(means) == 1
        values["predicted_mean"] = means[0] if one else means
        values["predicted_sd"] = deviations[0] if one else deviations
    storage = study._storage
    keep = storage.set_trial_user_attr if visible else storage.set_trial_system_attr
    for key, value in values.items():
        short = list(map(_short, value)) if isinstance(value, list) else _short(value)
        keep(trial._trial_id, f"{PREDICTION}:{key}", short)


def _short(value: float) -> float:
    """Round to the digits that a reader wants to see."""
    return float(f"{value:.6g}")
