"""Train a cell for real, in NAS-Bench-201's skeleton."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from naslib_diffusion.runtime.files import read_tensors, write_atomically
from naslib_diffusion.runtime.threads import learning
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.nasbench201 import Cell
from naslib_diffusion.spaces.nasbench201_network import CellNetwork
from naslib_diffusion.transfer.augment import augment
from naslib_diffusion.transfer.image_set import ImageSet
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
            value = torch.tensor(getattr(trained.normal, name)).view(1, -1, 1, 1)
            self.register_buffer(name, value)

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
        recipe, normal = Recipe(**facts["recipe"]), Normal(**facts["normal"])
        cell, classes = NASBench201().parse(facts["arch"]), tuple(map(str, facts["classes"]))
        if max(recipe.channels, recipe.cells, len(classes)) > LARGEST:
            raise ValueError(f"its network would be larger than {LARGEST} units")
        network = _make_network(cell, len(classes), recipe)
        network.load_state_dict(state)
        size, accuracy = int(facts["size"]), float(facts["accuracy"])
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        line = " ".join(str(error).split())[:200]
        raise ValueError(f"cannot read the trained cell {path}: {line}") from None
    return TrainedCell(cell, network.eval(), recipe, normal, classes, size, accuracy)


@learning()
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
            off goes on. It stays at the end, so that a finished training whose result was lost
            is only measured again; who has kept the result removes it.
        callback: called after each epoch with its number and the mean loss.
    """
    network = _new_network(cell, len(train.classes), recipe, device)
    optimizer = recipe.optimizer(network)
    normal, loss = Normal.of(train.images), 0.0
    start = 0 if checkpoint is None else _resume(checkpoint, cell, recipe, network, optimizer)
    for epoch in range(start, recipe.epochs):
        recipe.set_rate(optimizer, epoch / recipe.epochs)
        loss = _epoch(network, optimizer, normal, train, recipe, epoch, device)
        if callback is not None:
            callback(epoch + 1, loss)
        if not math.isfinite(loss):
            break
        if checkpoint is not None:
            _store(checkpoint, _key(cell, recipe, epoch + 1), network, optimizer)
    network.eval()
    accuracy = _accuracy(network, normal, test, device) if math.isfinite(loss) else float("nan")
    size = train.images.shape[-1]
    return TrainedCell(cell, network, recipe, normal, train.classes, size, accuracy)


@learning()
def time_step(cell: Cell, train: ImageSet, recipe: Recipe, device: str) -> float:
    """Return the seconds that one step of a training takes, the second of two."""
    network = _new_network(cell, len(train.classes), recipe, device).train()
    optimizer, normal = recipe.optimizer(network), Normal.of(train.images)
    rows = torch.arange(recipe.batch_size) % len(train)
    for _ in range(2):
        start = time.perf_counter()
        _step(network, optimizer, normal, train, rows, recipe, torch.Generator(), device)
    return time.perf_counter() - start


def _make_network(cell: Cell, classes: int, recipe: Recipe) -> CellNetwork:
    return CellNetwork(cell, classes, channels=recipe.channels, cells=recipe.cells)


def _new_network(cell: Cell, classes: int, recipe: Recipe, device: str) -> CellNetwork:
    """Return a network with the weights of the recipe's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = _make_network(cell, classes, recipe).to(device)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


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
    total = 0.0
    for rows in torch.split(order, recipe.batch_size):
        if len(rows) < 2 <= len(order):
            continue  # batch normalisation needs two
        loss = _step(network, optimizer, normal, data, rows, recipe, random, device)
        if not math.isfinite(loss):
            return float("nan")
        total += loss * len(rows)
    return total / len(order)


def _step(
    network: CellNetwork,
    optimizer: torch.optim.Optimizer,
    normal: Normal,
    data: ImageSet,
    rows: Tensor,
    recipe: Recipe,
    random: torch.Generator,
    device: str,
) -> float:
    """Take one step on some rows of the images; return the loss, and stay if it diverged."""
    images = data.images[rows]
    images = augment(images, flip=recipe.flip, crop=recipe.crop, random=random).to(device)
    mixed = device.startswith("cuda")
    with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=mixed):
        logits = network(normal(images))
        loss = functional.cross_entropy(logits.float(), data.labels[rows].to(device))
    if loss.isfinite():
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return float(loss.detach())


@torch.no_grad()
def classify(network: CellNetwork, normal: Normal, images: Tensor, device: str) -> Tensor:
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
    return torch.cat([network(normal(part.to(device))).argmax(1).cpu() for part in parts])


def _accuracy(network: CellNetwork, normal: Normal, data: ImageSet, device: str) -> float:
    right = classify(network, normal, data.images, device) == data.labels
    return 100 * int(right.sum()) / len(data)


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
    """Read what `_store` wrote for this training; return the number of finished epochs.

    It is zero, and nothing changes, if the file is missing, damaged or of another training.
    """
    key = _key(cell, recipe, 0)
    try:
        text, tensors = read_tensors(path, KEY)
        facts = dict(json.loads(text or ""))
        epochs = facts["epochs"]
        if {**facts, "epochs": 0} != json.loads(key) or type(epochs) is not int:
            return 0  # of another training
        weights, momenta = (_named(tensors, prefix) for prefix in ("network.", "momentum."))
        own = {str(index): p.shape for index, p in enumerate(network.parameters())}
        if any(own.get(index) != momentum.shape for index, momentum in momenta.items()):
            return 0
        fitting = copy.deepcopy(network)
        fitting.load_state_dict(weights)  # all of them, or an error
    except (KeyError, TypeError, ValueError, RuntimeError, RecursionError):
        return 0  # missing, cut off or something else: nothing in it is worth more than an epoch
    network.load_state_dict(weights)
    for index, parameter in enumerate(network.parameters()):
        if str(index) in momenta:
            momentum = momenta[str(index)].to(parameter.device)
            optimizer.state[parameter]["momentum_buffer"] = momentum
    return min(max(epochs, 0), recipe.epochs)


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start so, by the rest of their names."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _key(cell: Cell, recipe: Recipe, epochs: int) -> str:
    """Describe a training and how far it is."""
    return json.dumps({"arch": str(cell), "recipe": dataclasses.asdict(recipe), "epochs": epochs})
