"""A trained cell: its network and what it needs to be used, in a file and as an export."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from naslib_diffusion.runtime.files import read_tensors, write_atomically
from naslib_diffusion.runtime.threads import learning
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.nasbench201 import Cell
from naslib_diffusion.spaces.nasbench201_network import CellNetwork
from naslib_diffusion.transfer.recipe import Recipe

KEY = "naslib_diffusion_cell"
LARGEST = 10_000
"""Most channels, cells or classes that a file may ask for."""
CLASSIFIED = 512
"""Images that are classified at once."""


@dataclass(frozen=True)
class Normal:
    """Mean and standard deviation of each channel, of pixels in [0, 1]."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @staticmethod
    def of(images: Tensor) -> Normal:
        """Measure images in bytes, `n x 3 x R x R`."""
        levels = torch.arange(256, dtype=torch.double) / 255
        counts = torch.stack(
            [torch.bincount(c.flatten(), minlength=256) for c in images.unbind(1)]
        )
        shares = counts.double() / counts.sum(1, keepdim=True)
        mean = shares @ levels
        squares = (shares * (levels - mean[:, None]).square()).sum(1)
        deviation = (squares * counts.sum(1) / (counts.sum(1) - 1)).sqrt().clamp(min=1e-2)
        return Normal(tuple(mean.tolist()), tuple(deviation.tolist()))

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise bytes to floats."""
        mean, deviation = (_channels(v, images.device) for v in (self.mean, self.deviation))
        return (images.float() / 255 - mean) / deviation


@functools.lru_cache(maxsize=16)
def _channels(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Return one number for each channel, `1 x C x 1 x 1`; kept, since a card waits for copies."""
    with torch.inference_mode(False):
        own = torch.tensor(values, dtype=torch.float, device="cpu")
        return own.view(1, -1, 1, 1).to(device)


@dataclass(frozen=True)
class TrainedCell:
    """A trained network and what it needs to be used: the cell, sizes, classes, accuracy."""

    cell: Cell
    network: CellNetwork
    recipe: Recipe
    normal: Normal
    classes: tuple[str, ...]
    size: int
    accuracy: float
    """In percent, on the images held out; NaN if training diverged."""

    def __call__(self, images: Tensor) -> Tensor:
        """Classify images in bytes, `B x 3 x R x R` to logits, `B x classes`."""
        logits: Tensor = self.network(self.normal(images))
        return logits

    def save(self, path: Path) -> None:
        """Write weights and all the rest to a safetensors file; see `load_cell`."""
        facts = {
            "arch": str(self.cell),
            "recipe": dataclasses.asdict(self.recipe),
            "normal": dataclasses.asdict(self.normal),
            "classes": self.classes,
            "size": self.size,
            "accuracy": self.accuracy,
        }
        state = {
            name: t.detach().cpu().contiguous() for name, t in self.network.state_dict().items()
        }
        write_atomically(path, safetensors.torch.save(state, {KEY: json.dumps(facts)}))

    def export(self, path: Path) -> None:
        """Write the network, its normalisation included, as ONNX (.onnx) or TorchScript (.pt).

        Raises:
            ValueError: if the file's ending is another, or ONNX is not installed.
        """
        check_export(path.suffix)
        whole = _Deployed(self).eval()
        example = torch.zeros(2, 3, self.size, self.size)
        if path.suffix == ".pt":
            torch.jit.trace(whole, example).save(str(path))  # type: ignore[no-untyped-call]
            return
        torch.onnx.export(whole, (example,), path, dynamo=True, verbose=False,
                          dynamic_shapes=({0: torch.export.Dim("batch")},))  # fmt: skip


def check_export(suffix: str) -> None:
    """Raise ValueError if files of this ending cannot be exported here."""
    if suffix not in (".onnx", ".pt"):
        raise ValueError(f"no export to {suffix!r} files; there are .onnx and .pt")
    missing = [name for name in ("onnx", "onnxscript") if not importlib.util.find_spec(name)]
    if suffix == ".onnx" and missing:
        names = " and ".join(missing)
        raise ValueError(f"export to ONNX needs {names}: pip install onnx onnxscript")


class _Deployed(torch.nn.Module):
    """Normalisation and network in one, for pixels in [0, 1]."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, trained: TrainedCell) -> None:
        super().__init__()
        self.network = trained.network.cpu()
        for name in ("mean", "deviation"):
            own = _channels(getattr(trained.normal, name), torch.device("cpu"))
            self.register_buffer(name, own)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.network((pixels - self.mean) / self.deviation)
        return logits


@learning()
def load_cell(path: str | Path) -> TrainedCell:
    """Read what `TrainedCell.save` wrote.

    Raises:
        ValueError: if it is no such file; in one line.
    """
    path = Path(path)
    text, state = read_tensors(path, KEY)
    try:
        facts = dict(json.loads(text or ""))
        recipe = Recipe(**facts["recipe"])
        normal = Normal(**{name: tuple(values) for name, values in facts["normal"].items()})
        cell, classes = NASBench201().parse(facts["arch"]), tuple(map(str, facts["classes"]))
        if max(recipe.channels, recipe.cells, len(classes)) > LARGEST:
            raise ValueError(f"its network would be larger than {LARGEST} units")
        network = make_network(cell, len(classes), recipe)
        network.load_state_dict(state)
        size, accuracy = int(facts["size"]), float(facts["accuracy"])
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        line = " ".join(str(error).split())[:200]
        raise ValueError(f"cannot read the trained cell {path}: {line}") from None
    return TrainedCell(cell, network.eval(), recipe, normal, classes, size, accuracy)


def make_network(cell: Cell, classes: int, recipe: Recipe) -> CellNetwork:
    """Return an untrained network of a cell in NAS-Bench-201's skeleton."""
    return CellNetwork(cell, classes, channels=recipe.channels, cells=recipe.cells)


@torch.no_grad()
def classify(
    network: CellNetwork, normal: Normal, images: Tensor, device: torch.device | str
) -> Tensor:
    """Return the classes that a network takes images for, on the CPU.

    Args:
        network: in evaluation mode, on `device`.
        normal: of the images that it was trained on.
        images: in bytes, `B x 3 x R x R`.
        device: where to compute, a part of the images at a time.

    Returns:
        Numbers of classes, `B`.
    """
    parts = torch.split(images, CLASSIFIED)
    return torch.cat([network(normal(part.to(device))).argmax(1) for part in parts]).cpu()
