"""The decisions of a law in blocks, in order, with what they cost: what budgets are spent on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naslib_diffusion.spaces.base import AtomBlock, Block, Factor, Terms, UnionBlock
from naslib_diffusion.spaces.paths import DEAD, PathBlock

_Floats = NDArray[np.float64]
_Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Layer:
    """One decision of a law, with what it costs: letters, by which mode each may be used.

    Modes tell apart the beginnings of the parts of a union. There are `Q` of them before the
    decision, `A` letters, and `m` costs.
    """

    letters: _Integers
    to: _Integers
    """The mode that follows, or `DEAD`, `Q x A`."""
    cost: _Floats
    """`Q x A x m`"""


@dataclass(frozen=True, eq=False)
class Decisions:
    """The decisions of a law in order: an alphabet and layers of it."""

    columns: tuple[int, ...]
    """Coordinates of the flattened encoding that they set."""
    letters: Tensor
    """What each letter adds to them, `M x len(columns)`."""
    layers: tuple[Layer, ...]
    weights: Tensor | None = None
    """How likely letters are as against others in their place, `M`; None if all are as likely."""

    @staticmethod
    def of(blocks: Sequence[Block], terms: Sequence[Terms]) -> Decisions:
        """Write blocks as decisions; `terms` has one entry for each of `m` costs.

        What is fixed has a term too, a letter of its own.
        """
        columns = tuple(c for block in blocks for c in block.columns)
        place = {column: i for i, column in enumerate(columns)}
        alphabet = _Alphabet(place)
        layers: list[Layer] = []
        for i, block in enumerate(blocks):
            layers += _layers(block, [term[i] for term in terms], alphabet)
        letters, weights = torch.cat(alphabet.letters), torch.cat(alphabet.weights)
        alike = bool((weights == 1).all())
        return Decisions(columns, letters, tuple(layers), None if alike else weights)

    def extremes(self) -> tuple[_Floats, _Floats]:
        """Return the least and the largest that can be spent, `m` each."""
        low, high = self.rest()
        return low[0][0], high[0][0]

    def rest(self) -> tuple[list[_Floats], list[_Floats]]:
        """Return the least and the largest that can follow, `Q x m` for each layer and the end."""
        size = self.layers[0].cost.shape[2]
        lows, highs = [np.zeros((1, size))], [np.zeros((1, size))]
        for layer in reversed(self.layers):
            dead = (layer.to == DEAD)[..., None]
            for bounds, worst, pick in ((lows, np.inf, np.min), (highs, -np.inf, np.max)):
                total = np.where(dead, worst, layer.cost + bounds[-1][layer.to])
                bounds.append(pick(total, axis=1))
        return lows[::-1], highs[::-1]


class _Alphabet:
    """The letters of all blocks: what each adds to coordinates, by their place, and its weight."""

    def __init__(self, place: Mapping[int, int]) -> None:
        self._place = place
        self.letters: list[Tensor] = []
        self.weights: list[Tensor] = []
        self.count = 0

    def add(self, factor: Factor) -> int:
        """Add the values of a factor, with columns of the encoding; return the first letter."""
        first, count = self.count, len(factor.atoms)
        letters = torch.zeros(count, len(self._place), dtype=torch.double)
        letters[:, [self._place[column] for column in factor.columns]] = factor.atoms.double()
        self.letters.append(letters)
        weights = factor.weights
        self.weights.append(letters.new_ones(count) if weights is None else weights.double())
        self.count += count
        return first


def _layers(block: Block, terms: Sequence[list[list[Tensor]]], alphabet: _Alphabet) -> list[Layer]:
    """Write a block as layers, one for each factor; parts that begin alike are one mode so far."""
    if isinstance(block, PathBlock):
        return _layers_of_paths(block, [own for (own,) in terms], alphabet)
    factors, parts = _parts(block)
    costs = [
        [torch.stack([t[p][f].double() for t in terms], 1).numpy() for f in range(len(part))]
        for p, part in enumerate(parts)
    ]
    first: dict[int, int] = {}  # the first letter of each factor
    words: list[list[tuple[int, _Floats]]] = []
    for part, cost in zip(parts, costs, strict=True):
        order = sorted(range(len(part)), key=lambda f: factors[part[f]].columns)
        for f in order:
            if part[f] not in first:
                first[part[f]] = alphabet.add(factors[part[f]])
        words.append([(part[f], cost[f]) for f in order])
    return list(_trie(words, first, alphabet, len(terms)))


def _layers_of_paths(
    block: PathBlock, terms: Sequence[list[Tensor]], alphabet: _Alphabet
) -> list[Layer]:
    """Write paths as layers, one for each step, whose modes are states; the end is one mode."""
    first = alphabet.add(Factor(block.columns, block.letters, block.weights))
    layers = []
    for i, step in enumerate(block.steps):
        to, last = step.to.numpy(), i == len(block.steps) - 1
        cost = torch.stack([own[i].double() for own in terms], 1).numpy()
        layers.append(
            Layer(
                first + step.letters.numpy(),
                np.where(to == DEAD, DEAD, 0) if last else to,
                np.broadcast_to(cost, (len(to), *cost.shape)),
            )
        )
    return layers


def _parts(block: Block) -> tuple[list[Factor], Sequence[Sequence[int]]]:
    """Return the factors of a block, with columns of the encoding, and which each part has."""
    if isinstance(block, AtomBlock):
        return [Factor(block.columns, block.atoms)], [[0]]
    if isinstance(block, UnionBlock):
        factors = [
            replace(f, columns=tuple(block.start + c for c in f.columns)) for f in block.factors
        ]
        return factors, block.parts
    raise TypeError(f"a {type(block).__name__} has no decisions")


def _trie(
    words: list[list[tuple[int, _Floats]]],
    first: dict[int, int],
    alphabet: _Alphabet,
    size: int,
) -> list[Layer]:
    """Merge the beginnings of words of (factor, its costs) into modes; the end is one mode."""
    length = max(map(len, words))
    if any(len(word) < length for word in words):  # nothing is decided in the rest of these
        first[DEAD] = alphabet.add(Factor((), torch.zeros(1, 0)))
        pad = (DEAD, np.zeros((1, size)))
        words = [word + [pad] * (length - len(word)) for word in words]
    layers, groups = [], [list(range(len(words)))]
    for depth in range(length):
        edges: list[tuple[int, int, int, _Floats]] = []  # mode, next mode, first letter, costs
        spans: dict[tuple[int, int], int] = {}  # a factor once for each of its costs in a mode
        letters: list[int] = []
        children: list[list[int]] = []
        for mode, group in enumerate(groups):
            kinds: dict[tuple[int, bytes], list[int]] = {}
            for w in group:
                factor, costs = words[w][depth]
                kinds.setdefault((factor, costs.tobytes()), []).append(w)
            used: list[int] = []
            for (factor, _), members in kinds.items():
                costs = words[members[0]][depth][1]
                span = factor, used.count(factor)
                used.append(factor)
                if span not in spans:
                    spans[span] = len(letters)
                    letters += range(first[factor], first[factor] + len(costs))
                edges.append((mode, len(children), spans[span], costs))
                children.append(members)
        to = np.full((len(groups), len(letters)), DEAD)
        cost = np.zeros((len(groups), len(letters), size))
        for mode, child, start, costs in edges:
            to[mode, start : start + len(costs)] = 0 if depth == length - 1 else child
            cost[mode, start : start + len(costs)] = costs
        layers.append(Layer(np.array(letters), to, cost))
        groups = children
    return layers
