"""A cell in training: its images, network and optimiser stay on one device."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from naslib_diffusion.runtime.files import read_tensors, write_atomically
from naslib_diffusion.runtime.graphs import Recorded
from naslib_diffusion.spaces.nasbench201 import Cell
from naslib_diffusion.transfer.augment import augment
from naslib_diffusion.transfer.image_set import ImageSet
from naslib_diffusion.transfer.joined import joined
from naslib_diffusion.transfer.recipe import Recipe
from naslib_diffusion.transfer.trained import KEY, Normal, make_network

PLAIN = 2
"""Steps on batches of one size before they are recorded."""


class Trainer:
    """Trains one cell, an epoch at a time; on a card in mixed precision.

    On a card nothing in an epoch makes the host wait. Steps on batches of a size that comes again
    are recorded as CUDA graphs (`naslib_diffusion.runtime.graphs`). They run in a stream of this
    training's own, so that several trainings share a card.

    Args:
        cell: the architecture.
        data: images to learn from, on the device.
        normal: of the images.
        recipe: of the training.
        device: where.

    Attributes:
        network: in training.
        epochs: how many are done.
        loss: mean of the last epoch; NaN if the training diverged, 0 before the first epoch.
        step: takes one step on images, given their numbers, `B`, on the device.
    """

    def __init__(
        self, cell: Cell, data: ImageSet, normal: Normal, recipe: Recipe, device: torch.device
    ) -> None:
        self.cell, self.recipe, self.epochs, self.loss = cell, recipe, 0, 0.0
        self._data, self._normal, self._device = data, normal, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            network = make_network(cell, len(data.classes), recipe).to(device)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._trained = joined(self.network)
        self.optimizer = recipe.optimizer(self._trained)
        self._random = torch.Generator(device)
        self._total = torch.zeros((), dtype=torch.double, device=device)
        self._stream: torch.cuda.Stream | None = None
        self.step: Callable[[Tensor], Tensor] = self._take_step
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            self.step = Recorded(self._take_step, self._random, plain=PLAIN, warm_up=False)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the training has diverged."""
        return self.epochs >= self.recipe.epochs or not math.isfinite(self.loss)

    def epoch(self) -> Iterator[None]:
        """Go through the images once; yield after each step. `end_epoch` follows."""
        recipe, count = self.recipe, len(self._data)
        self._trained.train()
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with self._here():
            self._random.manual_seed(1_000_003 * recipe.seed + self.epochs)
            order = torch.randperm(count, generator=self._random, device=self._device)
            recipe.set_rate(self.optimizer, self.epochs / recipe.epochs)
            self._total.zero_()
        for rows in torch.split(order, recipe.batch_size):
            if len(rows) < 2 <= count:
                continue  # batch normalisation needs two
            with self._here():
                self.step(rows)
            if self._stream is None and not bool(self._total.isfinite()):
                return  # a card finds out at the end of the epoch: it is not made to wait
            yield

    def end_epoch(self) -> None:
        """Wait for the epoch, and note its mean loss."""
        with self._here():
            self.loss = float(self._total) / len(self._data)
        if not math.isfinite(self.loss):
            self.loss = math.nan
        self.epochs += 1

    def _take_step(self, rows: Tensor) -> Tensor:
        """Take a step on images, and return the total of losses, to which its own is added."""
        data, recipe, mixed = self._data, self.recipe, self._device.type == "cuda"
        images = augment(
            data.images[rows], flip=recipe.flip, crop=recipe.crop, random=self._random
        )
        kind = "cuda" if mixed else "cpu"
        with torch.autocast(kind, torch.bfloat16, enabled=mixed, cache_enabled=False):
            logits = self._trained(self._normal(images))
            loss = functional.cross_entropy(logits.float(), data.labels[rows])
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for parameter in self._trained.parameters():
            _align(parameter)
        self.optimizer.step()
        self._total += loss.detach().double() * len(rows)
        return self._total

    def _here(self) -> AbstractContextManager[object]:
        """Return a context in which a card works in this training's stream."""
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def store(self, path: Path) -> None:
        """Write weights and momenta, so that a kill loses one epoch."""
        tensors = {f"network.{k}": t.contiguous() for k, t in self._trained.state_dict().items()}
        for index, parameter in enumerate(self._trained.parameters()):
            momentum = self.optimizer.state[parameter].get("momentum_buffer")
            if momentum is not None:
                tensors[f"momentum.{index}"] = momentum.contiguous()
        write_atomically(path, safetensors.torch.save(tensors, {KEY: self._key(self.epochs)}))

    def resume(self, path: Path) -> None:
        """Read what `store` wrote for this training, and go on from there.

        Nothing changes if the file is missing, damaged or of another training.
        """
        network, optimizer = self._trained, self.optimizer
        try:
            text, tensors = read_tensors(path, KEY)
            facts = dict(json.loads(text or ""))
            epochs = facts["epochs"]
            if {**facts, "epochs": 0} != json.loads(self._key(0)) or type(epochs) is not int:
                return  # of another training
            weights, momenta = (_named(tensors, prefix) for prefix in ("network.", "momentum."))
            own = {str(index): p.shape for index, p in enumerate(network.parameters())}
            if any(own.get(index) != momentum.shape for index, momentum in momenta.items()):
                return
            fitting = copy.deepcopy(network)
            fitting.load_state_dict(weights)  # all of them, or an error
        except (KeyError, TypeError, ValueError, RuntimeError, RecursionError):
            return  # missing, cut off or something else: nothing in it is worth more than an epoch
        network.load_state_dict(weights)
        for index, parameter in enumerate(network.parameters()):
            if str(index) in momenta:
                momentum = torch.empty_like(parameter).copy_(momenta[str(index)])
                optimizer.state[parameter]["momentum_buffer"] = momentum.detach()
        self.epochs = min(max(epochs, 0), self.recipe.epochs)

    def _key(self, epochs: int) -> str:
        """Describe the training and how far it is."""
        recipe = dataclasses.asdict(self.recipe)
        return json.dumps({"arch": str(self.cell), "recipe": recipe, "epochs": epochs})


def _align(parameter: Tensor) -> None:
    """Give a gradient the strides of its parameter, which fused optimisers want.

    They differ along dimensions of size one at most.
    """
    gradient, strides = parameter.grad, parameter.stride()
    if gradient is not None and gradient.stride() != strides:
        parameter.grad = gradient.as_strided(gradient.shape, strides)


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start so, by the rest of their names."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
