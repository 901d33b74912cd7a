"""ImageNet accuracy of MobileNetV3 sub-networks, as Once-for-all's own predictor has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from naslib_diffusion.spaces import MobileNetV3
from naslib_diffusion.spaces.mobilenetv3 import Subnet

FILE = "ofa_mobilenetv3_accuracy_predictor.safetensors"
RESOLUTIONS = tuple(range(112, 240, 16))


class AccuracyPredictor:
    """The predictor of Once-for-all (Cai et al., ICLR 2020), top-1 in percent.

    Args:
        folder: where its weights are, four layers as safetensors.
        resolution: of the images.

    Raises:
        ValueError: if the file is missing or the resolution unknown.
    """

    def __init__(self, folder: Path, resolution: int = 224) -> None:
        if not (folder / FILE).is_file():
            raise ValueError(f"{folder / FILE} is missing")
        if resolution not in RESOLUTIONS:
            raise ValueError(f"resolution must be one of {RESOLUTIONS}, not {resolution}")
        weights = load_file(folder / FILE)
        self._layers = [
            (weights[f"{i}.weight"].double(), weights[f"{i}.bias"].double()) for i in (0, 2, 4, 6)
        ]
        self._resolution = torch.zeros(len(RESOLUTIONS), dtype=torch.double)
        self._resolution[RESOLUTIONS.index(resolution)] = 1
        self.space = MobileNetV3()

    @torch.no_grad()
    def __call__(self, archs: Sequence[Subnet]) -> list[float]:
        """Predict the accuracy of sub-networks, in percent."""
        values: list[float] = (100 * self._predict(self._inputs(archs))).tolist()
        return values

    def _inputs(self, archs: Sequence[Subnet]) -> Tensor:
        """One-hot kernels, one-hot expansions (zero for absent layers), one-hot resolution."""
        grid = self.space.encode(archs).view(-1, 20, 3, 3)  # operation = kernel x expansion
        kernels, expansions = grid.sum(3).flatten(1), grid.sum(2).flatten(1)
        resolution = self._resolution.expand(len(grid), -1)
        return torch.cat([kernels, expansions, resolution], 1)

    def _predict(self, x: Tensor) -> Tensor:
        for weight, bias in self._layers[:-1]:
            x = (x @ weight.T + bias).relu()
        weight, bias = self._layers[-1]
        return (x @ weight.T + bias)[:, 0]
