"""Between the encodings of the engine and the inputs of a BoTorch model."""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from naslib_diffusion.spaces import ProductSpace, Space
from naslib_diffusion.spaces.equality import structure
from naslib_diffusion.spaces.parameters import Categorical

Encoding = Literal["one-hot", "index"]


class Coding(Protocol):
    """How the columns of a model spell an encoding."""

    @property
    def width(self) -> int:
        """Number of columns of the model."""

    def inputs(self, x: Tensor) -> Tensor:
        """Map flat encodings, `... x D`, to inputs of the model, `... x width`."""

    def encodings(self, inputs: Tensor) -> Tensor:
        """Inverse of `inputs`; raises ValueError for what is no architecture's."""

    def columns(self, fixed: dict[int, float]) -> dict[int, float]:
        """Translate fixed columns of the model into fixed columns of encodings."""


class OneHot:
    """The model sees the flattened encoding itself."""

    def __init__(self, space: Space[Any]) -> None:
        self.width = math.prod(space.shape)

    def inputs(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x

    def encodings(self, inputs: Tensor) -> Tensor:
        """Return `inputs`."""
        return inputs

    def columns(self, fixed: dict[int, float]) -> dict[int, float]:
        """Return `fixed`."""
        return fixed


class Index:
    """One column per parameter: the index of the choice, or the position in [0, 1].

    It is the coding of `MixedSingleTaskGP(cat_dims)`; indices have no gradient.

    Raises:
        ValueError: if the space is not a `ProductSpace`, nor a part of one.
    """

    def __init__(self, space: Space[Any]) -> None:
        whole = structure(space)
        if not isinstance(whole, ProductSpace):
            raise ValueError(
                f"the encoding 'index' needs a ProductSpace; {space.name!r} has 'one-hot' only"
            )
        self.width = len(whole.parameters)
        self._counts = [p.width if isinstance(p, Categorical) else 0 for p in whole.parameters]

    def inputs(self, x: Tensor) -> Tensor:
        """Take the largest coordinate of each one-hot, `... x D` to `... x width`."""
        parts = torch.split(x, [max(count, 1) for count in self._counts], -1)
        columns = [
            part.argmax(-1).to(x) if count else part[..., 0]
            for count, part in zip(self._counts, parts, strict=True)
        ]
        return torch.stack(columns, -1)

    def encodings(self, inputs: Tensor) -> Tensor:
        """Spread indices into one-hots, `... x width` to `... x D`."""
        parts = []
        for i, (count, column) in enumerate(zip(self._counts, inputs.unbind(-1), strict=True)):
            if count == 0:
                parts.append(column.unsqueeze(-1))
                continue
            index = column.nan_to_num(-1).round().long()
            if bool((index < 0).any()) or bool((index >= count).any()):
                raise ValueError(f"column {i} has an index outside 0 ... {count - 1}")
            if bool(((column - index).abs() > 1e-3).any()):
                raise ValueError(f"column {i} is an index in 0 ... {count - 1}, not a fraction")
            parts.append(torch.nn.functional.one_hot(index, count).to(inputs))
        return torch.cat(parts, -1)

    def columns(self, fixed: dict[int, float]) -> dict[int, float]:
        """Fix the one-hot of each fixed index."""
        starts = [0]
        for count in self._counts:
            starts.append(starts[-1] + max(count, 1))
        found: dict[int, float] = {}
        for column, value in fixed.items():
            if not 0 <= column < self.width:
                raise ValueError(f"column {column} does not exist; the model has {self.width}")
            count, start = self._counts[column], starts[column]
            if count == 0:
                found[start] = value
                continue
            if value not in range(count):
                raise ValueError(f"column {column} is an index in 0 ... {count - 1}, not {value}")
            found |= {start + k: float(k == int(value)) for k in range(count)}
        return found


def coding_of(space: Space[Any], encoding: str) -> Coding:
    """Return a coding by name.

    Raises:
        ValueError: if it is unknown, or does not fit the space.
    """
    if encoding == "one-hot":
        return OneHot(space)
    if encoding == "index":
        return Index(space)
    raise ValueError(f"encoding must be 'one-hot' or 'index', not {encoding!r}")
