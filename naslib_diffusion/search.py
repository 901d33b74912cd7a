"""Ask/tell search: fit a surrogate, let a strategy find candidates, return the best of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import torch
from torch import Tensor

from naslib_diffusion.diffusion.exact import Denoiser
from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.generator import GuidedGenerator, SpaceExhausted
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.strategies import STRATEGIES, Request, Strategy, available
from naslib_diffusion.surrogates import (
    IndependentThompson,
    LogExpectedImprovement,
    NeuralEnsemble,
    ObjectiveScale,
    Surrogate,
    UpperConfidenceBound,
    make_surrogate,
)
from naslib_diffusion.threads import one_thread

A = TypeVar("A", bound=Hashable)

Direction = Literal["maximize", "minimize"]
ACQUISITIONS = ("logei", "ucb", "its")

INCUMBENTS = 20
"""How many of the best architectures a strategy gets to see."""


@dataclass(frozen=True)
class Trial(Generic[A]):
    """One finished evaluation; a failed one has the value NaN."""

    arch: A
    value: float


class Search(Generic[A]):
    """Sequential or batched search for the best architectures of a space.

    `ask` is a function of the seed and of what was told and asked before, so a search that is
    rebuilt from its history goes on as if it had never stopped.

    Args:
        space: where to search.
        surrogate: "gp", "ensemble" or a `Surrogate`.
        strategy: "guided", "random", "mutation" or a `Strategy`.
        seed: of all random decisions.
        initial: random architectures before the surrogate is trusted; at least 1.
        direction: "maximize" or "minimize" the objective.
        acquisition: "logei", "ucb" or "its"; the ensemble's is "its" unless told, else "logei".
        candidates: how many candidates the strategy proposes for each ask.
        denoiser: of the generator; the exact one unless told.
        device: where to generate; CUDA if there is one, else the CPU.

    Raises:
        ValueError: if an argument is not among the allowed.
    """

    def __init__(
        self,
        space: Space[A],
        surrogate: str | Surrogate = "gp",
        strategy: str | Strategy = "guided",
        *,
        seed: int = 0,
        initial: int = 10,
        direction: Direction = "maximize",
        acquisition: str | None = None,
        candidates: int = 64,
        denoiser: Denoiser | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        if direction not in ("maximize", "minimize"):
            raise ValueError(f"direction must be 'maximize' or 'minimize', not {direction!r}")
        if initial < 1:
            raise ValueError(f"initial must be at least 1, not {initial}")
        if isinstance(strategy, str) and strategy not in STRATEGIES:
            raise ValueError(f"unknown strategy {strategy!r}; known: {', '.join(STRATEGIES)}")
        self.space = space
        self.surrogate = (
            make_surrogate(surrogate, space) if isinstance(surrogate, str) else surrogate
        )
        self.strategy = STRATEGIES[strategy] if isinstance(strategy, str) else strategy
        self.acquisition = acquisition or (
            "its" if isinstance(self.surrogate, NeuralEnsemble) else "logei"
        )
        if self.acquisition not in ACQUISITIONS:
            raise ValueError(
                f"unknown acquisition function {acquisition!r}; known: {', '.join(ACQUISITIONS)}"
            )
        self.seed, self.initial, self.candidates = seed, initial, candidates
        self.maximize = direction == "maximize"
        blank = GuidedGenerator(space, denoiser, device)
        self._device, self._denoiser = blank.device, blank.denoiser
        self._asked: dict[Hashable, A] = {}
        self.trials: list[Trial[A]] = []

    @property
    def best(self) -> Trial[A] | None:
        """The finished trial with the best value; None before there is one."""
        finished = [trial for trial in self.trials if math.isfinite(trial.value)]
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
        random = torch.Generator().manual_seed(self._derived_seed())
        generator = GuidedGenerator(
            self.space, self._denoiser, self._device, seed=random.initial_seed() + 1
        )
        known = set(self._asked)
        at_random = min(n, max(self.initial - len(known), 0))
        archs = available(generator, at_random, known=known) if at_random else []
        known |= {self.space.canonical(arch) for arch in archs}
        if len(archs) < n:
            archs += self._propose(generator, n - len(archs), known, archs, random)
        self._asked.update({self.space.canonical(arch): arch for arch in archs})
        if len(archs) < n:
            raise SpaceExhausted(
                f"asked for {n} new architectures, but only {len(archs)} of space "
                f"{self.space.name!r} were never asked before",
                archs,
            )
        return archs

    def tell(self, archs: Sequence[A], values: Sequence[float]) -> None:
        """Record evaluations, whether they were asked or not; repeats are noisy measurements.

        A value that is not finite is a failure: it is never asked again, and counts for the
        surrogate as the worst value seen.

        Raises:
            ValueError: if the lengths differ, or an architecture is not of the space.
        """
        if len(archs) != len(values):
            raise ValueError(f"{len(archs)} architectures were told with {len(values)} values")
        foreign = [arch for arch in archs if not self.space.is_valid(arch)]
        if foreign:
            raise ValueError(f"{foreign[0]} is not an architecture of space {self.space.name!r}")
        for arch, value in zip(archs, values, strict=True):
            self._asked.setdefault(self.space.canonical(arch), arch)
            self.trials.append(Trial(arch, float(value)))

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
        if not finished:
            return available(generator, n, known=known)
        surrogate, best = self._fit([*self.pending, *picked])
        ranked = sorted(finished, key=self._signed, reverse=True)
        request = Request(
            n=max(self.candidates, 2 * n),
            known=known,
            incumbents=_distinct([trial.arch for trial in ranked], INCUMBENTS),
            acquisition=self._acquire(surrogate, best, random),
            random=random,
        )
        found = self.strategy.propose(generator, request)
        return self._pick(found, n, surrogate, best, random)

    def _fit(self, pending: Sequence[A]) -> tuple[Surrogate, float]:
        """Fit the surrogate to the history; return it with the best target."""
        values = torch.tensor([trial.value for trial in self.trials], dtype=torch.double)
        failed = ~values.isfinite()
        worst = values[~failed].min() if self.maximize else values[~failed].max()
        values = torch.where(failed, worst, values)
        targets = ObjectiveScale.of(values, maximize=self.maximize)(values)
        targets = targets.to(self._device)
        surrogate = self.surrogate.fit(self._encode([t.arch for t in self.trials]), targets)
        if pending:
            surrogate = surrogate.fantasize(self._encode(pending))
        return surrogate, float(targets.max())

    def _acquire(self, surrogate: Surrogate, best: float, random: torch.Generator) -> Guide:
        if self.acquisition == "logei":
            return LogExpectedImprovement(surrogate, best)
        if self.acquisition == "ucb":
            return UpperConfidenceBound(surrogate)
        return IndependentThompson(surrogate, int(torch.randint(2**31, (), generator=random)))

    def _pick(
        self,
        candidates: list[A],
        n: int,
        surrogate: Surrogate,
        best: float,
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

    def _signed(self, trial: Trial[A]) -> float:
        return trial.value if self.maximize else -trial.value

    def _derived_seed(self) -> int:
        """Derive the seed of the next ask from the seed and the progress, stable everywhere."""
        text = f"{self.seed}/{len(self._asked)}/{len(self.trials)}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def _distinct(archs: Sequence[A], limit: int) -> list[A]:
    return list(dict.fromkeys(archs))[:limit]
