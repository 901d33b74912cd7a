"""Ask/tell search: fit a surrogate, let a strategy find candidates, return the best of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar

import torch

from naslib_diffusion.diffusion.denoising import points_of
from naslib_diffusion.diffusion.exact import Denoiser
from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.optimize.enumeration import catalogue
from naslib_diffusion.optimize.generator import GuidedGenerator
from naslib_diffusion.optimize.pool import SpaceExhausted
from naslib_diffusion.runtime.devices import suitable_device
from naslib_diffusion.runtime.threads import on_cpu, one_thread
from naslib_diffusion.search.history import History
from naslib_diffusion.search.model import Model, Modeler
from naslib_diffusion.search.proposer import Proposer
from naslib_diffusion.search.saved import Row, Saved, writable
from naslib_diffusion.search.strategies import EnumerateStrategy, Strategy, make_strategy
from naslib_diffusion.search.told import read_arch, read_trials
from naslib_diffusion.search.trials import Prediction, Trial, dataframe
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.equality import Equality, under
from naslib_diffusion.surrogates import Surrogate
from naslib_diffusion.surrogates.prior import Prior

if TYPE_CHECKING:
    import pandas

A = TypeVar("A", bound=Hashable)

Direction = Literal["maximize", "minimize"]

LATER = 300
"""Evaluations for which the device is chosen: early on, either is fast."""


class Search(Generic[A]):
    """Sequential or batched search for the best architectures of a space.

    `ask` is a function of the seed and of what was told and asked before. A search that is
    rebuilt from its history therefore goes on as if it had never stopped.

    Args:
        space: the space that is searched.
        surrogate: the model of the objective: "gp", "ensemble" or a `Surrogate`.
        strategy: how candidates are found: one of `STRATEGIES`, such as "guided" or "enumerate",
            or a `Strategy`.
        seed: determines all random decisions.
        initial: how many random architectures are asked for before the surrogate is trusted. The
            default is 10, and 0 with a prior.
        direction: whether to "maximize" or to "minimize" the objective.
        acquisition: the acquisition function: "logei" (expected improvement), "ucb" (upper
            confidence bound) or "its" (independent Thompson sampling). The default is "its" for
            the ensemble, and "logei" for other surrogates.
        candidates: how many candidates the strategy proposes for each ask.
        denoiser: what generates. The default is the exact denoiser.
        device: where to generate. The default suits the space, `candidates` and `LATER`
            evaluations (see `naslib_diffusion.runtime.devices`).
        repeats: whether an architecture may be asked for again after it was told, which pays for
            very noisy objectives.
        prior: what is expected of the objective before it is measured: one `Prior` or several.
        distinct: "isomorphic" counts architectures of equal canonical form as one, which is right
            for accuracy. "exact" tells them apart, which is right for latency, energy and size.

    Raises:
        ValueError: if an argument has a value that is not allowed.
    """

    @on_cpu
    def __init__(
        self,
        space: Space[A],
        surrogate: str | Surrogate = "gp",
        strategy: str | Strategy = "guided",
        *,
        seed: int = 0,
        initial: int | None = None,
        direction: Direction = "maximize",
        acquisition: str | None = None,
        candidates: int = 64,
        denoiser: Denoiser | None = None,
        device: torch.device | str | None = None,
        repeats: bool = False,
        prior: Prior | Sequence[Prior] = (),
        distinct: Equality = "isomorphic",
    ) -> None:
        if direction not in ("maximize", "minimize"):
            raise ValueError(f"direction must be 'maximize' or 'minimize', not {direction!r}")
        self.space = under(space, distinct)
        priors = tuple(prior) if isinstance(prior, Sequence) else (prior,)
        initial = (0 if priors else 10) if initial is None else initial
        if initial < (0 if priors else 1):
            raise ValueError(f"initial must be at least 1, not {initial}")
        own = make_strategy(strategy)
        if isinstance(own, EnumerateStrategy):
            catalogue(self.space)  # raises before anything is evaluated
        self.seed, self.initial = seed, initial
        device = suitable_device(
            candidates, math.prod(space.shape), points_of(denoiser, space, LATER), device=device
        )
        blank = GuidedGenerator(self.space, denoiser, device)
        self.modeler = Modeler.of(
            self.space,
            surrogate,
            priors,
            acquisition,
            maximize=direction == "maximize",
            noisy=repeats,
            device=blank.device,
        )
        self._proposer = Proposer(own, initial, candidates, repeats, blank.denoiser, blank.device)
        self._belief: tuple[Model, Guide] | None = None
        self.history = History(self.space, maximize=self.modeler.maximize)
        self._settings = writable(
            surrogate=surrogate,
            strategy=strategy,
            seed=seed,
            initial=initial,
            direction=direction,
            acquisition=self.modeler.acquisition,
            candidates=candidates,
            repeats=repeats,
            distinct=distinct,
            denoiser=denoiser,
            prior=priors,
        )

    @property
    def trials(self) -> list[Trial[A]]:
        """The evaluations that were told, oldest first."""
        return self.history.trials

    @property
    def best(self) -> Trial[A] | None:
        """The finished, feasible trial with the best value; None before there is one."""
        return self.history.best

    @property
    def pending(self) -> list[A]:
        """The architectures that were asked for and not told yet."""
        return self.history.pending

    @one_thread()
    def ask(self, n: int = 1) -> list[A]:
        """Return the next `n` architectures to evaluate, none of them asked or told before.

        Raises:
            SpaceExhausted: if the space has fewer than `n` left; carries those.
            ValueError: if `n` is not positive.
        """
        if n < 1:
            raise ValueError(f"cannot ask for {n} architectures; ask for at least 1")
        proposal = self._proposer.propose(self.history, self.modeler, n, self.seed)
        archs, self._belief = proposal.archs, proposal.belief
        self.history.expect(archs)
        self.history.foresee(archs, self._predict(archs))
        if len(archs) < n:
            raise SpaceExhausted(
                f"asked for {n} new architectures, but only {len(archs)} of space "
                f"{self.space.name!r} were never asked before",
                archs,
            )
        return archs

    def expect(self, archs: Sequence[A]) -> None:
        """Record that architectures are being evaluated elsewhere, as if they had been asked."""
        self.history.expect(archs)

    @on_cpu
    def tell(
        self,
        archs: Sequence[A | str] | A | str,
        values: Sequence[float] | float,
        constraints: Sequence[Sequence[float]] | Sequence[float] | None = None,
    ) -> None:
        """Record evaluations, whether they were asked or not; repeats are noisy measurements.

        A value that is not finite is a failure. The search never asks for a failed architecture
        again, and learns where evaluations fail. If an evaluation of the same architecture
        succeeded, too, the failure does not count. One architecture may be told with one value,
        without lists.

        Args:
            archs: what was evaluated: architectures, or their strings.
            values: of the objective, one for each.
            constraints: for each architecture the values of all constraints. A constraint is met
                if its value is not positive. An empty list says that they are unknown.

        Raises:
            ValueError: if the lengths differ, or an architecture is not of the space.
        """
        self.history.record(read_trials(self.space, archs, values, constraints))

    def trials_dataframe(self) -> pandas.DataFrame:
        """Return the trials as a table, a row each; raises ImportError without pandas."""
        return dataframe(self.trials)

    def save(self, path: str | Path) -> None:
        """Write settings, trials and what is pending to a JSON file; see `load`."""
        Saved(
            kind=type(self).__name__,
            space=(self.space.name, tuple(self.space.shape)),
            settings=self._settings,
            asked=tuple(map(str, self.history.asked.values())),
            trials=tuple(Row(str(t.arch), t.told, t.constraints) for t in self.trials),
            predicted=tuple(
                tuple(map(dataclasses.astuple, self.history.predicted(arch)))
                for arch in self.history.asked.values()
            ),
        ).write(Path(path))

    @classmethod
    def load(cls, path: str | Path, space: Space[A] | None = None, **objects: Any) -> Self:
        """Return the search that `save` wrote. It asks what the saved one would have asked.

        Args:
            path: the file.
            space: where to search; may be left out for the spaces that need no arguments.
            objects: the arguments that a file cannot hold, such as `prior`, and `device`.

        Raises:
            ValueError: if the file is not that of a search, is of another space, or needs objects.
        """
        saved = Saved.read(Path(path))
        space, settings = saved.arguments(cls.__name__, space, objects)
        try:
            search = cls(space, **settings)
            asked = [read_arch(search.space, arch) for arch in saved.asked]
            search.expect(asked)
            known = [tuple(Prediction(*numbers) for numbers in each) for each in saved.predicted]
            search.history.foresee(asked[: len(known)], known)
            rows: Any = zip(*((t.arch, t.value, t.constraints) for t in saved.trials), strict=True)
            search.tell(*(rows if saved.trials else ((), ())))
        except (TypeError, ValueError) as error:
            raise ValueError(f"cannot go on from {path}: {error}") from None
        return search

    def predict(self, arch: A) -> Prediction | None:
        """Return what the last `ask` expected of `arch`, first objective; None if random."""
        each = self.predict_each(arch)
        return each[0] if each else None

    @on_cpu
    def predict_each(self, arch: A) -> tuple[Prediction, ...]:
        """Return what the last `ask` expected of `arch`, by objective; empty if it was random."""
        (each,) = self._predict([arch])
        return each

    def _predict(self, archs: Sequence[A]) -> list[tuple[Prediction, ...]]:
        if self._belief is None or not archs:
            return [()] * len(archs)
        model, guide = self._belief
        with torch.no_grad():
            return model.predict(self.modeler.encode(archs), guide)
