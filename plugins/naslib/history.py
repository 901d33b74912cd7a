"""What an optimizer has evaluated, in a form that NASLib's checkpoints can hold."""

from __future__ import annotations

from typing import Any

import torch
from naslib_diffusion.plugins.naslib.spaces import Code
from torch import Tensor, nn


class History(nn.Module):
    """Evaluated codes and their values, in order.

    NASLib's checkpoints save the `state_dict` of a module. Here it has a tensor for each
    evaluation: the code, then the value. So a fresh history loads one of any length, and
    `torch.load` needs no unpickling of classes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.codes: list[Code] = []
        self.values: list[float] = []

    def __len__(self) -> int:
        """Count the evaluations."""
        return len(self.codes)

    def append(self, code: Code, value: float) -> None:
        """Record an evaluation."""
        self.codes.append(code)
        self.values.append(value)

    @property
    def best(self) -> Code:
        """The code with the largest value, the first of equals.

        Raises:
            ValueError: if nothing has been evaluated.
        """
        finite = [i for i, value in enumerate(self.values) if value == value]  # noqa: PLR0124 - NaN
        if not finite:
            raise ValueError("no architecture has been evaluated yet")
        return self.codes[max(finite, key=self.values.__getitem__)]

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        for i, (code, value) in enumerate(zip(self.codes, self.values, strict=True)):
            destination[f"{prefix}{i:06d}"] = torch.tensor([*code, value], dtype=torch.double)

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any
    ) -> None:
        rows = [
            state_dict[key]
            for key in sorted(state_dict)
            if key.startswith(prefix) and key.removeprefix(prefix).isdigit()
        ]
        self.codes = [tuple(int(number) for number in row[:-1].tolist()) for row in rows]
        self.values = [float(row[-1]) for row in rows]
