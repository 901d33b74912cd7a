"""EDNAG: denoising that is guided by fitness alone (Zhou and Yu, arXiv:2504.17827).

A population of noisy encodings is denoised step by step. In place of a network, the clean estimate
of a member is the mean of all members, each weighed by its fitness and by how likely the noise
leads from it to that member (diffusion evolution, Zhang et al., ICLR 2025). Each step is followed
by a mutation and by a selection among parents and children.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Generic

import torch
from torch import Tensor

from naslib_diffusion.spaces import Space
from naslib_diffusion.spaces.base import A

RESCALED = ((0, 0.1), (30, 1.0), (50, 2.0), (70, 3.0), (75, 5.0), (80, 10.0), (85, 30.0),
            (90, 40.0), (95, 50.0))  # fmt: skip
"""From each accuracy (%) on, what a percent more is worth: the authors' scale of fitness."""


class EDNAG(Generic[A]):
    """A population that is denoised, anew after the last step.

    What was evaluated once is not evaluated again. The authors multiply accuracies by a factor of
    each data set's own before they rescale them (1 on CIFAR-10); here it is 1 everywhere.

    Args:
        space: where to search.
        seed: of all random decisions.
        population: number of members.
        steps: of denoising, on a cosine schedule.
        noise: share of the noise that DDPM adds in a step.
        mutated: share of the children that are mutated.
        spread: index of the polynomial mutation; the larger it is, the smaller are changes.
        elites: share of the population that are its best.
        diverse: share of the population that lie farthest from the others.

    Attributes:
        begun: number of populations so far.
    """

    def __init__(
        self,
        space: Space[A],
        seed: int,
        *,
        population: int,
        steps: int,
        noise: float,
        mutated: float,
        spread: float,
        elites: float,
        diverse: float,
    ) -> None:
        self._space, self._size, self._noise = space, population, noise
        self._mutated, self._spread = mutated, spread
        self._elites, self._diverse = int(elites * population), int(diverse * population)
        self._generator = torch.Generator().manual_seed(seed)
        times = torch.linspace(math.pi, 0, steps, dtype=torch.double)
        self._alphas = ((times.cos() + 1) / 2).tolist()
        self._values: dict[Hashable, float] = {}
        self._told: list[A] = []
        self._parents = self._children = torch.empty(0, math.prod(space.shape), dtype=torch.double)
        self._step = self.begun = 0

    def ask(self) -> A:
        """Return a child that was not evaluated; when all were, take a step."""
        for _ in range(10 * len(self._alphas)):
            for arch in self._decode(self._children):
                if self._space.canonical(arch) not in self._values:
                    return arch
            self._advance()
        return self._space.sample(1, self._generator)[0]

    def tell(self, arch: A, value: float) -> None:
        """Record a value; what was never asked for is among the first members."""
        self._values[self._space.canonical(arch)] = value
        if not len(self._children):
            self._told.append(arch)

    def _advance(self) -> None:
        """Select among parents and children, and denoise; or begin, where that is at its end."""
        if not len(self._children) or self._step + 1 >= len(self._alphas):
            self._begin()
            return
        self._parents = self._selected()
        denoised = self._denoised(self._parents, *self._alphas[self._step : self._step + 2])
        self._children = self._mutate(denoised)
        self._step += 1

    def _begin(self) -> None:
        """Start from noise, and from what was told before anything was asked for."""
        told = 2 * self._space.encode(self._told).flatten(1) - 1 if self._told else self._parents
        drawn = self._normal(max(self._size - len(told), 0), math.prod(self._space.shape))
        self._children = torch.cat([told[: self._size].to(drawn), drawn])
        self._parents, self._told, self._step = self._parents[:0], [], 0
        self.begun += 1

    def _denoised(self, x: Tensor, alpha: float, following: float) -> Tensor:
        """Take a step of DDIM from noise level `alpha` to `following`: `B x D`."""
        fitness = self._fitness(x)
        distances = torch.cdist(x, math.sqrt(alpha) * x).square()
        weights = (fitness - fitness.max() - distances / (2 * (1 - alpha))).softmax(1)
        clean = weights @ x
        direction = (x - math.sqrt(alpha) * clean) / math.sqrt(1 - alpha)
        sigma = self._noise * math.sqrt((1 - following) / (1 - alpha) * (1 - alpha / following))
        rest = math.sqrt(max(1 - following - sigma**2, 0.0))
        return math.sqrt(following) * clean + rest * direction + sigma * self._normal(*x.shape)

    def _mutate(self, x: Tensor) -> Tensor:
        """Mutate some members by one draw each, and stretch all to [-1, 1]."""
        draw, power = self._uniform(len(x), 1), self._spread + 1
        low, high = ((x + 1) / 2).clamp(0, 1), ((1 - x) / 2).clamp(0, 1)
        down = (2 * draw + (1 - 2 * draw) * (1 - low) ** power).clamp(min=0) ** (1 / power) - 1
        up = 1 - (2 * (1 - draw) + (2 * draw - 1) * (1 - high) ** power).clamp(min=0) ** (
            1 / power
        )
        change = 2 * torch.where(draw <= 0.5, down, up)
        x = torch.where(self._uniform(len(x), 1) <= self._mutated, x + change, x)
        least, most = x.min(1, keepdim=True).values, x.max(1, keepdim=True).values
        return 2 * (x - least) / (most - least).clamp(min=1e-12) - 1

    def _selected(self) -> Tensor:
        """Return the best, the most diverse, and others by roulette, of parents and children."""
        x = torch.cat([self._parents, self._children])
        fitness = self._fitness(x)
        diversity = _unit(torch.cdist(x, x).sum(1))
        chances = _unit(fitness * (1 + diversity)) + 1e-9
        best = _distinct(fitness)[: self._elites]
        eligible = diversity.masked_fill(fitness < 0.1 * fitness.max(), -1.0)
        apart = eligible.argsort(descending=True)[: self._diverse]
        chances[torch.cat([best, apart])] = 0
        rest = min(self._size - len(best) - len(apart), int((chances > 0).sum()))
        others = torch.multinomial(chances, rest, generator=self._generator)
        return x[torch.cat([best, apart, others])]

    def _fitness(self, x: Tensor) -> Tensor:
        """Return the fitness of members that were all evaluated: `B`."""
        keys = [self._space.canonical(arch) for arch in self._decode(x)]
        return fitness_of(torch.tensor([self._values[key] for key in keys], dtype=torch.double))

    def _decode(self, x: Tensor) -> list[A]:
        return self._space.decode((x.view(-1, *self._space.shape) + 1) / 2) if len(x) else []

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self._generator, dtype=torch.double)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self._generator, dtype=torch.double)


def fitness_of(values: Tensor) -> Tensor:
    """Return accuracies (%) on the authors' scale, what is no % in tenths of its spread: `B`."""
    if float(values.min()) < 0 or float(values.max()) > 100:
        return 10 * (values - values.min()) / values.std().nan_to_num(1.0).clamp(min=1e-9)
    starts, worths = zip(*RESCALED, strict=True)
    ends = torch.tensor([*starts[1:], math.inf], dtype=torch.double)
    begins = torch.tensor(starts, dtype=torch.double)
    inside = (torch.minimum(values[:, None], ends) - begins).clamp(min=0)
    return inside @ torch.tensor(worths, dtype=torch.double)


def _unit(values: Tensor) -> Tensor:
    """Stretch values to [0, 1]: `B`."""
    return (values - values.min()) / (values.max() - values.min()).clamp(min=1e-12)


def _distinct(fitness: Tensor) -> Tensor:
    """Return the numbers of members of distinct fitness, the best first."""
    order = fitness.argsort(descending=True)
    ordered = fitness[order]
    first = torch.cat([ordered[:1] > -math.inf, ordered[1:] < ordered[:-1]])
    return order[first]
