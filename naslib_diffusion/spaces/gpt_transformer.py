"""What an architecture of the GPT space is: one transformer, and the choices of a scale."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naslib_diffusion.spaces.parameters import Categorical, Value
from naslib_diffusion.spaces.variables import Variable, reaching

BIASES = (True, False)

_STRING = re.compile(r"([0-9]{1,5}) (bias|no-bias)((?: [0-9]{1,3}x[0-9]{1,3})+)")
_HWGPT = re.compile(r"gpt-[sml]-([0-9]{1,2})-([0-9]{1,5})((?:-[0-9]{1,3})+)-(True|False)")


@dataclass(frozen=True)
class Transformer:
    """A decoder-only transformer; its string form is `768 bias 4x12 2x8 ...`.

    That is the width, whether there are biases, and ratio x heads of each layer.

    Attributes:
        width: of the embedding.
        bias: whether linear layers have one.
        ratios: width of each layer's MLP, in units of the embedding's.
        heads: of each layer.
    """

    width: int
    bias: bool
    ratios: tuple[int, ...]
    heads: tuple[int, ...]

    def __str__(self) -> str:
        layers = (f"{r}x{h}" for r, h in zip(self.ratios, self.heads, strict=True))
        return f"{self.width} {'bias' if self.bias else 'no-bias'} {' '.join(layers)}"

    def spell(self) -> dict[str, Value]:
        """Return the values of `Scale.variables`."""
        layers = {"ratio": self.ratios, "heads": self.heads}
        return {
            **{"width": self.width, "depth": len(self.ratios), "bias": self.bias},
            **{f"{name}{i}": own for name, row in layers.items() for i, own in enumerate(row)},
        }

    @staticmethod
    def read_spelling(values: Mapping[str, Any]) -> Transformer:
        """Inverse of `spell`."""
        layers = range(values["depth"])
        ratios, heads = (tuple(values[f"{k}{i}"] for i in layers) for k in ("ratio", "heads"))
        return Transformer(values["width"], values["bias"], ratios, heads)

    @staticmethod
    def read(text: str) -> Transformer:
        """Inverse of `str`; reads HW-GPT-Bench's `gpt-s-LAYERS-WIDTH-RATIOS-HEADS-BIAS` too.

        Raises:
            ValueError: if it is neither.
        """
        if match := _STRING.fullmatch(text):
            layers = [token.split("x") for token in match[3].split()]
            ratios, heads = (tuple(map(int, own)) for own in zip(*layers, strict=True))
            return Transformer(int(match[1]), match[2] == "bias", ratios, heads)
        if match := _HWGPT.fullmatch(text):
            depth, values = int(match[1]), tuple(map(int, match[3].split("-")[1:]))
            return Transformer(int(match[2]), match[4] == "True", values[:depth], values[depth:])
        raise ValueError(
            f"{text!r} is not a transformer; expected width, bias or no-bias, and ratio x heads "
            "of each layer, as in 768 bias 4x12 2x8"
        )


@dataclass(frozen=True)
class Scale:
    """The choices of one scale, in rising order."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    ratios: tuple[int, ...]
    heads: tuple[int, ...]

    def fault(self, arch: Transformer) -> str | None:
        """Say what of a transformer is not of the scale; None if all is."""
        if arch.width not in self.widths:
            return f"its width is {arch.width}, none of {_listed(self.widths)}"
        if len(arch.ratios) not in self.depths:
            return f"it has {len(arch.ratios)} layers, not {_listed(self.depths)}"
        if len(arch.heads) != len(arch.ratios):
            return f"it has heads for {len(arch.heads)} of {len(arch.ratios)} layers"
        for i, (ratio, heads) in enumerate(zip(arch.ratios, arch.heads, strict=True), start=1):
            if ratio not in self.ratios:
                return f"layer {i} has ratio {ratio}, none of {_listed(self.ratios)}"
            if heads not in self.heads:
                return f"layer {i} has {heads} heads, none of {_listed(self.heads)}"
        return None

    def variables(self) -> tuple[Variable, ...]:
        """Return the decisions by name; those of layers exist where there are so many layers."""
        found = {"width": self.widths, "depth": self.depths, "bias": BIASES}
        layers = {"ratio": self.ratios, "heads": self.heads}
        return (
            *(Variable(name, Categorical(values)) for name, values in found.items()),
            *(
                Variable(f"{name}{i}", Categorical(values), reaching("depth", self.depths, i))
                for name, values in layers.items()
                for i in range(max(self.depths))
            ),
        )

    def uniform(self, width: int, depth: int, bias: bool, place: int) -> Transformer:
        """Return the transformer all of whose layers have the choices number `place`."""
        ratio, heads = self.ratios[place], self.heads[place]
        return Transformer(width, bias, (ratio,) * depth, (heads,) * depth)

    def neighbors(self, arch: Transformer) -> Iterator[Transformer]:
        """Yield what differs in width, bias, one ratio, one number of heads or the last layer."""
        width, bias, ratios, heads = arch.width, arch.bias, arch.ratios, arch.heads
        yield from (Transformer(w, bias, ratios, heads) for w in self.widths if w != width)
        yield Transformer(width, not bias, ratios, heads)
        for own in _changed(ratios, self.ratios):
            yield Transformer(width, bias, own, heads)
        for own in _changed(heads, self.heads):
            yield Transformer(width, bias, ratios, own)
        if len(ratios) - 1 in self.depths:
            yield Transformer(width, bias, ratios[:-1], heads[:-1])
        if len(ratios) + 1 in self.depths:
            for ratio, count in itertools.product(self.ratios, self.heads):
                yield Transformer(width, bias, (*ratios, ratio), (*heads, count))


SCALES = {
    "s": Scale((192, 384, 768), (10, 11, 12), (2, 3, 4), (4, 8, 12)),
    "m": Scale((256, 512, 1024), (22, 23, 24), (2, 3, 4), (8, 12, 16)),
    "l": Scale((320, 640, 1280), (34, 35, 36), (2, 3, 4), (8, 16, 20)),
}
"""Those of HW-GPT-Bench, by their names."""


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _changed(values: tuple[int, ...], choices: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the tuples that differ from `values` in one place."""
    for i, own in enumerate(values):
        for other in choices:
            if other != own:
                yield (*values[:i], other, *values[i + 1 :])
