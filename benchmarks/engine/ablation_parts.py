"""The engine without one of its parts: by its own switches, or another surrogate."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

from torch import Tensor

from naslib_diffusion.search import Search
from naslib_diffusion.search.strategies import GuidedStrategy, Strategy
from naslib_diffusion.spaces import NASBench201, Space
from naslib_diffusion.spaces.view import View
from naslib_diffusion.surrogates import GaussianProcess, ObjectiveScale, Surrogate
from naslib_diffusion.surrogates import gaussian_process as fitting
from naslib_diffusion.transfer.priors import load_priors

FAR = 1e6
"""Softening of a linear scale, in units of the range of values."""


class Fewer(View[Any]):
    """A space whose features lack one group.

    Args:
        space: whose features are seen.
        missing: number of the group.
    """

    def __init__(self, space: Space[Any], missing: int) -> None:
        super().__init__(space)
        self._missing = missing

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the other groups: `B x K` each."""
        groups = self.space.features(x)
        return tuple(own for i, own in enumerate(groups) if i != self._missing)


def linear(values: Tensor, *, maximize: bool = True) -> ObjectiveScale:
    """Return a scale on which targets are linear in values (`B`), standardised."""
    sign = 1.0 if maximize else -1.0
    best = float((sign * values).max())
    softening = FAR * (float(values.max() - values.min()) or 1.0)
    return ObjectiveScale(sign, best, softening, 0.0, 1.0).standardised(values)


@contextlib.contextmanager
def linear_scale() -> Iterator[None]:
    """Let searches model the objective as it is; the engine itself has no such switch."""
    with mock.patch.object(ObjectiveScale, "of", staticmethod(linear)):
        yield


@dataclass(frozen=True)
class Part:
    """A search that lacks something, or has something more.

    Attributes:
        says: what is different.
        strategy: who proposes candidates.
        missing: number of the group of features that the kernel lacks.
        scale: what happens around the search.
        priors: by name.
    """

    says: str
    strategy: str | Strategy = "guided"
    missing: int | None = None
    scale: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    priors: Sequence[str] = ()

    def fits(self, space: Space[Any]) -> bool:
        """Whether a space has what this part is about."""
        if self.priors:
            return isinstance(space, NASBench201)
        if self.missing is None:
            return True
        return isinstance(fitting(space), GaussianProcess) and self.missing < groups(space)

    def search(self, space: Space[Any], seed: int) -> Search[Any]:
        """Return the search; it minimises nothing: values are to be maximised."""
        surrogate: Surrogate | str = "gp"
        if self.missing is not None:
            surrogate = GaussianProcess(Fewer(space, self.missing))
        priors = load_priors(self.priors, space)
        return Search(space, surrogate, self.strategy, seed=seed, prior=priors, device="cpu")


def groups(space: Space[Any]) -> int:
    """Return how many groups of features a space has."""
    return len(space.features(space.encode(space.sample(1))))


PARTS: dict[str, Part] = {
    "whole": Part("all defaults, from scratch"),
    "no guidance": Part("starts of the polish are random", GuidedStrategy(scale=0.0)),
    "no polish": Part("candidates as they are generated", GuidedStrategy(polish=0)),
    "linear scale": Part("the objective as it is", scale=linear_scale),
    **{
        f"no group {i + 1}": Part("the kernel lacks a group of features", missing=i)
        for i in range(4)
    },
    "priors": Part("with the priors that ship", priors=("default",)),
}
