"""Train a cell for real: NAS-Bench-201's skeleton and recipe, every figure an option."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from naslib_diffusion.runtime.files import write_atomically
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.nasbench201 import Cell
from naslib_diffusion.transfer.images import ImageSet
from naslib_diffusion.transfer.network import CellNetwork

KEY = "naslib_diffusion_cell"


@dataclass(frozen=True)
class Recipe:
    """How a cell is trained; the defaults are those of NAS-Bench-201 on CIFAR.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step.
        lr: learning rate at the start; it falls to zero along a cosine.
        momentum: of Nesterov's kind.
        weight_decay: L2 penalty.
        channels: of the first stage.
        cells: in each of the three stages.
        flip: mirror images at random.
        crop: pixels of padding, of which a random crop is taken.
        seed: of weights, batches and augmentation.
    """

    epochs: int = 200
    batch_size: int = 256
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    channels: int = 16
    cells: int = 5
    flip: bool = True
    crop: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Normal:
    """Mean and standard deviation of each channel, of pixels in [0, 1]."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @staticmethod
    def of(images: Tensor) -> Normal:
        """Measure images in bytes, `n x 3 x R x R`."""
        pixels = images.double() / 255
        deviation = pixels.std((0, 2, 3)).clamp(min=1e-2)
        return Normal(tuple(pixels.mean((0, 2, 3)).tolist()), tuple(deviation.tolist()))

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise bytes to floats."""
        shape = (1, -1, 1, 1)
        mean, deviation = (torch.tensor(v).view(shape) for v in (self.mean, self.deviation))
        return (images.float() / 255 - mean.to(images.device)) / deviation.to(images.device)


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
        whole = _Deployed(self).eval()
        example = torch.zeros(2, 3, self.size, self.size)
        if path.suffix == ".pt":
            torch.jit.trace(whole, example).save(str(path))  # type: ignore[no-untyped-call]
            return
        if path.suffix != ".onnx":
            raise ValueError(f"{path}: export to .onnx or .pt")
        try:
            torch.onnx.export(whole, (example,), path, dynamo=True, verbose=False,
                              dynamic_shapes=({0: torch.export.Dim("batch")},))  # fmt: skip
        except ImportError:
            raise ValueError("ONNX export needs the packages onnx and onnxscript") from None


class _Deployed(torch.nn.Module):
    """Normalisation and network in one, for pixels in [0, 1]."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, trained: TrainedCell) -> None:
        super().__init__()
        self.network = trained.network.cpu()
        for name in ("mean", "deviation"):
            value = torch.tensor(getattr(trained.normal, name)).view(1, -1, 1, 1)
            self.register_buffer(name, value)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.network((pixels - self.mean) / self.deviation)
        return logits


def load_cell(path: str | Path) -> TrainedCell:
    """Read what `TrainedCell.save` wrote.

    Raises:
        ValueError: if it is no such file; in one line.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[KEY])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        recipe, normal = Recipe(**facts["recipe"]), Normal(**facts["normal"])
        cell = NASBench201().parse(facts["arch"])
        network = _make_network(cell, len(facts["classes"]), recipe)
        network.load_state_dict(state)
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, RuntimeError) as error:
        line = " ".join(str(error).split())[:200]
        raise ValueError(f"cannot read the trained cell {path}: {line}") from None
    classes, size, accuracy = tuple(facts["classes"]), facts["size"], facts["accuracy"]
    return TrainedCell(cell, network.eval(), recipe, normal, classes, size, accuracy)


def train_cell(
    cell: Cell,
    train: ImageSet,
    test: ImageSet,
    recipe: Recipe,
    *,
    device: str = "cpu",
    checkpoint: Path | None = None,
    callback: Callable[[int, float], None] | None = None,
) -> TrainedCell:
    """Train `cell` and measure it; on a GPU in mixed precision.

    Args:
        cell: the architecture.
        train: images to learn from.
        test: images that measure accuracy, once, at the end.
        recipe: of the training.
        device: where.
        checkpoint: file that is written after each epoch, and from which a training that was cut
            off goes on; removed at the end.
        callback: called after each epoch with its number and the mean loss.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = _make_network(cell, len(train.classes), recipe).to(device)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(
        network.parameters(),
        recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
    )
    normal, loss = Normal.of(train.images), 0.0
    start = 0 if checkpoint is None else _resume(checkpoint, cell, recipe, network, optimizer)
    for epoch in range(start, recipe.epochs):
        for group in optimizer.param_groups:
            group["lr"] = 0.5 * recipe.lr * (1 + math.cos(math.pi * epoch / recipe.epochs))
        loss = _epoch(network, optimizer, normal, train, recipe, epoch, device)
        if callback is not None:
            callback(epoch + 1, loss)
        if not math.isfinite(loss):
            break
        if checkpoint is not None:
            _store(checkpoint, _key(cell, recipe, epoch + 1), network, optimizer)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    network.eval()
    accuracy = _accuracy(network, normal, test, device) if math.isfinite(loss) else float("nan")
    size = train.images.shape[-1]
    return TrainedCell(cell, network, recipe, normal, train.classes, size, accuracy)


