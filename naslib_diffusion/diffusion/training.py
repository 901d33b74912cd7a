"""Training of score networks: denoising score matching (paper, Eq. 3)."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from naslib_diffusion.diffusion.config import NetworkConfig, TrainConfig, noise_levels
from naslib_diffusion.diffusion.exact import Sigma
from naslib_diffusion.diffusion.law import UniformLaw, listable
from naslib_diffusion.diffusion.network import SIGMA_DATA, ScoreNetwork
from naslib_diffusion.diffusion.processes import Local, Processes
from naslib_diffusion.diffusion.state import (
    TrainingState,
    load_state,
    moments,
    save_state,
    with_moments,
)
from naslib_diffusion.runtime.graphs import Recorded
from naslib_diffusion.runtime.threads import learning
from naslib_diffusion.spaces.base import Space

SUPPORT_DRAWS = 20_000
"""Architectures of a space on which the range of each entry is measured."""
ENCODED = 20_000
"""Samples encoded at a time."""
EMA_WARMUP = 10
"""The average of weights follows a new network quickly: its decay is at most (1+n) / (10+n)."""


@dataclass(frozen=True)
class Progress:
    """What a callback is told after each step."""

    step: int
    share: float
    """How much of the training is done, by steps or by time."""
    loss: float
    """Average over the last steps."""


@dataclass(frozen=True)
class Trained:
    """A network with averaged weights, and what it took."""

    network: ScoreNetwork
    steps: int
    seconds: float
    cpu_seconds: float
    """Processor time of this process, which other work on the machine does not change."""
    loss: float


Source = Callable[[int, torch.Generator], Tensor]
"""Draws clean encodings, `n x N x C`, where the generator is."""
Denoise = Callable[[Tensor, Sigma], Tensor]


def stream(space: Space[Any], device: torch.device) -> Source:
    """Return a source that draws uniformly from a space: on the device, if its law factorises."""
    if space.blocks is not None and listable(space.blocks):
        law = UniformLaw(space.blocks, device)
        return lambda n, random: law(n, random).view(n, *space.shape)

    def sampled(n: int, random: torch.Generator) -> Tensor:
        seed = torch.randint(2**62, (), generator=random, device=random.device)
        archs = space.sample(n, torch.Generator().manual_seed(int(seed)))
        return space.encode(archs).float().to(device)

    return sampled


def from_list(x: Tensor, device: torch.device) -> Source:
    """Return a source that draws from encodings, `K x N x C`, with replacement."""
    kept = x.to(device)

    def chosen(n: int, random: torch.Generator) -> Tensor:
        return kept[torch.randint(len(kept), (n,), generator=random, device=device)].float()

    return chosen


def score_matching_loss(network: Denoise, x0: Tensor, sigma: Tensor, z: Tensor) -> Tensor:
    """Eq. 3, with the denoised estimate in place of the score, and Karras' weights.

    `||s - grad log p(x_t | x0)||^2 = ||D(x0 + sigma z) - x0||^2 / sigma^4`; the weights
    `(sigma^2 + sigma_data^2) / (sigma sigma_data)^2` on the error of D make all levels alike.

    Args:
        network: the denoiser D.
        x0: clean encodings, `B x N x C`.
        sigma: noise levels, `B`.
        z: standard normal noise, like `x0`.
    """
    error = network(x0 + sigma[:, None, None] * z, sigma) - x0
    weight = (sigma**2 + SIGMA_DATA**2) / (sigma * SIGMA_DATA) ** 2
    return (weight * error.square().mean((1, 2))).mean()


@learning()
def train(
    space: Space[Any],
    config: TrainConfig | None = None,
    network: NetworkConfig | None = None,
    *,
    samples: Sequence[Hashable] | None = None,
    state: Path | None = None,
    resume: bool = False,
    processes: Processes | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> Trained:
    """Train a score network for the uniform law over a space, or the law that samples follow.

    Args:
        space: the space, which gives the encoding, and the architectures unless there are
            `samples`.
        config: how to train.
        network: the configuration of the network.
        samples: architectures of the space. The network learns how often each of them occurs.
        state: a file from which the training can be resumed, and from which its result can be
            read again at the end. By default none is written.
        resume: whether to go on from `state`. The result is that of an uninterrupted training, on
            the CPU bit for bit.
        processes: where to run. The default is this process, on the CPU.
        callback: called after each step.

    Raises:
        ValueError: if the encodings are no graphs, or there is nothing (fitting) to resume.
    """
    config, processes = config or TrainConfig(), processes or Local()
    run = _Run(space, config, network or NetworkConfig(), samples, processes)
    if resume:
        if state is None:
            raise ValueError("to resume, name the file with the state")
        try:
            run.restore(load_state(state, run.settings))
        except (KeyError, RuntimeError) as error:  # of weights that are not this network's
            line = " ".join(str(error).split())[:300]
            raise ValueError(f"cannot resume from {state}, which is damaged: {line}") from None
    while run.share < 1:
        run.take_step()
        if callback is not None:
            callback(Progress(run.step, run.share, run.loss))
        due = run.step % config.save_every == 0 or run.share >= 1
        if state is not None and due and processes.rank == 0:
            save_state(state, run.state())
    return Trained(run.average, run.step, run.seconds, run.cpu_seconds, run.loss)


class _Run:
    """A training under way."""

    def __init__(
        self,
        space: Space[Any],
        config: TrainConfig,
        network: NetworkConfig,
        samples: Sequence[Hashable] | None,
        processes: Processes,
    ) -> None:
        self.config, self.processes = config, processes
        x = _examples(space, samples, config.seed)
        device = processes.device
        self.source = stream(space, device) if samples is None else from_list(x, device)
        self.settings = _settings(
            space, config, network, x if samples is not None else None, processes.world
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.network = ScoreNetwork.for_space(space, x, network).to(processes.device)
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        optimizer = torch.optim.AdamW(
            self.network.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )
        self.wrapped, self.optimizer = processes.setup(self.network, optimizer)
        self.step, self.share = 0, 0.0
        self._loss = torch.tensor(math.nan, device=device)
        self._gradient: Callable[..., Tensor] = self._set_gradient
        if isinstance(processes, Local) and device.type == "cuda":
            self._gradient = Recorded(self._set_gradient)
        self.seconds = self.cpu_seconds = 0.0

    def take_step(self) -> None:
        """Take one optimiser step (Eq. 3)."""
        start, cpu_start = time.perf_counter(), time.process_time()
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        loss = self._gradient(*self._batch())
        self.optimizer.step()
        self._update_average()
        self.step += 1
        self._loss = torch.where(self._loss.isnan(), loss, 0.98 * self._loss + 0.02 * loss)
        self.seconds += time.perf_counter() - start
        self.cpu_seconds += time.process_time() - cpu_start
        self._update_share()

    @property
    def loss(self) -> float:
        """Average loss of the last steps; reading it waits for the device."""
        return float(self._loss)

    def _set_gradient(self, x0: Tensor, levels: Tensor, z: Tensor) -> Tensor:
        """Set the gradient of the loss, clipped, and return the loss."""
        self.optimizer.zero_grad()
        with self.processes.autocast():
            loss = score_matching_loss(self.wrapped, x0, levels, z)
        self.processes.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        return loss.detach()

    def state(self) -> TrainingState:
        """Return all that changes."""
        return TrainingState(
            settings=self.settings,
            network=self.network.state_dict(),
            average=self.average.state_dict(),
            optimizer=moments(self.optimizer.state_dict()),
            step=self.step,
            seconds=self.seconds,
            cpu_seconds=self.cpu_seconds,
            loss=self.loss,
        )

    def restore(self, state: TrainingState) -> None:
        """Go back to a state."""
        self.network.load_state_dict(state.network)
        self.average.load_state_dict(state.average)
        self.optimizer.load_state_dict(with_moments(self.optimizer.state_dict(), state.optimizer))
        self.step = state.step
        self._loss = torch.tensor(state.loss, device=self.processes.device)
        self.seconds, self.cpu_seconds = state.seconds, state.cpu_seconds
        self._update_share()

    def _batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Draw architectures, noise levels and noise: a function of seed, rank and step alone."""
        config, device = self.config, self.processes.device
        random = torch.Generator(device)
        random.manual_seed(_mix(config.seed, self.processes.rank, self.step))
        x0 = self.source(config.batch_size, random)
        share = torch.rand(config.batch_size, generator=random, device=device)
        z = torch.randn(x0.shape, generator=random, device=device)
        return x0, noise_levels(config, share), z

    def _learning_rate(self) -> float:
        """Linear warm-up, then a half cosine to zero."""
        rising = min(1.0, (self.step + 1) / max(1, self.config.warmup))
        return self.config.learning_rate * rising * (1 + math.cos(math.pi * self.share)) / 2

    @torch.no_grad()
    def _update_average(self) -> None:
        weight = 1 - min(self.config.ema, (1 + self.step) / (EMA_WARMUP + self.step))
        means: list[Tensor] = list(self.average.parameters())
        news: list[Tensor] = list(self.network.parameters())
        torch._foreach_lerp_(means, news, weight)

    def _update_share(self) -> None:
        share = self.step / self.config.steps
        if self.config.minutes is not None:
            share = self.processes.agree(max(share, self.seconds / (60 * self.config.minutes)))
        self.share = min(share, 1.0)


