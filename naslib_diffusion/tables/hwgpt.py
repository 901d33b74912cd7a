"""HW-GPT-Bench (Sukthanker et al., NeurIPS 2024): perplexity of transformers, by its predictors.

The predictors are small networks that the benchmark's authors trained on a supernet's perplexity
on OpenWebText. Their weights are read from the user's own files.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from naslib_diffusion.spaces.gpt import GPT, SCALES, Transformer
from naslib_diffusion.tables.predicted import PredictedTable
from naslib_diffusion.tables.table import TableError

LAYERS = 5
HIDDEN = 128
OBJECTIVE = "perplexity"


class Perplexity(nn.Module):
    """Predicts the perplexity of transformers; differentiable, so that its negative is a guide.

    Args:
        inputs: width of an encoding.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        widths = [inputs, *[HIDDEN] * (LAYERS - 1), 1]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in itertools.pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Map encodings of `GPT`, relaxed or not, `B x D`, to perplexities, `B`."""
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        out: Tensor = self.layers[-1](x)[:, 0]
        return out


def perplexity(path: str | Path, scale: str = "s") -> Perplexity:
    """Return the predictor of a scale.

    Args:
        path: of `hwgpt_perplexity_SCALE.safetensors`, or of a folder with it; the tensors
            `fc1.weight`, `fc1.bias`, ..., `fc5.bias`.
        scale: "s", "m" or "l".

    Raises:
        TableError: if there is no such file, or it is of another scale.
    """
    if scale not in SCALES:
        raise TableError(f"unknown scale {scale!r}; known: {', '.join(SCALES)}")
    file = Path(path)
    if file.is_dir():
        file = file / f"hwgpt_perplexity_{scale}.safetensors"
    network = Perplexity(GPT(scale).shape[0]).double()
    expected = {
        f"fc{i}.{name}": value
        for i, layer in enumerate(network.layers, start=1)
        for name, value in layer.named_parameters()
    }
    try:
        found = load_file(file)
    except OSError as error:
        raise TableError(f"cannot read {file}: {error.strerror or error}") from None
    except SafetensorError as error:
        raise TableError(f"cannot read {file}: {error}") from None
    shapes = {name: tuple(value.shape) for name, value in expected.items()}
    if {name: tuple(value.shape) for name, value in found.items()} != shapes:
        raise TableError(f"{file} is not the predictor of gpt-{scale}: its weights are others")
    for name, value in expected.items():
        value.data.copy_(found[name])
    return network.requires_grad_(False)


def hwgpt(scale: str, path: str | Path) -> PredictedTable[Transformer]:
    """Return the perplexity of all transformers of a scale, to be minimised; see `perplexity`."""
    predictor = perplexity(path, scale)
    name = f"hwgpt/{scale}"
    return PredictedTable(name, GPT(scale), predictor, objective=OBJECTIVE, direction="minimize")