def _make_network(cell: Cell, classes: int, recipe: Recipe) -> CellNetwork:
    return CellNetwork(cell, classes, channels=recipe.channels, cells=recipe.cells)


def _epoch(
    network: CellNetwork,
    optimizer: torch.optim.Optimizer,
    normal: Normal,
    data: ImageSet,
    recipe: Recipe,
    epoch: int,
    device: str,
) -> float:
    """Go through the images once; return the mean loss, which is not finite if it diverged."""
    random = torch.Generator().manual_seed(1_000_003 * recipe.seed + epoch)
    order = torch.randperm(len(data), generator=random)
    network.train()
    total, mixed = 0.0, device.startswith("cuda")
    for rows in torch.split(order, recipe.batch_size):
        if len(rows) < 2 <= len(order):
            continue  # batch normalisation needs two
        images = _augment(data.images[rows], recipe, random).to(device)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=mixed):
            logits = network(normal(images))
            loss = functional.cross_entropy(logits.float(), data.labels[rows].to(device))
        if not loss.isfinite():
            return float("nan")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += float(loss.detach()) * len(rows)
    return total / len(order)


def _augment(images: Tensor, recipe: Recipe, random: torch.Generator) -> Tensor:
    """Mirror and shift each image at random."""
    if recipe.flip:
        mirrored = torch.rand(len(images), 1, 1, 1, generator=random) < 0.5
        images = images.flip(-1).where(mirrored, images)
    if recipe.crop:
        pad, size = recipe.crop, images.shape[-1]
        padded = functional.pad(images, (pad, pad, pad, pad))
        offsets = torch.randint(2 * pad + 1, (len(images), 2), generator=random)
        rows = offsets[:, :1] + torch.arange(size)
        columns = offsets[:, 1:] + torch.arange(size)
        index = torch.arange(len(images))[:, None, None]
        picked = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
        images = picked.permute(0, 3, 1, 2)
    return images


@torch.no_grad()
def _accuracy(network: CellNetwork, normal: Normal, data: ImageSet, device: str) -> float:
    right = 0
    parts = (torch.split(tensor, 512) for tensor in (data.images, data.labels))
    for images, labels in zip(*parts, strict=True):
        right += int((network(normal(images.to(device))).argmax(1).cpu() == labels).sum())
    return 100 * right / len(data)


def _store(path: Path, key: str, network: CellNetwork, optimizer: torch.optim.Optimizer) -> None:
    """Write weights and momenta, so that a kill loses one epoch."""
    tensors = {f"network.{k}": t.contiguous() for k, t in network.state_dict().items()}
    for index, parameter in enumerate(network.parameters()):
        momentum = optimizer.state[parameter].get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum.{index}"] = momentum.contiguous()
    write_atomically(path, safetensors.torch.save(tensors, {KEY: key}))


def _resume(
    path: Path, cell: Cell, recipe: Recipe, network: CellNetwork, optimizer: torch.optim.Optimizer
) -> int:
    """Read what `_store` wrote for this training; return the number of finished epochs."""
    if not path.exists():
        return 0
    device = str(network.head.weight.device)
    with safetensors.safe_open(path, framework="pt", device=device) as file:
        facts = json.loads(file.metadata()[KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if facts != json.loads(_key(cell, recipe, facts["epochs"])):
        return 0
    prefix = "network."
    network.load_state_dict(
        {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
    )
    for index, parameter in enumerate(network.parameters()):
        if f"momentum.{index}" in tensors:
            optimizer.state[parameter]["momentum_buffer"] = tensors[f"momentum.{index}"]
    return int(facts["epochs"])


def _key(cell: Cell, recipe: Recipe, epochs: int) -> str:
    """Describe a training and how far it is."""
    return json.dumps({"arch": str(cell), "recipe": dataclasses.asdict(recipe), "epochs": epochs})
