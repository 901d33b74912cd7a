"""The transformers of HW-GPT-Bench (Sukthanker et al., NeurIPS 2024), in three scales.

A decoder-only language model has an embedding width, a number of layers, biases or none, and in
each layer a ratio of MLP to embedding and a number of attention heads. Scale s has 1.9e12 of them,
m 5.4e23 and l 1.5e35.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from naslib_diffusion.spaces.base import Block, Factor, FeaturesPullback, Terms, UnionBlock
from naslib_diffusion.spaces.costs import check_cost
from naslib_diffusion.spaces.gpt_costs import COSTS, Rates
from naslib_diffusion.spaces.gpt_features import Summary, linear_columns
from naslib_diffusion.spaces.gpt_transformer import BIASES, SCALES, Transformer
from naslib_diffusion.spaces.parameters import Value
from naslib_diffusion.spaces.variables import Variable, read_by

__all__ = ["GPT", "SCALES", "Transformer"]

VOCABULARY, CONTEXT = 50257, 1024
"""Tokens of GPT-2; HW-GPT-Bench itself has 50,254."""


class GPT:
    """The transformers of one scale of HW-GPT-Bench.

    Encodings are `B x D`, what the benchmark's own predictors take: one-hot width, one-hot number
    of layers, a one-hot ratio for each layer, a one-hot number of heads for each, and one-hot bias
    (yes, no). What belongs to an absent layer is zero.

    Args:
        scale: "s", "m" or "l".
        vocabulary: number of tokens, which counts in `cost`.
        context: longest sequence.

    Raises:
        ValueError: if the scale is unknown, or a number not positive.
    """

    costs = tuple(COSTS)

    def __init__(
        self, scale: str = "s", *, vocabulary: int = VOCABULARY, context: int = CONTEXT
    ) -> None:
        if scale not in SCALES:
            raise ValueError(f"unknown scale {scale!r}; known: {', '.join(SCALES)}")
        if min(vocabulary, context) < 1:
            raise ValueError(f"vocabulary {vocabulary} and context {context} must be positive")
        self.scale, self.vocabulary, self.context = SCALES[scale], vocabulary, context
        usual = (vocabulary, context) == (VOCABULARY, CONTEXT)
        self.name = f"gpt-{scale}" + ("" if usual else f" ({vocabulary} tokens, {context} long)")
        self.layers = max(self.scale.depths)
        each = len(self.scale.ratios) * len(self.scale.heads)
        self._weights = [each**depth for depth in self.scale.depths]
        self.size = len(self.scale.widths) * len(BIASES) * sum(self._weights)
        self.shape = (len(self.legend),)
        self._summaries: dict[tuple[torch.device, torch.dtype], Summary] = {}

    @functools.cached_property
    def legend(self) -> tuple[str, ...]:
        """What the columns of encodings stand for."""
        scale, layers = self.scale, range(1, self.layers + 1)
        return (
            *(f"width {width}" for width in scale.widths),
            *(f"{depth} layers" for depth in scale.depths),
            *(f"layer {i}: ratio {ratio}" for i in layers for ratio in scale.ratios),
            *(f"layer {i}: {count} heads" for i in layers for count in scale.heads),
            *("bias", "no bias"),
        )

    @functools.cached_property
    def variables(self) -> tuple[Variable, ...]:
        """Width, number of layers and bias, then ratios and heads of layers; see `Spelled`."""
        return self.scale.variables()

    def spell(self, arch: Transformer) -> dict[str, Value]:
        """Return `width`, `depth`, `bias`, `ratio0` ..., `heads0` ... by name."""
        return arch.spell()

    def read_spelling(self, values: Mapping[str, Value]) -> Transformer:
        """Inverse of `spell`."""
        return Transformer.read_spelling(read_by(self.variables, values))

    @functools.cached_property
    def blocks(self) -> Sequence[Block]:
        """One union of products: for each width, depth and bias, independent ratios and heads."""
        width, depth, ratios, heads, bias = self.split(torch.arange(len(self.legend))[None])
        shared = (*width[0].tolist(), *depth[0].tolist(), *bias[0].tolist())
        choices = list(self._global_choices())
        smallest = self.encode([self.scale.uniform(*choice, 0) for choice in choices])
        factors = [Factor(shared, row[None]) for row in smallest[:, shared]]
        layers = [tuple(columns) for part in (ratios[0], heads[0]) for columns in part.tolist()]
        for columns in layers:  # absent after present
            eye = torch.eye(len(columns), dtype=torch.double)
            factors += [Factor(columns, eye), Factor(columns, torch.zeros_like(eye[:1]))]
        parts = tuple(
            (own, *(len(choices) + 2 * i + (i % self.layers >= d) for i in range(len(layers))))
            for own, (_, d, _) in enumerate(choices)
        )
        return (UnionBlock(0, tuple(factors), parts),)

    def terms(self, name: str = "params") -> Terms:
        """Return what each atom of `blocks` adds to a cost; see `Additive`."""
        return [[self._terms(self._rates(name, w, b), d) for w, d, b in self._global_choices()]]

    def _terms(self, rates: Rates, depth: int) -> list[Tensor]:
        """Return the terms of one part, in the order of its factors."""
        absent = [torch.zeros(1, dtype=torch.double)] * (self.layers - depth)
        ratios = rates.layer + rates.ratio * torch.tensor(self.scale.ratios, dtype=torch.double)
        heads = rates.head * torch.tensor(self.scale.heads, dtype=torch.double)
        fixed = torch.tensor([rates.fixed], dtype=torch.double)
        return [fixed, *[ratios] * depth, *absent, *[heads] * depth, *absent]

    def cost(self, arch: Transformer, name: str = "params") -> float:
        """Return one of the `costs` of an architecture.

        Raises:
            ValueError: if the cost is unknown.
        """
        rates = self._rates(name, arch.width, arch.bias)
        layers = rates.layer * len(arch.ratios)
        return float(
            rates.fixed + layers + rates.ratio * sum(arch.ratios) + rates.head * sum(arch.heads)
        )

    def build(
        self, arch: Transformer, *, vocabulary: int | None = None, context: int | None = None
    ) -> nn.Module:
        """Return the untrained network, which maps token ids, `B x T`, to logits.

        Args:
            arch: what to build.
            vocabulary: number of tokens. The default is that of the space.
            context: longest sequence. The default is that of the space.
        """
        from naslib_diffusion.spaces.gpt_network import TransformerNetwork

        return TransformerNetwork(
            arch.width,
            arch.ratios,
            arch.heads,
            bias=arch.bias,
            vocabulary=self.vocabulary if vocabulary is None else vocabulary,
            context=self.context if context is None else context,
        )

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[Transformer]:
        """Draw `n` architectures uniformly, so that most of them have all layers."""

        def draw(choices: Sequence[object], columns: int) -> Tensor:
            return torch.randint(len(choices), (n, columns), generator=generator)

        scale, layers = self.scale, self.layers
        shares = torch.tensor([weight / self._weights[-1] for weight in self._weights])
        depths = torch.multinomial(shares, max(n, 1), True, generator=generator)[:n]
        widths, biases = draw(scale.widths, 1)[:, 0], draw(BIASES, 1)[:, 0]
        ratios, heads = draw(scale.ratios, layers), draw(scale.heads, layers)
        return self._assemble(widths, depths, ratios, heads, biases)

    def encode(self, archs: Sequence[Transformer]) -> Tensor:
        """Encode architectures, `B x D`; see the class."""
        scale, layers = self.scale, self.layers
        parts = (
            ([a.width for a in archs], 1, scale.widths),
            ([len(a.ratios) for a in archs], 1, scale.depths),
            ([a.ratios + (0,) * (layers - len(a.ratios)) for a in archs], layers, scale.ratios),
            ([a.heads + (0,) * (layers - len(a.heads)) for a in archs], layers, scale.heads),
            ([a.bias for a in archs], 1, BIASES),
        )
        return torch.cat([_one_hots(*part) for part in parts], 1)

    def decode(self, x: Tensor) -> list[Transformer]:
        """Return the nearest architecture of each encoding, `B x D`.

        The square distance to a one-hot is `1 - 2 * its coordinate` more than that to zero; so
        the number of layers weighs its own column against what all layers within it add.
        """
        width, depth, ratios, heads, bias = self.split(x.detach())
        ratio, head = ratios.max(-1), heads.max(-1)
        within = (2 - 2 * ratio.values - 2 * head.values).cumsum(-1)
        cost = within[:, [d - 1 for d in self.scale.depths]] - 2 * depth
        return self._assemble(
            width.argmax(-1), cost.argmin(-1), ratio.indices, head.indices, bias.argmax(-1)
        )

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Cut `B x D` into width, number of layers, ratios and heads (`B x L x K`), and bias."""
        scale, layers = self.scale, self.layers
        sizes = [len(scale.widths), len(scale.depths), layers * len(scale.ratios),
                 layers * len(scale.heads), len(BIASES)]  # fmt: skip
        width, depth, ratios, heads, bias = torch.split(x, sizes, 1)
        return (
            width,
            depth,
            ratios.reshape(len(x), layers, len(scale.ratios)),
            heads.reshape(len(x), layers, len(scale.heads)),
            bias,
        )

    def is_valid(self, arch: Transformer) -> bool:
        """Whether width, number of layers, and each ratio and number of heads are of the scale."""
        return self.scale.fault(arch) is None

    def canonical(self, arch: Transformer) -> Transformer:
        """Return the architecture itself: all of them differ."""
        return arch

    def parse(self, text: str) -> Transformer:
        """Read `768 bias 4x12 2x8 ...`, or HW-GPT-Bench's own `gpt-s-12-768-4-2-...-8-True`."""
        arch = Transformer.read(text.strip())
        fault = self.scale.fault(arch)
        if fault:
            raise ValueError(f"{text!r} is not of {self.name}: {fault}")
        return arch

    def neighbors(
        self, arch: Transformer, generator: torch.Generator | None = None
    ) -> list[Transformer]:
        """Return what differs in width, bias, one ratio, one number of heads or the last layer."""
        return list(self.scale.neighbors(arch))

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return size, layers and summary, `B x 2`, `B x (3 L + 1)`, `B x 9`; see `Summary`."""
        return self._summary(x)(x)[0]

    def linearize_features(self, x: Tensor) -> tuple[tuple[Tensor, ...], FeaturesPullback]:
        """Return the features and the way back; see `LinearizedFeatures`."""
        return self._summary(x)(x)

    def _summary(self, like: Tensor) -> Summary:
        """Return what makes features, copied to each device once."""
        place = like.device, like.dtype
        if place not in self._summaries:
            self._summaries[place] = self._exact_summary.to(*place)
        return self._summaries[place]

    @functools.cached_property
    def _exact_summary(self) -> Summary:
        scale = self.scale
        parts = self.split(torch.eye(len(self.legend), dtype=torch.double))
        width, _, ratios, heads, bias = parts
        rates = [[self._rates("params", w, b) for b in BIASES] for w in scale.widths]
        sums = [
            ratios.sum((1, 2)),
            ratios.sum(1) @ torch.tensor(scale.ratios).double(),
            heads.sum(1) @ torch.tensor(scale.heads).double(),
        ]
        smallest, largest = (
            self.cost(scale.uniform(scale.widths[end], scale.depths[end], end == -1, end))
            for end in (0, -1)
        )
        return Summary(
            linear_columns(*parts),
            width,
            bias,
            torch.stack(sums, 1),
            torch.tensor(rates, dtype=torch.double) / smallest,
            math.log(largest / smallest),
        )

    def _global_choices(self) -> itertools.product[tuple[int, int, bool]]:
        """Return what the parts of the law are: widths, numbers of layers, biases."""
        return itertools.product(self.scale.widths, self.scale.depths, BIASES)

    def _rates(self, name: str, width: int, bias: bool) -> Rates:
        check_cost(name, COSTS)
        return COSTS[name](width, bias, self.vocabulary, self.context)

    def _assemble(
        self, width: Tensor, depth: Tensor, ratios: Tensor, heads: Tensor, bias: Tensor
    ) -> list[Transformer]:
        """Make architectures of indices into the choices: `B` each, and `B x L` of layers."""
        scale = self.scale
        columns = (
            [scale.widths[i] for i in width.tolist()],
            [scale.depths[i] for i in depth.tolist()],
            np.array(scale.ratios)[ratios.cpu().numpy()].tolist(),
            np.array(scale.heads)[heads.cpu().numpy()].tolist(),
            [BIASES[i] for i in bias.tolist()],
        )
        return [
            Transformer(w, b, tuple(r[:d]), tuple(h[:d]))
            for w, d, r, h, b in zip(*columns, strict=True)
        ]


def _one_hots(rows: Sequence[object], columns: int, choices: Sequence[int]) -> Tensor:
    """Encode `B` rows of values as one-hots side by side; zero for what is no choice."""
    values = torch.from_numpy(np.array(rows, dtype=np.int64).reshape(-1, columns))
    hot = values[:, :, None] == torch.tensor(choices)
    return hot.view(len(rows), columns * len(choices)).double()
