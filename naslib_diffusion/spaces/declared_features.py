"""What a surrogate sees of a declared space: levels, counts, presence, and sums over repeats.

All features but those of wirings are linear in encodings. Choices that are all numbers have one
level each, by rank, since what is between two numbers mostly does what is between; others have
one-hots.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from naslib_diffusion.spaces.base import FeaturesPullback
from naslib_diffusion.spaces.declared_law import Law
from naslib_diffusion.spaces.levels import levels, middle
from naslib_diffusion.spaces.parameters import Categorical, Parameter
from naslib_diffusion.spaces.wiring_features import WiringFeatures

PRESENT = 1.5
"""Weight of a decision's presence beside its level."""


class Features:
    """The groups of features of a declared space.

    Args:
        columns: of the features that are linear, `D x K_i` for each group.
        wirings: one for each wiring.
    """

    def __init__(self, columns: Sequence[Tensor], wirings: Sequence[WiringFeatures]) -> None:
        self._columns, self._wirings = columns, wirings

    @staticmethod
    def of(law: Law) -> Features:
        """Return those of a law."""
        seen = _Seen(law)
        parts = [WiringFeatures(wired, law.coding, seen.together) for wired in law.wirings]
        return Features(seen.groups(), parts)

    def to(self, like: Tensor) -> Features:
        """Return the same for encodings on that device, of that precision."""
        return Features(
            [own.to(like) for own in self._columns], [w.to(like) for w in self._wirings]
        )

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the features of `B x D`: those of wirings are the last two groups."""
        return (*(x @ columns for columns in self._columns), *self._wired(x))

    def linearize(self, x: Tensor) -> tuple[tuple[Tensor, ...], FeaturesPullback]:
        """Return the features and the way back; see `LinearizedFeatures`."""
        with torch.enable_grad():
            leaf = x.detach().requires_grad_(bool(self._wirings))
            wired = self._wired(leaf)
        linear = tuple(x @ columns for columns in self._columns)

        def pullback(by: Sequence[Tensor]) -> Tensor:
            slopes = [own @ c.mT for own, c in zip(by, self._columns, strict=False)]
            slopes += torch.autograd.grad(wired, leaf, by[len(slopes) :]) if wired else []
            return torch.stack(slopes).sum(0)

        return (*linear, *(own.detach() for own in wired)), pullback

    def _wired(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return two groups if there are wirings: what there is, and ways through it."""
        found = [wiring(x) for wiring in self._wirings]
        return tuple(torch.cat(own, 1) for own in zip(*found, strict=True))


class _Seen:
    """The columns of single decisions, and of groups of them."""

    def __init__(self, law: Law) -> None:
        self._law = law
        self._may_lack = {decision.declared for decision in law.decisions if decision.guards}

    def one(self, number: int) -> Tensor:
        """Return the columns of a decision, `D x K`."""
        decision = self._law.decisions[number]
        own = _levels(decision.parameter, decision.declared in self._may_lack)
        return _placed(own, self._law.columns[number], self._law.width)

    def together(self, numbers: Sequence[int]) -> Tensor:
        """Return the columns of some decisions, `D x K`."""
        none = torch.zeros(self._law.width, 0, dtype=torch.double)
        return torch.cat([none, *map(self.one, numbers)], 1)

    def groups(self) -> list[Tensor]:
        """Return the columns of each group of features of decisions outside of wirings.

        The first has the decisions outside of repeats. Where there are repeats, the second has
        those of each copy, and the third their sums over copies, how they rise from first to last,
        and how many are neither low nor high (see `middle`); both with those outside as well.
        """
        outside, inside = [], []
        sums: dict[str, list[Tensor]] = {}
        wired = {d for wiring in self._law.wirings for d in wiring.inside}
        for number, decision in enumerate(self._law.decisions):
            if number in wired:
                continue
            own = self.one(number)
            if decision.place is None:
                outside.append(own)
                continue
            own = own / decision.places**0.5
            inside.append(own)
            trend = 3**0.5 * levels(decision.places)[decision.place] * own
            middles = _middles(decision.parameter) / decision.places**0.5
            amid = _placed(middles, self._law.columns[number], self._law.width)
            sums.setdefault(decision.declared, []).append(torch.cat([own, trend, amid], 1))
        totals = [torch.stack(own).sum(0) for own in sums.values()]
        groups = [outside, outside + inside, outside + totals] if inside else [outside]
        return [torch.cat(group, 1) for group in groups if group]


def _placed(values: Tensor, columns: Sequence[int], width: int) -> Tensor:
    """Return the rows of one decision amid those of the whole law, `width x k`."""
    rows = torch.zeros(width, values.shape[1], dtype=torch.double)
    rows[list(columns)] = values
    return rows


def _levels(parameter: Parameter, may_lack: bool) -> Tensor:
    """Return what the coordinates of a decision stand for, `width x k`."""
    if not isinstance(parameter, Categorical):
        return torch.full((parameter.width, 1), 2.0, dtype=torch.double)
    if not _is_ordered(parameter):
        return torch.eye(parameter.width, dtype=torch.double)
    columns = [_ordered(parameter)]
    if may_lack:
        columns.append(torch.full_like(columns[0], PRESENT))
    return torch.stack(columns, 1)


def _middles(parameter: Parameter) -> Tensor:
    """Return which of ordered choices are in the middle, `width x 1`; `width x 0` for others."""
    if isinstance(parameter, Categorical) and _is_ordered(parameter) and parameter.width > 2:
        return middle(_ordered(parameter))[:, None]
    return torch.zeros(parameter.width, 0, dtype=torch.double)


def _is_ordered(parameter: Categorical) -> bool:
    values = parameter.values or ()
    return len(values) > 1 and all(type(value) in (int, float) for value in values)


def _ordered(parameter: Categorical) -> Tensor:
    """Return the levels of choices that are numbers, from -1 to 1 by rank."""
    numbers = [float(value) for value in parameter.values or () if isinstance(value, int | float)]
    return levels(parameter.width)[torch.tensor(numbers).double().argsort().argsort()]
