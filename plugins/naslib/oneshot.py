"""RSPS, with what NASLib's random search with weight sharing lacks; imports NASLib."""

from __future__ import annotations

from typing import Any

import torch
from naslib_diffusion.plugins.naslib import compat
from naslib_diffusion.plugins.naslib.settings import ConfigError
from naslib_diffusion.plugins.naslib.spaces import shell_of

_naslib = compat.load("naslib.optimizers")
_utils = compat.load("naslib.utils")

FINALISTS = 100
"""Random architectures that are compared by the supernet (Li and Talwalkar, 2019, Section 3)."""

BATCHES = 4
"""Validation batches on which each is."""


class RandomSearchWithSharing(_naslib.RandomNASOptimizer):  # type: ignore[misc,name-defined]
    """NASLib's `RandomNASOptimizer`, with a final architecture, which NASLib leaves open.

    After training, random architectures are compared by their validation accuracy with the shared
    weights, and the best is returned.

    Args:
        config: a NASLib config; `search.num_finalists` says how many are compared.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(**config.search)
        self._config = config
        self._finalists = int(getattr(config.search, "num_finalists", FINALISTS))
        self._final: Any = None

    def adapt_search_space(self, search_space: Any, dataset: str, scope: Any = None) -> None:
        """Make the supernet; raises ConfigError for other spaces than NAS-Bench-201."""
        if search_space.get_type() != "nasbench201":
            raise ConfigError("rsws works on nasbench201 only")
        super().adapt_search_space(search_space, dataset, scope)

    def get_final_architecture(self) -> Any:
        """Return the best of random architectures under the shared weights; chosen once."""
        if self._final is None:
            loader = _utils.get_train_val_loaders(self._config, mode="train")[1]
            batches = [batch for _, batch in zip(range(BATCHES), loader, strict=False)]
            samples = [self._sample() for _ in range(self._finalists)]
            best = max(samples, key=lambda code: self._accuracy(code, batches))
            self._final = self.search_space.clone()
            self._final.set_spec(best)
        return self._final

    def _sample(self) -> list[int]:
        graph = shell_of(self.search_space)
        graph.sample_random_architecture()
        return [int(index) for index in graph.get_op_indices()]

    @torch.no_grad()
    def _accuracy(self, code: list[int], batches: list[Any]) -> float:
        """Return the share of right answers of the supernet reduced to one architecture."""
        self.set_alphas_from_path(code)
        right = total = 0
        for images, labels in batches:
            logits = self.graph(images.to(self.device))
            right += int((logits.argmax(1).cpu() == labels).sum())
            total += len(labels)
        return right / total
