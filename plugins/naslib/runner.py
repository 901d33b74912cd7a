"""Runs a NASLib config: reads it as NASLib does, makes the chosen optimizer only, and trains."""

from __future__ import annotations

import contextlib
import json
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from naslib_diffusion.plugins.naslib import compat
from naslib_diffusion.plugins.naslib.configuration import read_config
from naslib_diffusion.plugins.naslib.dataset_api import table_api
from naslib_diffusion.plugins.naslib.optimizer import DiffusionNAG
from naslib_diffusion.plugins.naslib.optimizers import ONE_SHOT, supported_optimizers
from naslib_diffusion.plugins.naslib.settings import ConfigError

from naslib_diffusion.runtime.locks import Busy, claimed

SPACES = (
    "nasbench101",
    "nasbench201",
    "nasbench301",
    "transbench101_micro",
    "transbench101_macro",
)
"""Those that NASLib makes by name."""


@dataclass(frozen=True)
class Source:
    """Where measurements and images come from.

    Attributes:
        table: a CSV to query; NASLib's own files, in its data folder, if None.
        validation, test, train_time: columns of the table; guessed from the data set if None.
        images: folder of the data sets that one-shot optimizers train on; NASLib's if None.
    """

    table: Path | None = None
    validation: str | None = None
    test: str | None = None
    train_time: str | None = None
    images: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What a run has found.

    Attributes:
        folder: of errors.json, the log and the checkpoints.
        epochs: how many the run has behind it.
        architecture: the final one, in NASLib's numbering.
        validation: its validation accuracy, or the supernet's last for one-shot optimizers.
        result: what NASLib's evaluation returns, the test accuracy where there is one; None if
            there is no benchmark to query.
    """

    folder: Path
    epochs: int
    architecture: str
    validation: float
    result: float | None


def run(
    config_file: Path,
    overrides: list[str],
    source: Source,
    *,
    resume: bool = False,
    progress: Callable[[int, int, float], None] = lambda done, epochs, best: None,
) -> Outcome:
    """Search as a config says, then evaluate what was found.

    Args:
        config_file: NASLib's YAML.
        overrides: keys and values in turn, such as `["search.epochs", "50"]`.
        source: of measurements and images.
        resume: go on from the last checkpoint in the run's folder.
        progress: called as the search begins and after each epoch, with their number so far and
            in all, and the validation accuracy that NASLib reports, NaN before there is one.

    Raises:
        ConfigError: if the config, an override or the data cannot be used; says why.
        NaslibMissing: if there is no NASLib.
    """
    config = read_config(config_file, overrides, resume=resume)
    if source.table is not None and hasattr(config.search, "fidelity"):
        config.search.fidelity = -1  # a table knows the end of training only
    if source.images is not None:
        config.data = str(source.images)
    try:
        with claimed(Path(config.save)), _logged(Path(config.save) / "log.log"):
            return _run(config, source, resume, progress)
    except Busy as error:
        raise ConfigError(str(error)) from None


def _run(
    config: Any, source: Source, resume: bool, progress: Callable[[int, int, float], None]
) -> Outcome:
    utils = compat.load("naslib.utils")
    utils.set_seed(config.seed)
    space = make_space(config)
    api = dataset_api(config, source)
    optimizer = supported_optimizers(config)[config.optimizer]
    _adapt(optimizer, space, config, api)
    trainer = compat.load("naslib.defaults.trainer").Trainer(
        optimizer, config, lightweight_output=True
    )
    checkpoint = _checkpoint(config, optimizer, trainer) if resume else ""

    def after_epoch(epoch: int) -> None:
        progress(epoch + 1, config.search.epochs, float(trainer.search_trajectory.valid_acc[-1]))

    progress(len(trainer.search_trajectory.valid_acc), config.search.epochs, math.nan)
    trainer.search(resume_from=checkpoint, after_epoch=after_epoch)
    final = optimizer.get_final_architecture()
    result = None if api is None else _evaluate(trainer, config, api)
    accuracies = trainer.search_trajectory.valid_acc
    return Outcome(
        Path(config.save), len(accuracies), str(final.get_hash()), float(accuracies[-1]), result
    )


def make_space(config: Any) -> Any:
    """Return the search space that a config names, as NASLib makes it.

    NAS-Bench-201 keeps validation and test apart, see `split`. With `search.instantiate_model`
    False, architectures have no model, which saves most of NASLib's time on a table.
    """
    if config.search_space not in SPACES:
        raise ConfigError(
            f"unknown search space {config.search_space!r}; known: {', '.join(SPACES)}"
        )
    spaces = compat.load("naslib.search_spaces")
    if config.search_space == "nasbench201":
        from naslib_diffusion.plugins.naslib.split import SplitNasBench201

        name = config.dataset.lower()
        space = SplitNasBench201(
            spaces.dataset_n_classes.get(name, 10), spaces.dataset_to_channels.get(name, 3)
        )
    else:
        space = spaces.get_search_space(config.search_space, config.dataset)
    space.instantiate_model = bool(getattr(config.search, "instantiate_model", True))
    return space


def dataset_api(config: Any, source: Source) -> Any:
    """Return the table as a `dataset_api`, or NASLib's own, or None if one-shot has neither."""
    if source.table is not None:
        return table_api(
            source.table,
            config.search_space,
            config.dataset,
            validation=source.validation,
            test=source.test,
            train_time=source.train_time,
        )
    try:
        return compat.load("naslib.utils").get_dataset_api(config.search_space, config.dataset)
    except (AssertionError, OSError, KeyError, ImportError) as error:
        if config.optimizer in ONE_SHOT:
            return None
        raise ConfigError(
            f"there are no measurements to query; name a CSV with --table. NASLib says: {error}"
        ) from None


