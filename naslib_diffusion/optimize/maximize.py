"""Maximise a function over a space: generate under its guidance, then polish the best."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.diffusion.schedules import karras_sigmas
from naslib_diffusion.optimize.climb import Scores, climb
from naslib_diffusion.optimize.continua import Continua, meets
from naslib_diffusion.optimize.generator import (
    SHARPNESS,
    GuidedGenerator,
    SpaceExhausted,
    default_scale,
    upper_deviation,
)
from naslib_diffusion.optimize.moves import Moves, enumerate_blocks
from naslib_diffusion.runtime.threads import one_thread
from naslib_diffusion.spaces.base import AtomBlock, Block, Space, UniformBlock

A = TypeVar("A", bound=Hashable)

ENUMERATED = 1024
"""Spaces of at most so many encodings are enumerated: exact, and cheaper than anything else."""
FEW_MOVES = 64
"""Up to so many moves, such as those of a cell, a space counts as small."""
MANY_MOVES = 256
"""Above so many moves, a sweep of the polish scores twice as many."""
APART = 4.0
"""Squared distance between the starts of the polish: more than two one-hots, if possible."""
ENUMERATED_AT_LAST = 2**16
"""The same where all that was found is known already."""
DRAWS = 4096
"""Architectures drawn at a time where next to nothing is allowed."""
DRAWN = 2**16
"""How many of them, at most."""
CHOSEN = 16
"""Encodings that are decoded at a time to choose the best."""
SETTLED = 4
"""Architectures whose neighbours are tried where rounding has moved what was found."""
MOVED = 1e-6
"""Rounding by more than this has moved an encoding."""


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Attributes:
        probes: random architectures that set the unit of guidance, and compete as starts.
        samples: architectures to generate; 0 turns the generator off, and takes 32 more probes.
        steps: of denoising.
        scale: of guidance, see `GuidedGenerator.generate`; sharp for the space unless told.
        starts: how many of the best are polished; 0 turns the polish off.
        screen: moves that a sweep of the polish scores; see `climb`.
        pairs: moves that are combined with a second one at its end; see `climb`.
        rounds: how often continuous and discrete ascent take turns, at most.
        chunk: encodings that the function is given at once.
    """

    probes: int = 32
    samples: int = 32
    steps: int = 10
    scale: float | None = None
    starts: int = 8
    screen: int = 16
    pairs: int = 8
    rounds: int = 20
    chunk: int = 256

    @staticmethod
    def of(space: Space[Any]) -> Effort:
        """Return what suits a space.

        In small ones, climbing from random starts costs less than the gradients that generation
        needs, and finds the same. Where all is discrete, the climb puts right what a short
        generation leaves. Where choices meet continua, climbing takes turns, so that a
        start costs more: rather fewer of them, from a larger batch.
        """
        blocks = space.blocks or ()
        continuous = [isinstance(block, UniformBlock) for block in blocks]
        if all(continuous):
            return Effort()
        if any(continuous):
            return Effort(samples=64, starts=6)
        count = Moves(blocks).count
        if count <= FEW_MOVES:
            return Effort(samples=0, starts=3)
        return Effort(steps=6, screen=16 if count <= MANY_MOVES else 32)


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
        space: where to look. Its law has to factorise into `blocks`.
        effort: how hard to try; what suits the space unless told.
        device: where the function is evaluated.
        seed: of all random decisions.

    Raises:
        ValueError: if the law of the space does not factorise.
    """

    def __init__(
        self,
        space: Space[A],
        effort: Effort | None = None,
        *,
        device: torch.device | str | None = None,
        seed: int = 0,
    ) -> None:
        self.space, self.effort = space, effort or Effort.of(space)
        sigmas = karras_sigmas(self.effort.steps)
        self.generator = GuidedGenerator(space, device=device or "cpu", seed=seed, sigmas=sigmas)
        self.device = self.generator.device
        self.blocks = space.blocks or ()  # the generator has refused a space without
        self.moves = Moves(self.blocks, self.device)
        self.corners = Moves(list(map(_corners, self.blocks)), self.device)
        self.random = torch.Generator().manual_seed(seed + 1)

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
        scores = Scores(guide, self.space.shape, self.effort.chunk)
        slack = _in_columns(slack)
        everything = enumerate_blocks(self.blocks, ENUMERATED)
        if everything is not None:
            scores(_only(everything.to(self.device), slack))
        else:
            self._explore(scores, slack, starts)
        found = list(itertools.islice(self._new(scores, known, slack), n))
        if len(found) < n and everything is None:
            found = self._look_everywhere(scores, n, known, slack)
        values = torch.tensor([value for _, value in found], dtype=torch.double)
        return Maxima([arch for arch, _ in found], values, scores.count)

    def _explore(self, scores: Scores, slack: Guide | None, starts: Sequence[A]) -> None:
        """Probe, generate, polish."""
        effort = self.effort
        given = self._encode(starts)
        scores(given)
        count = effort.probes + 32 * (not effort.samples)
        probes = self._repair(self._encode(self.space.sample(count, self.random)), slack)
        values = scores(probes)
        if effort.samples and len(probes):
            scores(self._repair(self._generate(scores, probes, values), slack))
        if effort.starts and scores.count:
            x = _apart(self._valid_first(scores), effort.starts)
            self._polish(torch.cat([given, x]), scores, slack)
        if len(self.moves.continuous):
            self._settle(scores, slack)

    def _repair(self, x: Tensor, slack: Guide | None) -> Tensor:
        """Keep what meets the constraint, and what can be led there."""
        if slack is None:
            return x
        continua = self._continua(slack)
        x = continua.repair(x)
        met = meets(slack, x)
        if bool(met.all()) or not self.corners.count:
            return x[met]
        broken = Scores(
            lambda rows: slack(rows).clamp(max=0).sum(1), x.shape[1:], self.effort.chunk
        )
        repaired, _ = climb(x[~met], broken, self.corners, pairs=0, valid=self._valid)
        return torch.cat([x[met], _only(continua.repair(repaired), slack)])

    def _generate(self, scores: Scores, probes: Tensor, values: Tensor) -> Tensor:
        """Generate one batch under guidance, rounded to encodings of architectures."""
        unit = upper_deviation(values)
        scale = self.effort.scale
        if scale is None:
            scale = SHARPNESS * default_scale(self.effort.samples, self.space.size)
        blind = self._blind(scores, probes)
        guide = (lambda x: scores.relaxed(self._round(x))) if blind else scores.relaxed
        strength = scale / unit if unit > 0 else 0.0
        x = self.generator.denoise(self.effort.samples, guide, strength, blind=blind)
        return self.moves.round(x.flatten(1))

    def _blind(self, scores: Scores, probes: Tensor) -> bool:
        """Whether the function has no gradient with respect to some decision."""
        _, gradient = scores.gradient(probes[:2])
        gains = self.moves.gains(probes[:2], gradient)
        return gradient is None or bool((gains == torch.inf).any())

    def _round(self, x: Tensor) -> Tensor:
        return self.moves.round(x.flatten(1)).view_as(x)

    def _valid(self, x: Tensor) -> Tensor:
        """Tell which flat encodings are of valid architectures."""
        valid = [self.space.is_valid(arch) for arch in self._decode(x)]
        return torch.tensor(valid, dtype=torch.bool, device=x.device)

    def _valid_first(self, scores: Scores) -> Tensor:
        """Return the best of what was scored, distinct and valid."""
        x: Tensor = torch.unique_consecutive(scores.visited()[0], dim=0)
        x = x[: 8 * self.effort.starts]
        return x[self._valid(x)]

    def _polish(self, x: Tensor, scores: Scores, slack: Guide | None) -> None:
        """Climb; where coordinates are continuous, in turns with ascent along them.

        Under a constraint, the climb may take continuous coordinates to their ends, to give to one
        what it takes from another.
        """
        continua, before = self._continua(slack), -torch.inf
        moves = self.moves if slack is None else self.corners
        for _ in range(self.effort.rounds if len(continua.columns) else 1):
            if len(continua.columns):
                x, values = continua.ascend(x, scores)
            if moves.count:
                x, values = climb(
                    x,
                    scores,
                    moves,
                    screen=self.effort.screen,
                    pairs=self.effort.pairs,
                    allowed=None if slack is None else lambda rows: meets(slack, rows),
                    valid=self._valid,
                )
            best = float(values.max())
            if best <= before + 1e-9 * abs(before):
                break
            before = best

    def _continua(self, slack: Guide | None) -> Continua:
        return Continua(self.moves.continuous, self._valid, slack)

    def _settle(self, scores: Scores, slack: Guide | None) -> None:
        """Where continua are rounded, to fine grids, climb from the rounded best to neighbours."""
        x, _ = scores.visited()
        archs = self._decode(x[:SETTLED])
        if not archs or not bool(((self._encode(archs) - x[:SETTLED]).abs() > MOVED).any()):
            return
        best = -torch.inf
        for _ in range(self.effort.rounds):
            near = [a for arch in archs for a in self.space.neighbors(arch, self.random)]
            near = list(dict.fromkeys([*archs, *near]))
            rows = self._encode(near)
            met = self._continua(slack).allowed(rows).nonzero()[:, 0]
            values = scores(rows[met])
            if not len(met) or float(values.max()) <= best:
                break
            best = float(values.max())
            top = met[values.topk(min(SETTLED, len(met))).indices]
            archs = [near[i] for i in top.tolist()]

    def _encode(self, archs: Sequence[A]) -> Tensor:
        return self.space.encode(archs).flatten(1).to(self.device)

    def _new(
        self, scores: Scores, known: Collection[Hashable], slack: Guide | None
    ) -> Iterator[tuple[A, float]]:
        """Yield what was found and is valid and not known, distinct, best first.

        An encoding that is rounded when it is decoded, or in which something has no effect, is not
        that of its architecture: constraint and value are those of the latter.
        """
        x, values = scores.visited()
        seen, settled = set(known), list[tuple[float, int, A]]()
        for start in range(0, len(x), CHOSEN):
            archs = list(filter(self.space.is_valid, self._decode(x[start : start + CHOSEN])))
            own = self._encode(archs)
            met = torch.ones(len(own)).bool() if slack is None else meets(slack, own).cpu()
            archs = [arch for arch, ok in zip(archs, met.tolist(), strict=True) if ok]
            for i, value in enumerate(scores(own[met]).tolist(), start):
                heapq.heappush(settled, (-value, i, archs[i - start]))
            ahead = values[start + CHOSEN :][:1].tolist() or [-torch.inf]
            while settled and -settled[0][0] >= ahead[0]:
                value, _, arch = heapq.heappop(settled)
                key = self.space.canonical(arch)
                if key not in seen:
                    seen.add(key)
                    yield arch, -value

    def _look_everywhere(
        self, scores: Scores, n: int, known: Collection[Hashable], slack: Guide | None
    ) -> list[tuple[A, float]]:
        """Find up to `n` where little is left: by enumeration, or at random in a large space."""
        everything = enumerate_blocks(self.blocks, ENUMERATED_AT_LAST)
        if everything is not None:
            scores(_only(everything.to(self.device), slack))
        elif slack is not None:
            return self._draw(scores, n, known, slack)
        else:
            seed = self.random.initial_seed()
            generator = GuidedGenerator(self.space, device=self.device, seed=seed)
            try:
                archs = generator.generate(n, known=known)
            except SpaceExhausted as exhausted:
                archs = exhausted.found
            scores(self._encode(archs))
        return list(itertools.islice(self._new(scores, known, slack), n))

    def _draw(
        self, scores: Scores, n: int, known: Collection[Hashable], slack: Guide
    ) -> list[tuple[A, float]]:
        """Find up to `n` among random architectures."""
        found: list[tuple[A, float]] = []
        for _ in range(DRAWN // DRAWS):
            scores(_only(self._encode(self.space.sample(DRAWS, self.random)), slack))
            found = list(itertools.islice(self._new(scores, known, slack), n))
            if len(found) == n:
                break
        return found

    def _decode(self, x: Tensor) -> list[A]:
        return self.space.decode(x.view(-1, *self.space.shape).cpu())


def _corners(block: Block) -> Block:
    """Reduce a continuous coordinate to its ends."""
    if not isinstance(block, UniformBlock):
        return block
    return AtomBlock(block.start, torch.tensor([[0.0], [1.0]], dtype=torch.double))


def _in_columns(slack: Guide | None) -> Guide | None:
    """Return the slack of `M` constraints as `R x M`."""
    return None if slack is None else lambda x: slack(x).view(len(x), -1)


def _only(x: Tensor, slack: Guide | None) -> Tensor:
    return x if slack is None else x[meets(slack, x)]


def _apart(x: Tensor, count: int) -> Tensor:
    """Choose `count` of `x` (`R x D`, best first): far from each other first, then the best."""
    chosen: list[int] = []
    squares = torch.cdist(x, x).square()
    for i in range(len(x)):
        if len(chosen) < count and all(squares[i, j] > APART for j in chosen):
            chosen.append(i)
    rest = [i for i in range(len(x)) if i not in chosen]
    return x[chosen + rest[: count - len(chosen)]]
