"""`optimizer: diffusionnag`: the engine's search as a discrete optimizer of NASLib."""

from __future__ import annotations

from typing import Any

import torch
from naslib_diffusion.plugins.naslib import compat
from naslib_diffusion.plugins.naslib.history import History
from naslib_diffusion.plugins.naslib.settings import ACQUISITIONS, ConfigError, Settings
from naslib_diffusion.plugins.naslib.spaces import Code, Codec, codec_for, shell_of

from naslib_diffusion.optimize.pool import SpaceExhausted
from naslib_diffusion.search import Search

UNKNOWN = -1
"""NASLib's value for a statistic that a benchmark does not have."""


class DiffusionNAG:
    """Searches by diffusion guided by a surrogate, with the interface of NASLib's `MetaOptimizer`.

    One epoch is one query of the benchmark. No architecture is queried twice, nor, unless
    `distinct` is "exact", one that is isomorphic to an earlier one. Only the final
    architecture is built as a graph with a model. See docs/naslib.md.

    It does not inherit from `MetaOptimizer`, so that it can be imported without NASLib. NASLib's
    Trainer needs no more than its methods. `supported_optimizers` registers it as a virtual
    subclass.

    Args:
        config: a NASLib config; see `Settings` for the keys under `search`.
        zc_api: zero-cost scores, which other optimizers take; not used.

    Raises:
        ConfigError: if a key has a value that is not allowed.
    """

    using_step_function = False

    def __init__(self, config: Any, zc_api: Any = None) -> None:
        self.config = config
        self.settings = Settings.read(config.search)
        self.epochs = config.search.epochs
        self.dataset = config.dataset
        self.history = History()
        self._seed = int(getattr(config.search, "seed", getattr(config, "seed", 0)))
        self._search: Search[Any] | None = None
        self._latest: Code | None = None
        self._final: tuple[Code, Any] | None = None

    def adapt_search_space(
        self, search_space: Any, scope: Any = None, dataset_api: Any = None, **_: Any
    ) -> None:
        """Take the search space and the benchmark to query.

        Raises:
            UnsupportedSpace: if the space cannot be mapped; lists those that can.
            ConfigError: if the space has no benchmark to query.
        """
        self.codec: Codec[Any] = codec_for(search_space)
        self.priors = self.settings.priors(self.codec.space)
        if not search_space.QUERYABLE or dataset_api is None:
            raise ConfigError(
                "diffusionnag needs a benchmark to query, dataset_api; there is none"
            )
        self.search_space = search_space.clone()
        self.scope = scope or search_space.OPTIMIZER_SCOPE
        self.dataset_api = dataset_api
        self._metric = compat.load("naslib.search_spaces.core.query_metrics").Metric

    def before_training(self) -> None:
        """Nothing to prepare."""

    def new_epoch(self, epoch: int) -> None:
        """Ask for one architecture, query it and tell the result."""
        search = self._synchronised()
        arch = self._ask(search)
        code = self.codec.code(arch)
        value = float(self._query(code, self._metric.VAL_ACCURACY))
        search.tell([arch], [value])
        self.history.append(code, value)
        self._latest = code

    def train_statistics(self, report_incumbent: bool = True) -> tuple[float, float, float, float]:
        """Return train, validation and test accuracy and train time of the best or latest."""
        latest = self._latest if self._latest is not None else self.history.best
        code = self.history.best if report_incumbent else latest
        metric = self._metric
        names = [metric.VAL_ACCURACY, metric.TEST_ACCURACY, metric.TRAIN_TIME]
        validation, test, seconds = (float(self._query(code, name)) for name in names)
        known = self.search_space.space_name != "nasbench301"
        train = float(self._query(code, metric.TRAIN_ACCURACY)) if known else UNKNOWN
        return train, validation, test, seconds

    def test_statistics(self) -> Any:
        """Return all that the benchmark knows of the best architecture so far."""
        if self.search_space.space_name == "nasbench301":
            return UNKNOWN
        return self._query(self.history.best, self._metric.RAW)

    def after_training(self) -> None:
        """Nothing to clean up."""

    def step(self, data_train: Any, data_val: Any) -> None:
        """Refuse: there are no weights to train."""
        raise NotImplementedError("diffusionnag queries a benchmark; it has no training step")

    def get_final_architecture(self) -> Any:
        """Return the graph of the architecture with the best validation accuracy."""
        code = self.history.best
        if self._final is None or self._final[0] != code:
            graph = self.search_space.clone()
            graph.set_spec(self.codec.spec(code))
            self._final = code, graph
        return self._final[1]

    def get_op_optimizer(self) -> Any:
        """Refuse: there are no weights to train."""
        raise NotImplementedError("diffusionnag queries a benchmark; it trains no weights")

    def get_model_size(self) -> float:
        """Return 0: no model is kept."""
        return 0

    def get_checkpointables(self) -> dict[str, torch.nn.Module]:
        """Return the history, from which a search goes on as if it had never stopped."""
        return {"model": self.history}

    def _synchronised(self) -> Search[Any]:
        """Return the search, rebuilt if a checkpoint has replaced the history."""
        search = self._search
        if search is None or len(search.trials) != len(self.history):
            search = self._new_search()
            archs = [self.codec.arch(code) for code in self.history.codes]
            search.tell(archs, self.history.values)
            self._search, self._latest = search, None
        return search

    def _new_search(self) -> Search[Any]:
        settings = self.settings
        return Search(
            self.codec.space,
            settings.surrogate,
            settings.strategy,
            seed=self._seed,
            initial=settings.num_init,
            acquisition=ACQUISITIONS[settings.acq_fn_type],
            candidates=settings.num_candidates,
            device="cpu",
            prior=self.priors,
            distinct=settings.distinct,
        )

    def _ask(self, search: Search[Any]) -> Any:
        """Ask for an architecture; once the space is exhausted, the best is all there is."""
        try:
            return search.ask()[0]
        except SpaceExhausted:
            return self.codec.arch(self.history.best)

    def _query(self, code: Code, metric: Any) -> Any:
        """Query the benchmark; a graph with a model is not needed for that."""
        if hasattr(self.search_space, "instantiate_model"):
            graph = shell_of(self.search_space)
        else:  # an older NASLib, which always has a model
            graph = self.search_space.clone()
        graph.set_spec(self.codec.spec(code))
        return graph.query(metric, self.dataset, dataset_api=self.dataset_api)