def _adapt(optimizer: Any, space: Any, config: Any, api: Any) -> None:
    if config.optimizer in ONE_SHOT:
        optimizer.adapt_search_space(space, config.dataset)
    else:
        optimizer.adapt_search_space(space, dataset_api=api)


def _checkpoint(config: Any, optimizer: Any, trainer: Any) -> str:
    """Return the checkpoint to go on from, and give the trainer the statistics up to there."""
    if not isinstance(optimizer, DiffusionNAG):
        raise ConfigError(
            f"NASLib's checkpoints of {config.optimizer!r} do not hold all that it needs, so it "
            "cannot be resumed; diffusionnag can"
        )
    path = Path(compat.load("naslib.utils").get_last_checkpoint(config))
    if not path.is_file():
        raise ConfigError(
            f"nothing to resume: there is no checkpoint in {config.save}/search; "
            "see the key search.checkpoint_freq"
        )
    statistics = Path(config.save) / "errors.json"
    try:
        done = int(torch.load(path, weights_only=True).get("iteration", -1)) + 1
        _, earlier = json.loads(statistics.read_text())
        kept = earlier.items()
    except Exception as error:  # torch raises many kinds for a damaged file
        line = " ".join(str(error).split())[:200]
        raise ConfigError(f"cannot resume from {path} and {statistics}: {line}") from None
    for name, values in kept:
        if isinstance(values, list):
            trainer.search_trajectory[name].extend(values[:done])
    return str(path)


def _evaluate(trainer: Any, config: Any, api: Any) -> float:
    """Evaluate as NASLib does; its surrogate benchmark knows validation only."""
    metric = None
    if config.search_space == "nasbench301":
        metric = compat.load("naslib.search_spaces.core.query_metrics").Metric.VAL_ACCURACY
    return float(trainer.evaluate(dataset_api=api, metric=metric))


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Send NASLib's log and what its predictors print to a file."""
    logger = logging.getLogger("naslib")
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        with contextlib.redirect_stdout(handler.stream):
            yield
    finally:
        logger.level, logger.propagate = before
        logger.removeHandler(handler)
        handler.close()
