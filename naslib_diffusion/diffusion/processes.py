"""Where training runs: in this process, or in several through Lightning Fabric."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Processes(Protocol):
    """What training asks of the processes it runs in."""

    rank: int
    world: int
    device: torch.device

    def setup(
        self, network: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Return both as to be used in training steps."""

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context for the forward pass."""

    def backward(self, loss: Tensor) -> None:
        """Compute gradients, averaged over all processes."""

    def agree(self, value: float) -> float:
        """Return the value of the first process in all of them."""


class Local:
    """This process alone; mixed precision (bf16) on a GPU if asked for."""

    rank, world = 0, 1

    def __init__(self, device: torch.device | str = "cpu", precision: str = "32") -> None:
        self.device = torch.device(device)
        self._bf16 = precision == "bf16"

    def setup(
        self, network: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Return both as they are."""
        return network, optimizer

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context for the forward pass."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16)

    def backward(self, loss: Tensor) -> None:
        """Compute gradients."""
        loss.backward()  # type: ignore[no-untyped-call]

    def agree(self, value: float) -> float:
        """Return the value."""
        return value


class FabricProcesses:
    """Processes of Lightning Fabric (extra `train`): data-parallel, gloo on CPUs, NCCL on GPUs.

    Started by `torchrun`, it takes part in what that has set up; else it starts the others itself
    by running the program again, once for each.

    Raises:
        ValueError: if Lightning Fabric is not installed.
    """

    def __init__(self, processes: int, device: str = "cpu", precision: str = "32") -> None:
        try:
            from lightning_fabric import Fabric
        except ImportError:
            raise ValueError(
                "several processes need Lightning Fabric: pip install 'naslib-diffusion[train]'"
            ) from None
        self._fabric = Fabric(
            accelerator="cuda" if device.startswith("cuda") else "cpu",
            devices=processes,
            strategy="ddp",
            precision="bf16-mixed" if precision == "bf16" else "32-true",
        )
        self._fabric.launch()
        self.rank, self.world = self._fabric.global_rank, self._fabric.world_size
        self.device = self._fabric.device

    def setup(
        self, network: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Wrap both."""
        network, optimizer = self._fabric.setup(network, optimizer)
        return network, optimizer

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context for the forward pass."""
        context: AbstractContextManager[Any] = self._fabric.autocast()
        return context

    def backward(self, loss: Tensor) -> None:
        """Compute gradients, averaged over all processes."""
        self._fabric.backward(loss)

    def agree(self, value: float) -> float:
        """Return the value of the first process in all of them."""
        return float(self._fabric.broadcast(value))


def launched_by_torchrun() -> int:
    """Return how many processes `torchrun` has started on this machine; 0 if it has not."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0


def is_first() -> bool:
    """Whether this is the process that starts the others, or the first of those started."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def make_processes(processes: int, device: str, precision: str) -> Processes:
    """Return this process alone, or several.

    Raises:
        ValueError: if there is no such device, or Lightning Fabric is needed and missing.
    """
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise ValueError(f"unknown device {device!r}; expected cpu or cuda") from None
    processes = launched_by_torchrun() or processes
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {device!r}: PyTorch sees no GPU here")
    if kind == "cuda" and torch.cuda.device_count() < processes:
        raise ValueError(
            f"{processes} processes need as many GPUs, not {torch.cuda.device_count()}"
        )
    if processes > 1:
        return FabricProcesses(processes, device, precision)
    return Local(device, precision)
