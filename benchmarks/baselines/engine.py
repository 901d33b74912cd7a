"""This project's own search, with the strategies and surrogates that it can be set to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

from naslib_diffusion.search import Search
from naslib_diffusion.spaces import Space
from naslib_diffusion.spaces.base import A
from naslib_diffusion.transfer.priors import load_priors


class Engine(Generic[A]):
    """A `Search` on the CPU.

    Args:
        space: where to search.
        seed: of all random decisions.
        surrogate: "gp" or "ensemble", which is BANANAS' (White et al., AAAI 2021).
        strategy: where candidates come from.
        prior: names of priors.
    """

    def __init__(
        self,
        space: Space[A],
        seed: int,
        *,
        surrogate: str = "gp",
        strategy: str = "guided",
        prior: Sequence[str] = (),
    ) -> None:
        priors = load_priors(prior, space) if prior else ()
        start = 0 if prior else 1  # what is random is told
        self._search = Search(
            space, surrogate, strategy, seed=seed, initial=start, prior=priors, device="cpu"
        )

    def ask(self) -> A:
        """Ask the search."""
        return self._search.ask()[0]

    def tell(self, arch: A, value: float) -> None:
        """Tell the search."""
        self._search.tell([arch], [value])