def _mix(*numbers: int) -> int:
    """Return a seed that differs for each tuple of small numbers."""
    seed = 0
    for number in numbers:
        seed = (seed * 1_000_003 + number + 1) % 2**63
    return seed


def _examples(space: Space[Any], samples: Sequence[Hashable] | None, seed: int) -> Tensor:
    """Return encodings on which the range of each entry is measured, `K x N x C`.

    They are bytes where all entries are zero or one: many samples shall fit into memory.
    """
    if samples is None:
        samples = space.sample(SUPPORT_DRAWS, torch.Generator().manual_seed(seed))
    if not len(samples):
        raise ValueError("there are no samples to train on")
    starts = range(0, len(samples), ENCODED)
    parts = [space.encode(samples[start : start + ENCODED]).float() for start in starts]
    if all(bool(((x == 0) | (x == 1)).all()) for x in parts):
        parts = [x.to(torch.uint8) for x in parts]
    return torch.cat(parts)


def _settings(
    space: Space[Any],
    config: TrainConfig,
    network: NetworkConfig,
    x: Tensor | None,
    world: int,
) -> str:
    """Return what a resumed training must agree on, as JSON."""
    facts = {**dataclasses.asdict(config), **dataclasses.asdict(network)}
    facts |= {"space": space.name, "shape": list(space.shape), "processes": world}
    if x is not None:
        facts["samples"] = hashlib.sha256(x.numpy().tobytes()).hexdigest()[:16]
    del facts["save_every"]
    return json.dumps(facts, sort_keys=True)
