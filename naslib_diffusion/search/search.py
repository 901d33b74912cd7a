"""Ask/tell search: fit a surrogate, let a strategy find candidates, return the best of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Sequence
from itertools import islice
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar

import torch
from torch import Tensor

from naslib_diffusion.diffusion.denoising import points_of
from naslib_diffusion.diffusion.exact import Denoiser
from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.optimize.enumeration import catalogue
from naslib_diffusion.optimize.generator import GuidedGenerator, SpaceExhausted
from naslib_diffusion.runtime.devices import suitable_device
from naslib_diffusion.runtime.moving import moved
from naslib_diffusion.runtime.threads import on_cpu, one_thread
from naslib_diffusion.search.saved import OBJECT, Row, Saved, writable
from naslib_diffusion.search.strategies import (
    STRATEGIES,
    EnumerateStrategy,
    Request,
    Strategy,
    available,
)
from naslib_diffusion.search.trials import Prediction, Trial, dataframe
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.equality import Equality, Exact, under
from naslib_diffusion.spaces.pinned import unpinned
from naslib_diffusion.surrogates import (
    Constrained,
    Feasibility,
    IndependentThompson,
    LogExpectedImprovement,
    NeuralEnsemble,
    ObjectiveScale,
    Surrogate,
    UpperConfidenceBound,
    make_surrogate,
)
from naslib_diffusion.surrogates.base import fit_to_values, levels
from naslib_diffusion.surrogates.prior import Prior, informed

if TYPE_CHECKING:
    import pandas

A = TypeVar("A", bound=Hashable)

Direction = Literal["maximize", "minimize"]
ACQUISITIONS = ("logei", "ucb", "its")

LATER = 300
"""Evaluations for which the device is chosen: early on, either is fast."""
INCUMBENTS = 20
"""How many of the best architectures a strategy gets to see."""


class Search(Generic[A]):
    """Sequential or batched search for the best architectures of a space.

    `ask` is a function of the seed and of what was told and asked before, so a search that is
    rebuilt from its history goes on as if it had never stopped.

    Args:
        space: where to search.
        surrogate: "gp", "ensemble" or a `Surrogate`.
        strategy: one of `STRATEGIES`, such as "guided" or "enumerate", or a `Strategy`.
        seed: of all random decisions.
        initial: random architectures before the surrogate is trusted: 10 unless told, or none
            with a prior.
        direction: "maximize" or "minimize" the objective.
        acquisition: "logei", "ucb" or "its"; the ensemble's is "its" unless told, else "logei".
        candidates: how many candidates the strategy proposes for each ask.
        denoiser: of the generator; the exact one unless told.
        device: where to generate; unless told, what suits the space, `candidates` and
            `LATER` evaluations (see `naslib_diffusion.runtime.devices`).
        repeats: whether architectures may be asked again once they were told: for objectives so
            noisy that a second measurement may be worth more than a new architecture.
        prior: what is expected of the objective before it is measured: one `Prior` or several.
        distinct: "isomorphic" counts architectures of equal canonical form as one, which is right
            for accuracy; "exact" tells them apart, as latency, energy and size do.

    Raises:
        ValueError: if an argument is not among the allowed.
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
        self.priors = tuple(prior) if isinstance(prior, Sequence) else (prior,)
        initial = (0 if self.priors else 10) if initial is None else initial
        if initial < (0 if self.priors else 1):
            raise ValueError(f"initial must be at least 1, not {initial}")
        if isinstance(strategy, str) and strategy not in STRATEGIES:
            raise ValueError(f"unknown strategy {strategy!r}; known: {', '.join(STRATEGIES)}")
        self._names = writable(surrogate), writable(strategy)
        self.surrogate = (
            make_surrogate(surrogate, self.space) if isinstance(surrogate, str) else surrogate
        )
        self.strategy = STRATEGIES[strategy] if isinstance(strategy, str) else strategy
        if isinstance(self.strategy, EnumerateStrategy):
            catalogue(self.space)  # raises before anything is evaluated
        self.acquisition = acquisition or (
            "its" if isinstance(self.surrogate, NeuralEnsemble) else "logei"
        )
        if self.acquisition not in ACQUISITIONS:
            raise ValueError(
                f"unknown acquisition function {acquisition!r}; known: {', '.join(ACQUISITIONS)}"
            )
        self.seed, self.initial, self.candidates = seed, initial, candidates
        self.distinct = distinct
        self.maximize = direction == "maximize"
        self.repeats = repeats
        self._feasibility: Feasibility | None = None
        self._model: tuple[ObjectiveScale, Surrogate, Guide] | None = None
        device = suitable_device(
            candidates, math.prod(space.shape), points_of(denoiser, space, LATER), device=device
        )
        blank = GuidedGenerator(self.space, denoiser, device)
        self._device, self._denoiser = blank.device, blank.denoiser
        self._own_denoiser = denoiser is not None
        self.surrogate = moved(self.surrogate, self._device)
        self.priors = tuple(moved(prior, self._device) for prior in self.priors)
        if isinstance(self.space, Exact):
            # as plain functions: surrogates of their own would not tell isomorphic ones apart
            self.priors = tuple(own.__call__ for own in self.priors)
        self._asked: dict[Hashable, A] = {}
        self.trials: list[Trial[A]] = []

    @property
    def best(self) -> Trial[A] | None:
        """The finished, feasible trial with the best value; None before there is one."""
        finished = [t for t in self.trials if math.isfinite(t.value) and t.feasible]
        return max(finished, key=self._signed, default=None)

    @property
    def pending(self) -> list[A]:
        """Architectures that were asked and not told yet."""
        told = {self.space.canonical(trial.arch) for trial in self.trials}
        return [arch for key, arch in self._asked.items() if key not in told]

    @one_thread()
    def ask(self, n: int = 1) -> list[A]:
        """Return the next `n` architectures to evaluate, none of them asked or told before.

        Raises:
            SpaceExhausted: if the space has fewer than `n` left; carries those.
            ValueError: if `n` is not positive.
        """
        if n < 1:
            raise ValueError(f"cannot ask for {n} architectures; ask for at least 1")
        self._model = None
        random = torch.Generator().manual_seed(self._derived_seed())
        generator = GuidedGenerator(
            self.space, self._denoiser, self._device, seed=random.initial_seed() + 1
        )
        known = set(self._asked) if not self.repeats else self._pending_or_failed()
        at_random = min(n, max(self.initial - len(self._asked), 0))
        archs = available(generator, at_random, known=known) if at_random else []
        known |= {self.space.canonical(arch) for arch in archs}
        while len(archs) < n:
            found = self._propose(generator, self._at_once(n - len(archs)), known, archs, random)
            if not found:
                break
            archs += found
            known |= {self.space.canonical(arch) for arch in found}
        self._asked.update({self.space.canonical(arch): arch for arch in archs})
        if len(archs) < n:
            raise SpaceExhausted(
                f"asked for {n} new architectures, but only {len(archs)} of space "
                f"{self.space.name!r} were never asked before",
                archs,
            )
        return archs

    def expect(self, archs: Sequence[A]) -> None:
        """Record evaluations that are under way elsewhere: pending, as if they had been asked."""
        for arch in archs:
            self._asked.setdefault(self.space.canonical(arch), arch)

    @on_cpu
    def tell(
        self,
        archs: Sequence[A | str] | A | str,
        values: Sequence[float] | float,
        constraints: Sequence[Sequence[float]] | Sequence[float] | None = None,
    ) -> None:
        """Record evaluations, whether they were asked or not; repeats are noisy measurements.

        A value that is not finite is a failure: it is never asked again, and a model of where
        evaluations fail keeps the search away, unless the same architecture did not fail once.
        One architecture may be told with one value.

        Args:
            archs: what was evaluated: architectures, or their strings.
            values: of the objective, one for each.
            constraints: for each the values of all constraints, which are met if not positive; or
                none where they are unknown.

        Raises:
            ValueError: if the lengths differ, or an architecture is not of the space.
        """
        limits: Any = constraints
        if isinstance(values, Real) or getattr(values, "ndim", None) == 0:
            archs, values = [archs], [values]  # type: ignore[list-item]
            limits = None if constraints is None else [constraints]
        self._record(archs, values, limits)  # type: ignore[arg-type]

    def _record(
        self,
        archs: Sequence[A | str] | str,
        values: Sequence[float],
        constraints: Sequence[Sequence[float]] | None,
    ) -> None:
        """Check all that is told before any of it is recorded."""
        if isinstance(archs, str) or not isinstance(archs, Sequence):
            raise ValueError(f"{archs} was told with a list of values; give it one value")
        if len(archs) != len(values):
            raise ValueError(f"{len(archs)} architectures were told with {len(values)} values")
        numbers = [float(value) for value in values]
        read = [self._read(arch) for arch in archs]
        limits = [tuple(map(float, limit)) for limit in constraints or [()] * len(read)]
        if len(limits) != len(read):
            raise ValueError(f"{len(read)} architectures were told with {len(limits)} constraints")
        for arch, value, limit in zip(read, numbers, limits, strict=True):
            self._asked.setdefault(self.space.canonical(arch), arch)
            self.trials.append(Trial(arch, value, limit))

    def trials_dataframe(self) -> pandas.DataFrame:
        """Return the trials as a table, a row each, in order; see `dataframe`.

        Raises:
            ImportError: if pandas is not installed.
        """
        return dataframe(self.trials)

    def save(self, path: str | Path) -> None:
        """Write settings, trials and what is pending to a JSON file; see `load`."""
        Saved(
            kind=type(self).__name__,
            space=(self.space.name, tuple(self.space.shape)),
            settings=self._settings(),
            asked=tuple(map(str, self._asked.values())),
            trials=tuple(Row(str(t.arch), t.told, t.constraints) for t in self.trials),
        ).write(Path(path))

    @classmethod
    def load(cls, path: str | Path, space: Space[A] | None = None, **objects: Any) -> Self:
        """Return the search that `save` wrote: it asks what the other one would have asked.

        Args:
            path: the file.
            space: where to search; may be left out for the spaces that need no arguments.
            objects: arguments that were no names or numbers, such as `prior`, and `device`.

        Raises:
            ValueError: if the file is no such file, is of another space, or needs objects.
        """
        saved = Saved.read(Path(path))
        space, settings = saved.arguments(cls.__name__, space, objects)
        try:
            search = cls(space, **settings)
            search.expect([search._read(arch) for arch in saved.asked])
            rows: Any = zip(*((t.arch, t.value, t.constraints) for t in saved.trials), strict=True)
            search.tell(*(rows if saved.trials else ((), ())))
        except (TypeError, ValueError) as error:
            raise ValueError(f"cannot go on from {path}: {error}") from None
        return search

    def _settings(self) -> dict[str, Any]:
        """Return the arguments that decide what is asked, as a file can hold them."""
        objects = {"denoiser": self._own_denoiser, "prior": bool(self.priors)}
        return {
            "surrogate": self._names[0],
            "strategy": self._names[1],
            "seed": self.seed,
            "initial": self.initial,
            "direction": "maximize" if self.maximize else "minimize",
            "acquisition": self.acquisition,
            "candidates": self.candidates,
            "repeats": self.repeats,
            "distinct": self.distinct,
            **{name: OBJECT for name, own in objects.items() if own},
        }

    @on_cpu
    def predict(self, arch: A) -> Prediction | None:
        """Return what the last `ask` thought of `arch`; None if that was random."""
        if self._model is None:
            return None
        scale, surrogate, acquisition = self._model
        with torch.no_grad():
            x = self._encode([arch])
            mean, deviation = (float(t) for t in surrogate.posterior(x))
            levels = [mean, mean - deviation, mean + deviation]
            middle, low, high = scale.inverse(torch.tensor(levels, dtype=torch.double)).tolist()
            return Prediction(float(acquisition(x)), middle, abs(high - low) / 2)

    def _at_once(self, n: int) -> int:
        """Return how many of `n` to propose together: one where only priors speak.

        Before the first value, each proposal has to promise more than the ones before it, so that
        they spread over what priors disagree on.
        """
        finished = any(math.isfinite(trial.value) for trial in self.trials)
        return n if finished or not self.priors else 1

    def _propose(
        self,
        generator: GuidedGenerator[A],
        n: int,
        known: set[Hashable],
        picked: Sequence[A],
        random: torch.Generator,
    ) -> list[A]:
        """Let the strategy propose under the acquisition function, and pick the best `n`."""
        finished = [trial for trial in self.trials if math.isfinite(trial.value)]
        if not finished and not self.priors:
            return available(generator, n, known=known)
        scale, surrogate, best = self._fit([*self.pending, *picked])
        ranked = sorted(finished, key=lambda t: (t.feasible, self._signed(t)), reverse=True)
        archs = dict.fromkeys(trial.arch for trial in ranked)
        request = Request(
            n=max(self.candidates, 2 * n),
            known=frozenset(known),
            incumbents=list(islice(filter(self.space.is_valid, archs), INCUMBENTS)),
            acquisition=self._acquire(surrogate, best, random),
            random=random,
        )
        if finished:
            self._model = scale, surrogate, request.acquisition
        found = self.strategy.propose(generator, request)
        return self._pick(found, n, surrogate, best, random)

    def _fit(self, pending: Sequence[A]) -> tuple[ObjectiveScale, Surrogate, float | None]:
        """Fit the surrogates to the history; return them with the best feasible target.

        Failures tell where evaluations fail, and nothing of the objective there.
        """
        trials = self._unforgiven()
        done = [trial for trial in trials if math.isfinite(trial.value)]
        if not done:
            return self._prior_alone(pending)
        values = torch.tensor([trial.value for trial in done], dtype=torch.double)
        scale = ObjectiveScale.of(values, maximize=self.maximize)
        x = self._encode([trial.arch for trial in done])
        surrogate = fit_to_values(informed(self.surrogate, self.priors), x, values, scale)
        self._feasibility = self._fit_feasibility(trials)
        feasible = torch.tensor([trial.feasible for trial in done]).to(x.device)
        worth = levels(surrogate, x, scale(values).to(x), self.repeats)
        best = float(worth[feasible].max()) if feasible.any() else None
        if pending:
            surrogate = surrogate.fantasize(self._encode(pending))
        return scale, surrogate, best

    def _fit_feasibility(self, trials: Sequence[Trial[A]]) -> Feasibility | None:
        """Fit what constraints and failures tell; a failure is one constraint more, violated."""
        failed = [not math.isfinite(trial.value) for trial in trials]
        rows: list[tuple[float, ...]] = [trial.constraints for trial in trials]
        if any(failed):
            count = max(map(len, rows))
            rows = [
                (*row, *[math.nan] * (count - len(row)), 1.0 if bad else -1.0)
                for row, bad in zip(rows, failed, strict=True)
            ]
        return Feasibility.fit(self.surrogate, self._encode([t.arch for t in trials]), rows)

    def _unforgiven(self) -> list[Trial[A]]:
        """Return the trials without failures of architectures that did not fail another time."""
        failed = [not math.isfinite(trial.value) for trial in self.trials]
        if not any(failed):
            return self.trials
        keys = [self.space.canonical(trial.arch) for trial in self.trials]
        fine = {key for key, bad in zip(keys, failed, strict=True) if not bad}
        rows = zip(self.trials, keys, failed, strict=True)
        return [trial for trial, key, bad in rows if not (bad and key in fine)]

    def _prior_alone(self, pending: Sequence[A]) -> tuple[ObjectiveScale, Surrogate, float | None]:
        """Return what is believed before the first value; failures count as observed there."""
        surrogate = informed(self.surrogate, self.priors)
        self._feasibility = None
        known = [*(trial.arch for trial in self.trials), *pending]
        best = 0.0
        if known:
            x = self._encode(known)
            surrogate = surrogate.fantasize(x)
            with torch.no_grad():
                best = float(surrogate.posterior(x)[0].max())
        return ObjectiveScale(1.0, 0.0, 1.0, 0.0, 1.0), surrogate, best

    def _acquire(self, surrogate: Surrogate, best: float | None, random: torch.Generator) -> Guide:
        guide: Guide
        if best is None and self._feasibility is not None:
            return self._feasibility
        if self.acquisition == "logei":
            guide = LogExpectedImprovement(surrogate, best or 0.0)
        elif self.acquisition == "ucb":
            guide = UpperConfidenceBound(surrogate)
        else:
            seed = int(torch.randint(2**31, (), generator=random))
            guide = IndependentThompson(surrogate, seed)
        return guide if self._feasibility is None else Constrained(guide, self._feasibility)

    def _pick(
        self,
        candidates: list[A],
        n: int,
        surrogate: Surrogate,
        best: float | None,
        random: torch.Generator,
    ) -> list[A]:
        """Pick greedily; each pick counts as observed at its mean for the next."""
        picked: list[A] = []
        encoded = self._encode(candidates) if candidates else torch.empty(0)
        left = list(range(len(candidates)))
        with torch.no_grad():
            while left and len(picked) < n:
                if picked:
                    surrogate = surrogate.fantasize(self._encode(picked[-1:]))
                scores = self._acquire(surrogate, best, random)(encoded[left])
                picked.append(candidates[left.pop(int(scores.argmax()))])
        return picked

    def _encode(self, archs: Sequence[A]) -> Tensor:
        return self.space.encode(archs).to(self._device)

    def _read(self, arch: A | str) -> A:
        """Return an architecture of the space, which may be given by its string."""
        if self._contains(arch):
            return arch  # type: ignore[return-value]
        if isinstance(arch, str):
            return self.space.parse(arch)
        raise ValueError(f"{arch} is not an architecture of space {self.space.name!r}")

    def _contains(self, arch: Any) -> bool:
        """Whether `arch` is of the space; what is not even an architecture is not."""
        try:
            return unpinned(self.space).is_valid(arch)
        except (AttributeError, TypeError):
            return False

    def _pending_or_failed(self) -> set[Hashable]:
        failed = [trial.arch for trial in self.trials if not math.isfinite(trial.value)]
        return {self.space.canonical(arch) for arch in [*self.pending, *failed]}

    def _signed(self, trial: Trial[A]) -> float:
        return trial.value if self.maximize else -trial.value

    def _derived_seed(self) -> int:
        """Derive the seed of the next ask from the seed and the progress, stable everywhere."""
        text = f"{self.seed}/{len(self._asked)}/{len(self.trials)}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
