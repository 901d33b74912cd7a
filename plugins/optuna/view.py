"""Stored studies, read for a report; nothing is written to their storages."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
from naslib_diffusion.plugins.optuna.inference import joint
from naslib_diffusion.plugins.optuna.sharing import PREDICTION
from naslib_diffusion.plugins.optuna.spaces import ProductCodec
from optuna.search_space import intersection_search_space
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from naslib_diffusion.report.study import Study, StudyTrial

JOURNAL, SQLITE = "journal:", "sqlite:///"
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def read_study(url: str, name: str | None = None) -> Study:
    """Read a study from its storage.

    Args:
        url: of the storage: a database as SQLAlchemy names it, or `journal:FILE`.
        name: of the study; may be left out if the storage holds one only.

    Raises:
        ValueError: if there is no such storage or study; in one line that says what there is.
    """
    storage = _open(url)
    try:
        names = optuna.get_all_study_names(storage)
        chosen = _chosen(url, name, names)
        return study_of(optuna.load_study(study_name=chosen, storage=storage))
    finally:
        storage.remove_session()


def _chosen(url: str, name: str | None, names: list[str]) -> str:
    listed = ", ".join(names[:20]) or "none"
    if name is None and len(names) != 1:
        raise ValueError(f"name one of the studies in {_shown(url)}; there are: {listed}")
    if name is not None and name not in names:
        raise ValueError(f"there is no study {name!r} in {_shown(url)}; there are: {listed}")
    return names[0] if name is None else name


def _open(url: str) -> BaseStorage:
    """Open a storage. One that is a file must exist, and a database in a file is not changed."""
    for scheme in (JOURNAL, SQLITE):
        if url.startswith(scheme) and not Path(url.removeprefix(scheme)).is_file():
            raise ValueError(f"there is no file {url.removeprefix(scheme)}")
    if "://" not in url and not url.startswith(JOURNAL):
        raise ValueError(f"{url} is no storage; name a file as {SQLITE}FILE or {JOURNAL}FILE")
    try:
        if url.startswith(JOURNAL):
            return JournalStorage(JournalFileBackend(url.removeprefix(JOURNAL)))
        if url.startswith(SQLITE):
            path = quote(str(Path(url.removeprefix(SQLITE)).absolute()))
            return RDBStorage(f"{SQLITE}file:{path}?mode=ro&uri=true")
        return RDBStorage(url)
    except Exception as error:  # drivers of databases raise what they like
        reason = " ".join(str(error).split("[SQL:")[0].split())[:200]
        raise ValueError(f"cannot open {_shown(url)}: {reason}") from None


def _shown(url: str) -> str:
    """Return the name of a storage without what may be a password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest else url


def study_of(study: optuna.Study) -> Study:
    """Return what a report shows of a study."""
    names = study.metric_names or (
        ["value"]
        if len(study.directions) == 1
        else [f"objective {i}" for i in range(len(study.directions))]
    )
    trials = study.get_trials(deepcopy=False)
    codec = _codec(trials)
    return Study(
        name=study.study_name,
        directions=tuple(
            "maximize" if d == StudyDirection.MAXIMIZE else "minimize" for d in study.directions
        ),
        objectives=tuple(names),
        trials=tuple(_trial(trial, len(study.directions), codec) for trial in trials),
        space=codec.space if codec else None,
        decide=(lambda arch: list(codec.write(arch).items())) if codec else None,
    )


def _codec(trials: list[FrozenTrial]) -> ProductCodec | None:
    """Return how to read the parameters that all trials share; None if they share none."""
    common = joint(intersection_search_space(trials), {})
    return ProductCodec(common) if common else None


def _trial(trial: FrozenTrial, count: int, codec: ProductCodec | None) -> StudyTrial:
    complete = trial.state == TrialState.COMPLETE
    return StudyTrial(
        number=trial.number,
        state=STATES[trial.state],
        values=tuple(trial.values) if complete else (),
        params=trial.params,
        text=json.dumps(trial.params, default=str),
        predictions=_predictions({**trial.system_attrs, **trial.user_attrs}, count),
        arch=codec.read(trial.params) if complete and codec else None,
        feasible=not any(limit > 0 for limit in trial.constraints.values()),
    )


def _predictions(attributes: dict[str, Any], count: int) -> tuple[tuple[float, float], ...]:
    """Return mean and deviation of each objective, where the sampler noted them."""
    columns = [attributes.get(f"{PREDICTION}:predicted_{kind}") for kind in ("mean", "sd")]
    means, deviations = (own if isinstance(own, list) else [own] for own in columns)
    pairs = [
        (float(mean), float(deviation))
        for mean, deviation in zip(means, deviations, strict=False)
        if isinstance(mean, int | float) and isinstance(deviation, int | float)
    ]
    whole = len(pairs) == count and all(math.isfinite(x) for pair in pairs for x in pair)
    return tuple(pairs) if whole else ()
