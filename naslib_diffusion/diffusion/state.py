"""The state of a training run on disk, from which it goes on as if it had not been stopped."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from naslib_diffusion.runtime.files import write_atomically


@dataclass
class TrainingState:
    """All that changes in training. Architectures and noise follow from seed, rank and step."""

    settings: str
    """What the run was started with, as JSON."""
    network: dict[str, Any]
    average: dict[str, Any]
    optimizer: dict[str, Any]
    step: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    loss: float = float("nan")


def save_state(path: Path, state: TrainingState) -> None:
    """Write the state so that the file is whole at any time."""
    buffer = io.BytesIO()
    # not asdict(), which copies all tensors
    torch.save({name: getattr(state, name) for name in TrainingState.__annotations__}, buffer)
    write_atomically(path, buffer.getvalue())


def load_state(path: Path, settings: str) -> TrainingState:
    """Read a state of a run that was started with the same settings.

    Raises:
        ValueError: if there is none, it cannot be read, or the settings differ; in one line.
    """
    try:
        fields = torch.load(path, map_location="cpu", weights_only=True)
        state = TrainingState(**fields)
        stored, given = json.loads(state.settings), json.loads(settings)
    except FileNotFoundError:
        raise ValueError(f"there is no training to resume: {path} is missing") from None
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"cannot resume from {path}, which is damaged: {reason[:200]}") from None
    changes = [
        f"{name} was {stored.get(name)!r}, now {given.get(name)!r}"
        for name in sorted(stored.keys() | given.keys())
        if stored.get(name) != given.get(name)
    ]
    if changes:
        raise ValueError(f"cannot resume {path} with other settings: {'; '.join(changes)}")
    return state
