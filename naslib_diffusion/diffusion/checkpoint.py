"""Checkpoints of score networks: safetensors files whose metadata says what they are.

The metadata holds one entry, `naslib_diffusion`, a JSON object: `format`, `space` (name, shape),
`layout` (nodes, operations, edges), `network` (its configuration), `versions`, and of the training
`seed`, `step` and `figures`. Nothing in a file is executed.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from naslib_diffusion.diffusion.config import LARGEST, NetworkConfig
from naslib_diffusion.diffusion.graph import GraphLayout, plain
from naslib_diffusion.runtime.files import parse_header, read_tensors, write_atomically
from naslib_diffusion.spaces.base import Space

FORMAT = 1
"""Version of the schema; a reader refuses newer ones."""
KEY = "naslib_diffusion"
SHIPPED = Path(__file__).resolve().parents[1] / "checkpoints"
"""Folder of the networks that ship with the package, one for each space, by its name."""


@dataclass(frozen=True)
class Facts:
    """What a checkpoint says of its training."""

    seed: int | None = None
    step: int | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    """The options of the training."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """What was measured of the network; numbers by name."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network in a file: what it is for, its size, and its weights by name."""

    space_name: str
    layout: GraphLayout
    config: NetworkConfig
    tensors: Mapping[str, Tensor]
    path: Path

    def check_space(self, space: Space[Any]) -> None:
        """Refuse to be used with another space.

        Raises:
            ValueError: if it is of another space, or of another version of it.
        """
        whole = plain(space)
        if self.space_name != whole.name:
            raise ValueError(
                f"{self.path} is a network for space {self.space_name!r}, not for {whole.name!r}"
            )
        if self.layout != GraphLayout.of(whole):
            raise ValueError(
                f"{self.path} is for another version of space {whole.name!r}: its encodings have "
                f"shape {self.layout.shape} and wiring {self.layout.edges}"
            )

    def damage(self, error: Exception) -> ValueError:
        """Return what to raise where the weights do not make the network that is described."""
        return _damage(self.path, error)

    def save(self, facts: Facts | None = None) -> None:
        """Write a safetensors file, so that the file is whole at any time."""
        from naslib_diffusion import __version__

        header = {
            "format": FORMAT,
            "space": {"name": self.space_name, "shape": list(self.layout.shape)},
            "layout": dataclasses.asdict(self.layout),
            "network": dataclasses.asdict(self.config),
            "versions": {"naslib_diffusion": __version__, "torch": torch.__version__},
            **dataclasses.asdict(facts or Facts()),
        }
        tensors = {
            name: tensor.detach().float().cpu().contiguous()
            for name, tensor in self.tensors.items()
        }
        content = safetensors.torch.save(tensors, {KEY: json.dumps(header)})
        write_atomically(self.path, content)


def read_checkpoint(source: str | Path) -> Checkpoint:
    """Read a file, or the one that ships for a space, by the space's name.

    Args:
        source: a file; or a name, such as "nasbench201", if there is no file of that name.

    Raises:
        ValueError: if it is no checkpoint of this package, or is damaged; in one line.
    """
    path = _find(source)
    header, tensors = _read(path)
    try:
        return _check(path, header, tensors)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damage(path, error) from None


def read_header(source: str | Path) -> dict[str, Any]:
    """Return what a checkpoint says of itself.

    Raises:
        ValueError: if it is no checkpoint of this package, or is damaged.
    """
    return _read(_find(source))[0]


def shipped() -> list[str]:
    """Return the names of the networks that ship with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.exists():
        return path
    if str(source) in shipped():
        return SHIPPED / f"{source}.safetensors"
    names = ", ".join(shipped()) or "none"
    raise ValueError(f"there is no checkpoint {str(source)!r}; those that ship: {names}")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return metadata and tensors of a file."""
    text, tensors = read_tensors(path, KEY)
    if text is None:
        raise ValueError(f"{path} is not a checkpoint of this package: it has no entry {KEY!r}")
    return parse_header(path, text, FORMAT), tensors


def _check(path: Path, header: dict[str, Any], tensors: dict[str, Tensor]) -> Checkpoint:
    """Make sure of what a header describes, so that a network of it cannot fill the memory."""
    described = header["layout"]
    edges = described["edges"]
    layout = GraphLayout(
        int(described["nodes"]),
        int(described["operations"]),
        None if edges is None else tuple((int(i), int(j)) for i, j in edges),
    )
    support = tensors["support"]
    if tuple(support.shape) != (2, *layout.shape) or max(layout.shape) > LARGEST:
        raise ValueError(f"its support has shape {tuple(support.shape)}, not (2, *{layout.shape})")
    config = NetworkConfig(**header["network"])
    return Checkpoint(str(header["space"]["name"]), layout, config, tensors, path)


def _damage(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is damaged: {_line(error)}")


def _line(error: BaseException) -> str:
    """Return the message of an error, in one line of moderate length."""
    return " ".join(str(error).split())[:200] or type(error).__name__
