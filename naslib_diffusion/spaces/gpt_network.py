"""The network that an architecture of the GPT space stands for: a decoder-only transformer.

Layer for layer as HW-GPT-Bench's networks (Sukthanker et al., NeurIPS 2024): rotary positions on
half of each head, attention and MLP in parallel, head size 64 whatever the width, an output of its
own beside the embedding. Written anew in plain PyTorch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from naslib_diffusion.spaces.gpt_costs import HEAD

ROTATED = HEAD // 2
"""Coordinates of a head that carry the position."""
BASE = 10_000.0
"""Of the wave lengths of rotary positions."""
SPREAD = 0.02
"""Standard deviation of new weights, as in GPT-2."""


class TransformerNetwork(nn.Module):
    """Tokens to logits of the next token.

    Args:
        width: of the embedding.
        ratios: width of each layer's MLP, in units of `width`.
        heads: of each layer.
        bias: whether linear layers have one; the output has none.
        vocabulary: number of tokens.
        context: longest sequence.
    """

    def __init__(
        self,
        width: int,
        ratios: tuple[int, ...],
        heads: tuple[int, ...],
        *,
        bias: bool,
        vocabulary: int,
        context: int,
    ) -> None:
        super().__init__()
        self.context = context
        self.embedding = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(
            Layer(width, ratio, count, bias) for ratio, count in zip(ratios, heads, strict=True)
        )
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, vocabulary, bias=False)
        self.apply(_initialise)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map token ids, `B x T`, to logits, `B x T x vocabulary`.

        Raises:
            ValueError: if the sequence is longer than `context`.
        """
        length = tokens.shape[1]
        if length > self.context:
            raise ValueError(f"a sequence of {length} tokens is longer than {self.context}")
        x = self.embedding(tokens)
        turn = _angles(length, x)
        for layer in self.layers:
            x = layer(x, turn)
        logits: Tensor = self.output(self.norm(x))
        return logits


class Layer(nn.Module):
    """Attention and MLP side by side, each after a norm of its own, added to the input."""

    def __init__(self, width: int, ratio: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.queries = nn.Linear(width, 3 * HEAD * heads, bias=bias)
        self.mix = nn.Linear(HEAD * heads, width, bias=bias)
        self.mlp = nn.Sequential(
            nn.Linear(width, ratio * width, bias=bias),
            nn.GELU(),
            nn.Linear(ratio * width, width, bias=bias),
        )

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """Map `B x T x width` to the same shape."""
        out: Tensor = x + self._attend(self.norms[0](x), turn) + self.mlp(self.norms[1](x))
        return out

    def _attend(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """Causal attention among the positions of `B x T x width`."""
        parts = self.queries(x).unflatten(-1, (3, self.heads, HEAD)).movedim(1, 3)
        query, key, value = parts.unbind(1)  # B x heads x T x HEAD
        mixed = functional.scaled_dot_product_attention(
            _rotate(query, turn), _rotate(key, turn), value, is_causal=True
        )
        out: Tensor = self.mix(mixed.transpose(1, 2).flatten(2))
        return out


def _angles(length: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of the turn at each position, `T x ROTATED / 2` each."""
    rates = BASE ** -torch.linspace(0, 1, ROTATED // 2 + 1, device=like.device)[:-1]
    angles = torch.arange(length, device=like.device)[:, None] * rates
    return angles.cos().to(like), angles.sin().to(like)


def _rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the first `ROTATED` coordinates of `... x T x HEAD`, in pairs, by the position."""
    cosine, sine = turn
    first, second, rest = torch.split(x, [ROTATED // 2, ROTATED // 2, HEAD - ROTATED], -1)
    turned = first * cosine - second * sine, first * sine + second * cosine
    return torch.cat([*turned, rest], -1)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=SPREAD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
