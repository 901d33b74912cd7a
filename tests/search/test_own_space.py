"""Searches over a space that a user wrote: its rules, and what its mistakes are called."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from naslib_diffusion import Search
from naslib_diffusion.optimize.pool import SpaceExhausted
from naslib_diffusion.spaces import AtomBlock

Triple = tuple[int, ...]


class Triples:
    """Three numbers below four, as docs/spaces.md has a space written."""

    name, shape, size = "triples", (3, 4), None
    blocks = tuple(AtomBlock(4 * i, torch.eye(4, dtype=torch.double)) for i in range(3))

    def __init__(
        self,
        rule: Callable[[Triple], bool] = lambda _: True,
        features: Callable[[Tensor], Any] = lambda x: (x.flatten(1),),
    ) -> None:
        self.is_valid, self.features = rule, features

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[Triple]:
        rows = torch.randint(4, (100 * n, 3), generator=generator).tolist()
        return [row for row in map(tuple, rows) if self.is_valid(row)][:n]

    def encode(self, archs: list[Triple]) -> Tensor:  # has no dtype of whole numbers for []
        return torch.nn.functional.one_hot(torch.tensor(archs), 4).double()

    def decode(self, x: Tensor) -> list[Triple]:
        return [tuple(row) for row in x.argmax(-1).tolist()]

    def canonical(self, arch: Triple) -> Triple:
        return arch

    def neighbors(self, arch: Triple, generator: Any = None) -> list[Triple]:
        near = [(*arch[:i], v, *arch[i + 1 :]) for i in range(3) for v in range(4)]
        return [other for other in near if other != arch and self.is_valid(other)]


def run(space: Any, n: int) -> list[Triple]:
    search, found = Search(space, seed=0, initial=2), []
    for _ in range(n):
        (arch,) = search.ask()
        search.tell([arch], [float(arch[0]) if arch[0] else math.nan])
        found.append(arch)
    return found


def test_the_last_of_few_allowed_ones_is_found_without_encoding_nothing() -> None:
    space = Triples(lambda arch: arch[1] == arch[2] == 3)
    assert sorted(run(space, 4)) == [(k, 3, 3) for k in range(4)]
    with pytest.raises(SpaceExhausted):
        run(space, 5)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (lambda x: x.flatten(1), r"must be a tuple of tensors, 2 x K each"),
        (lambda x: (x.sum((1, 2)),), r"must be a tuple of tensors, 2 x K each, not \[\(2,\)\]"),
        (lambda _: (), r"must be a tuple of tensors"),
        (lambda x: (x.flatten(1) / 0,), "features of space 'triples' must be finite"),
    ],
    ids=["no tuple", "vectors", "none", "not finite"],
)
def test_wrong_features_are_named(features: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(Triples(features=features), 3)
