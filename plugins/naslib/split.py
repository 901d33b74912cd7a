"""NASLib's NAS-Bench-201 with validation and test kept apart; importing this imports NASLib.

NASLib reads both from "eval_acc1es" of one mapping. Here a test is looked up in a mapping of its
own, beside NASLib's in the `dataset_api`, if there is one.

With NASLib's `instantiate_model` off, an architecture is its operation indices only, but NASLib
still copies some hundred modules for each. Here it does not: copies share the modules.
"""

from __future__ import annotations

import random
from typing import Any

import torch
from naslib_diffusion.plugins.naslib import compat
from naslib_diffusion.plugins.naslib.dataset_api import TEST_DATA
from naslib_diffusion.plugins.naslib.spaces import shell_of

_graph = compat.load("naslib.search_spaces.nasbench201.graph")
_Metric = compat.load("naslib.search_spaces.core.query_metrics").Metric
_TESTS = (_Metric.TEST_ACCURACY, _Metric.TEST_LOSS)


class SplitNasBench201(_graph.NasBench201SearchSpace):  # type: ignore[misc,name-defined]
    """NASLib's NAS-Bench-201; a query of the test accuracy does not see the validation's."""

    def query(
        self,
        metric: Any,
        dataset: str,
        path: str | None = None,
        epoch: int = -1,
        full_lc: bool = False,
        dataset_api: Any = None,
    ) -> Any:
        """Query the benchmark as NASLib does, tests from their own mapping."""
        if metric in _TESTS and dataset_api is not None and TEST_DATA in dataset_api:
            dataset_api = {"nb201_data": dataset_api[TEST_DATA]}
        return super().query(metric, dataset, path, epoch, full_lc, dataset_api)

    def clone(self) -> Any:
        """Copy deeply as NASLib does, or without the modules where they are not instantiated."""
        if self.instantiate_model:
            return super().clone()
        return shell_of(self)

    def get_nbhd(self, dataset_api: Any = None) -> list[Any]:
        """Return the neighbours as of this class, in the order in which NASLib draws them."""
        if self.instantiate_model:
            neighbours: list[Any] = super().get_nbhd(dataset_api)
            for neighbour in neighbours:
                neighbour.arch.__class__ = type(self)
            return neighbours
        own = list(self.get_op_indices())
        codes = [
            [*own[:edge], operation, *own[edge + 1 :]]
            for edge in range(len(own))
            for operation in range(_graph.NUM_OPS)
            if operation != own[edge]
        ]
        models = [self._model(code) for code in codes]
        random.shuffle(models)
        return models

    def _model(self, code: list[int]) -> Any:
        """Wrap an architecture as NASLib's optimizers keep them."""
        model: Any = torch.nn.Module()
        model.arch = self.clone()
        model.arch.set_op_indices(code)
        return model
