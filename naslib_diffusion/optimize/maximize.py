"""Maximise a function over a space: generate under its guidance, then polish the best."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from naslib_diffusion.diffusion.exact import Denoiser
from naslib_diffusion.diffusion.guidance import Guide, value_and_gradient
from naslib_diffusion.optimize.block_moves import is_silent
from naslib_diffusion.optimize.choice import best
from naslib_diffusion.optimize.continua import only
from naslib_diffusion.optimize.effort import Effort
from naslib_diffusion.optimize.enumeration import enumerate_blocks
from naslib_diffusion.optimize.generator import GuidedGenerator
from naslib_diffusion.optimize.polish import Polisher
from naslib_diffusion.optimize.pool import SpaceExhausted
from naslib_diffusion.optimize.scale import SHARPNESS, default_scale, upper_deviation
from naslib_diffusion.optimize.scores import Scores
from naslib_diffusion.runtime.threads import on_cpu, one_thread
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.sampling import sample_some

A = TypeVar("A", bound=Hashable)

ENUMERATED = 1024
"""Spaces of at most so many encodings are enumerated: exact, and cheaper than anything else."""
ENUMERATED_LIST = 2**17
"""The same of spaces that are a single list: its members are there already."""
APART = 4.0
"""Squared distance between the starts of the polish: more than two one-hots, if possible."""
ENUMERATED_AT_LAST = 2**16
"""The same where all that was found is known already."""
DRAWS = 4096
"""Architectures drawn at a time where next to nothing is allowed."""
DRAWN = 2**16
"""How many of them, at most."""


@dataclass(frozen=True, eq=False)
class Maxima(Generic[A]):
    """The best that was found, best first.

    Attributes:
        archs: distinct, valid and not known; fewer than wanted only if the space has no more.
        values: of the function, one for each.
        evaluations: encodings at which the function was evaluated, relaxed ones included.
    """

    archs: list[A]
    values: Tensor
    evaluations: int


class Maximizer(Generic[A]):
    """Finds the architectures of a space at which a function is largest.

    A guided batch of the generator is discretised; from the best of it and of a few random
    architectures, coordinate ascent goes on until no single decision can be improved.

    Args:
        space: where to look.
        effort: how hard to try. The default suits the space.
        device: where the function is evaluated.
        seed: of all random decisions.
        denoiser: that of the generator. The default is the exact one.

    Raises:
        ValueError: if the law of the space does not factorise and no denoiser is given.
    """

    @on_cpu
    def __init__(
        self,
        space: Space[A],
        effort: Effort | None = None,
        *,
        device: torch.device | str | None = None,
        seed: int = 0,
        denoiser: Denoiser | None = None,
    ) -> None:
        self.space, self.effort = space, effort or Effort.of(space)
        steps = self.effort.steps
        self.generator = GuidedGenerator(space, denoiser, device or "cpu", seed, steps=steps)
        self.device = self.generator.device
        self.blocks = space.blocks or ()
        self.random = torch.Generator().manual_seed(seed + 1)
        self.polisher = Polisher(space, self.effort, self.device, self.random)

    @one_thread()
    def __call__(
        self,
        guide: Guide,
        n: int = 1,
        *,
        known: Collection[Hashable] = (),
        slack: Guide | None = None,
        starts: Sequence[A] = (),
    ) -> Maxima[A]:
        """Return the best `n` distinct valid architectures that are not known.

        Args:
            guide: maps encodings, `B x *shape`, to scores to be maximised, `B`.
            n: how many, at least 1.
            known: canonical keys of architectures not to be returned.
            slack: maps flat encodings, `R x D`, to how far they are from breaking each of `M`
                constraints, `R` or `R x M`; negative for those that must not be returned, which
                are repaired where that is possible: by steps along continua, if it has a gradient
                there, and by single moves.
            starts: architectures from which to climb as well.

        Raises:
            ValueError: if the function is NaN somewhere or returns a wrong shape.
        """
        scores = Scores(self.space, guide, self.device, self.effort.chunk)
        slack = _in_columns(slack)
        alone = len(self.blocks) == 1
        everything = enumerate_blocks(self.blocks, ENUMERATED_LIST if alone else ENUMERATED)
        if everything is not None:
            scores(only(everything.to(self.device), slack))
        else:
            self._explore(scores, slack, starts)
        found = self._best(scores, n, known, slack)
        if len(found) < n and everything is None:
            self._look_everywhere(scores, n, known, slack)
            found = self._best(scores, n, known, slack)
        values = torch.tensor([value for _, value in found], dtype=torch.double)
        return Maxima([arch for arch, _ in found], values, scores.count)

    def _explore(self, scores: Scores[A], slack: Guide | None, starts: Sequence[A]) -> None:
        """Probe, generate, polish."""
        effort = self.effort
        given = scores.encode(starts)
        scores(given)
        count = effort.probes + 32 * (not effort.samples)
        random = sample_some(self.space, count, self.random)
        probes = self.polisher.repair(scores.encode(random), slack)
        values = scores(probes)
        if effort.samples and len(probes):
            scores(self.polisher.repair(self._generate(scores, probes, values), slack))
        if effort.starts and scores.count:
            x = _apart(self._valid_first(scores), effort.starts)
            self.polisher(torch.cat([given, x]), scores, slack)

    def _generate(self, scores: Scores[A], probes: Tensor, values: Tensor) -> Tensor:
        """Generate one batch under guidance, rounded to encodings of architectures."""
        unit = upper_deviation(values)
        scale = self.effort.scale
        if scale is None:
            scale = SHARPNESS * default_scale(self.effort.samples, self.space.size)
        blind = self._blind(scores, probes)

        def rounded(x: Tensor) -> Tensor:
            return scores.relaxed(self.polisher.moves.round(x.flatten(1)).view_as(x))

        guide = rounded if blind else scores.relaxed
        strength = scale / unit if unit > 0 else 0.0
        x = self.generator.denoise(self.effort.samples, guide, strength, blind=blind)
        return self.polisher.moves.round(x.flatten(1))

    def _blind(self, scores: Scores[A], probes: Tensor) -> bool:
        """Whether the function has no gradient with respect to some decision.

        Amid the probes: at an architecture, decisions may be idle that matter in others.
        """
        _, gradient = value_and_gradient(scores.relaxed, probes.mean(0).view(1, *self.space.shape))
        return gradient is None or is_silent(self.blocks, gradient.flatten(1))

    def _valid_first(self, scores: Scores[A]) -> Tensor:
        """Return the best of what was scored, distinct and valid."""
        x: Tensor = torch.unique_consecutive(scores.visited()[0], dim=0)
        found = x[:0]
        for part in torch.split(x, 8 * self.effort.starts):
            found = torch.cat([found, part[self.polisher.valid(part)]])
            if len(found) >= self.effort.starts:
                break
        return found

    def _look_everywhere(
        self, scores: Scores[A], n: int, known: Collection[Hashable], slack: Guide | None
    ) -> None:
        """Score up to `n` where little is left: by enumeration, or at random in a large space."""
        everything = enumerate_blocks(self.blocks, ENUMERATED_AT_LAST)
        if everything is not None:
            scores(only(everything.to(self.device), slack))
        elif slack is not None:
            self._draw(scores, n, known, slack)
        else:
            seed = self.random.initial_seed()
            generator = GuidedGenerator(
                self.space, self.generator.denoiser, self.device, seed=seed
            )
            try:
                archs = generator.generate(n, known=known)
            except SpaceExhausted as exhausted:
                archs = exhausted.found
            scores(scores.encode(archs))

    def _draw(self, scores: Scores[A], n: int, known: Collection[Hashable], slack: Guide) -> None:
        """Score what is allowed among random architectures, until there are `n`."""
        for _ in range(DRAWN // DRAWS):
            drawn = sample_some(self.space, DRAWS, self.random)
            scores(only(scores.encode(drawn), slack))
            if len(self._best(scores, n, known, slack)) == n:
                break

    def _best(
        self, scores: Scores[A], n: int, known: Collection[Hashable], slack: Guide | None
    ) -> list[tuple[A, float]]:
        """Return up to `n` of what was scored that are not known, best first."""

        def key(arch: A) -> Hashable | None:
            own = self.space.canonical(arch)
            return None if own in known else own

        return list(itertools.islice(best(scores, key, slack), n))


def _in_columns(slack: Guide | None) -> Guide | None:
    """Return the slack of `M` constraints as `R x M`."""
    return None if slack is None else lambda x: slack(x).view(len(x), -1)


def _apart(x: Tensor, count: int) -> Tensor:
    """Choose `count` of `x` (`R x D`, best first): far from each other first, then the best."""
    chosen: list[int] = []
    squares = torch.cdist(x, x).square()
    for i in range(len(x)):
        if len(chosen) < count and all(squares[i, j] > APART for j in chosen):
            chosen.append(i)
    rest = [i for i in range(len(x)) if i not in chosen]
    return x[chosen + rest[: count - len(chosen)]]
