"""The meta-surrogate: a small network that says what earlier tasks tell of architectures."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from naslib_diffusion.runtime.files import parse_header, read_tensors, write_atomically
from naslib_diffusion.spaces.base import Space
from naslib_diffusion.spaces.equality import structure
from naslib_diffusion.surrogates.adapted import AdaptedSurrogate, Residual
from naslib_diffusion.surrogates.once import features

FORMAT = 1
KEY = "naslib_diffusion_prior"
SHIPPED = Path(__file__).resolve().parent / "shipped"
WITH_PRIOR = ("nasbench201", "nasbenchgraph")
"""Spaces for which a meta-surrogate ships."""
LARGEST = 4096
"""Most units of a layer that a file may ask for."""


TOP, TOP_WEIGHT = 0.95, 20.0
"""From which quantile on an architecture counts more, and how much: the top decides a search."""


@dataclass(frozen=True)
class MetaConfig:
    """Shape and training of a meta-surrogate.

    Attributes:
        inputs: structural features, of all groups of the space together.
        width: units of each of the two hidden layers.
        steps: of Adam, on all architectures at once or on batches.
        batch_size: architectures of each step.
        lr: largest learning rate; it rises and falls once.
        seed: of weights and batches.
    """

    inputs: int
    width: int = 128
    steps: int = 4000
    batch_size: int = 1024
    lr: float = 6e-3
    seed: int = 0


class MetaSurrogate(nn.Module):
    """Predicts from structural features what is believed of an architecture, and how surely.

    It holds no architectures and no measurements: two hidden layers on the features of a space.
    It is a `Prior` of searches, and makes the surrogate that adapts it to a task.

    Args:
        space: whose features it reads.
        config: shape and training.
        residual: how tasks differ from what it says.
    """

    center: Tensor
    spread: Tensor

    def __init__(self, space: Space[Any], config: MetaConfig, residual: Residual) -> None:
        super().__init__()
        self.space, self.config, self.residual = space, config, residual
        self.tables: tuple[str, ...] = ()  # that it was taught, as its file says
        self.facts: Mapping[str, Any] = {}  # on how it was made, as its file says
        self.register_buffer("center", torch.zeros(config.inputs))
        self.register_buffer("spread", torch.ones(config.inputs))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.layers = nn.Sequential(
                nn.Linear(config.inputs, config.width),
                nn.SiLU(),
                nn.Linear(config.width, config.width),
                nn.SiLU(),
                nn.Linear(config.width, 2),
            )
        self.double()

    def belief(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map encodings (`B x *shape`) to mean and relative deviation, `B` each."""
        return self._read(torch.cat(features(self.space, x), -1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean, `B`: what a search that knows nothing else expects."""
        return self.belief(x)[0]

    def surrogate(self) -> AdaptedSurrogate:
        """Return a new surrogate that starts from this belief."""
        return AdaptedSurrogate(self.space, self, self.residual)

    def _read(self, features: Tensor) -> tuple[Tensor, Tensor]:
        scaled = (features - self.center) / self.spread
        out = self.layers(scaled.to(self.center))
        return out[:, 0].to(features), functional.softplus(out[:, 1]).to(features)

    def distil(self, x: Tensor, mean: Tensor, deviation: Tensor) -> float:
        """Learn a belief given at architectures; return the mean squared error of the mean.

        Args:
            x: encodings, `n x *shape`.
            mean: what is believed there, `n`, roughly standardised.
            deviation: how surely, `n`; see `Belief`.
        """
        features = torch.cat(self.space.features(x), -1)
        spread = features.std(0)
        self.center.copy_(features.mean(0))
        self.spread.copy_(spread.where(spread > 1e-9, torch.ones_like(spread)))
        config, random = self.config, torch.Generator().manual_seed(self.config.seed)
        weight = 1 + TOP_WEIGHT * torch.sigmoid((mean - mean.quantile(TOP)) / 0.1)
        optimizer = torch.optim.Adam(self.layers.parameters(), config.lr)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, config.lr, total_steps=config.steps
        )
        self.requires_grad_(True)
        for _ in range(config.steps):
            rows = torch.randint(len(x), (config.batch_size,), generator=random)
            predicted, spread_out = self._read(features[rows])
            loss = (weight[rows] * (predicted - mean[rows]).square()).mean()
            loss = loss + 0.1 * (spread_out - deviation[rows]).square().mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        self.requires_grad_(False)
        return float((self._read(features)[0] - mean).square().mean())

    def save(self, path: str | Path, facts: Mapping[str, Any] | None = None) -> None:
        """Write it to a safetensors file; `facts` say how it was made."""
        from naslib_diffusion import __version__

        header = {
            "format": FORMAT,
            "space": self.space.name,
            "config": dataclasses.asdict(self.config),
            "residual": dataclasses.asdict(self.residual),
            "versions": {"naslib_diffusion": __version__, "torch": torch.__version__},
            "facts": dict(facts or {}),
        }
        tensors = {name: t.detach().float().contiguous() for name, t in self.state_dict().items()}
        write_atomically(Path(path), safetensors.torch.save(tensors, {KEY: json.dumps(header)}))

    @staticmethod
    def load(source: str | Path, space: Space[Any]) -> MetaSurrogate:
        """Read a file, or with "default" the one that ships for a space.

        Raises:
            ValueError: if there is none, it is damaged, or of another space; in one line.
        """
        space = structure(space)
        path = SHIPPED / f"{space.name}.safetensors" if source == "default" else Path(source)
        if source == "default" and not path.exists():
            names = ", ".join(WITH_PRIOR)
            raise ValueError(f"no prior ships for space {space.name!r}; some do for: {names}")
        text, tensors = read_tensors(path, KEY)
        if text is None:
            raise ValueError(f"{path} is not a prior of this package")
        header = parse_header(path, text, FORMAT)
        if header.get("space") != space.name:
            raise ValueError(
                f"prior {path} is for space {header.get('space')!r}, not for {space.name!r}"
            )
        try:
            found = _build(header, tensors, space)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            line = " ".join(str(error).split())[:200]
            raise ValueError(f"prior {path} is damaged: {line}") from None
        return found.requires_grad_(False).eval()


def _build(
    header: Mapping[str, Any], tensors: Mapping[str, Tensor], space: Space[Any]
) -> MetaSurrogate:
    """Make the meta-surrogate that a header describes, if it fits the space."""
    config, residual = MetaConfig(**header["config"]), Residual(**header["residual"])
    groups = space.features(space.encode(space.sample(1)))
    inputs = sum(group.shape[1] for group in groups)
    if config.inputs != inputs or not 1 <= config.width <= LARGEST:
        raise ValueError(
            f"it has {config.inputs} features and layers of {config.width} units; expected "
            f"{inputs} features and at most {LARGEST} units"
        )
    residual = dataclasses.replace(residual, lengths=tuple(map(float, residual.lengths)))
    scales = (residual.variance, residual.noise, *residual.lengths)
    if len(residual.lengths) != len(groups) or not all(s > 0 and math.isfinite(s) for s in scales):
        raise ValueError(f"its residual needs {len(groups)} lengths, and positive scales")
    found = MetaSurrogate(space, config, residual)
    found.load_state_dict({name: tensor.double() for name, tensor in tensors.items()})
    if not bool((found.spread > 0).all()):
        raise ValueError("the spreads of its features must be positive")
    found.facts = dict(header.get("facts") or {})
    found.tables = tuple(found.facts.get("tables", ()))
    return found
