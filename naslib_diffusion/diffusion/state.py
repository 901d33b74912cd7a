"""The state of a training run on disk, from which it goes on as if it had not been stopped.

A safetensors file: weights, their average and the optimiser's moments by name, and in the metadata
what the run was started with and how far it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from naslib_diffusion.runtime.files import parse_header, read_tensors, write_atomically

FORMAT = 1
KEY = "naslib_diffusion_state"
PARTS = ("network", "average", "optimizer")


@dataclass
class TrainingState:
    """All that changes in training. Architectures and noise follow from seed, rank and step.

    Attributes:
        settings: what the run was started with, as JSON.
        network: weights by name.
        average: theirs over the last steps.
        optimizer: its moments, by number of the weight and name, such as "3.exp_avg".
        step: number of steps taken.
        seconds: that they took.
        cpu_seconds: of processor time.
        loss: average over the last steps.
    """

    settings: str
    network: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    step: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    loss: float = float("nan")


def moments(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of an optimiser's `state_dict`, by number of the weight and name."""
    return {
        f"{index}.{name}": tensor
        for index, own in state["state"].items()
        for name, tensor in own.items()
    }


def with_moments(state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return an optimiser's `state_dict` with the tensors that `moments` gave."""
    found: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        found.setdefault(int(index), {})[name] = tensor
    return {**state, "state": found}


def save_state(path: Path, state: TrainingState) -> None:
    """Write the state so that the file is whole at any time."""
    tensors = {
        f"{part}.{name}": tensor.detach().cpu().contiguous()
        for part in PARTS
        for name, tensor in getattr(state, part).items()
    }
    header = {
        "format": FORMAT,
        "settings": json.loads(state.settings),
        **{name: getattr(state, name) for name in ("step", "seconds", "cpu_seconds", "loss")},
    }
    write_atomically(path, safetensors.torch.save(tensors, {KEY: json.dumps(header)}))


def load_state(path: Path, settings: str) -> TrainingState:
    """Read a state of a run that was started with the same settings.

    Raises:
        ValueError: if there is none, it cannot be read, or the settings differ; in one line.
    """
    if not path.exists():
        raise ValueError(f"there is no training to resume: {path} is missing")
    try:
        text, tensors = read_tensors(path, KEY)
        header = parse_header(path, text or "", FORMAT)
        stored, given = dict(header["settings"]), json.loads(settings)
        network, average, optimizer = (_part(tensors, part) for part in PARTS)
        state = TrainingState(
            settings,
            network,
            average,
            optimizer,
            int(header["step"]),
            float(header["seconds"]),
            float(header["cpu_seconds"]),
            float(header["loss"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        line = " ".join(str(error).split())[:300]
        raise ValueError(f"cannot resume from {path}, which is damaged: {line}") from None
    changes = [
        f"{name} was {stored.get(name)!r}, now {given.get(name)!r}"
        for name in sorted(stored.keys() | given.keys())
        if stored.get(name) != given.get(name)
    ]
    if changes:
        raise ValueError(f"cannot resume {path} with other settings: {'; '.join(changes)}")
    return state


def _part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    prefix = f"{part}."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
