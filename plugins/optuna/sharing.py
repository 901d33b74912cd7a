"""What trials tell each other, through the storage: claims on points, and what was predicted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial

from naslib_diffusion.search import Prediction

CLAIM = "diffusion_nag:params"
PREDICTION = "diffusion_nag"
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
