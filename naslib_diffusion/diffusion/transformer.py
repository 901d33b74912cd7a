"""Layers of the score network: time embedding, attention informed by the DAG, edge head."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

FREQUENCIES = 16
"""Waves of the time embedding."""
SLOWEST, FASTEST = 0.25, 8.0
"""Their range, in radians per e-fold of the noise level."""


class TimeEmbedding(nn.Module):
    """Emb_time of Eq. 4: a perceptron on Fourier features of the log of the noise level."""

    def __init__(self, width: int) -> None:
        super().__init__()
        waves = torch.logspace(math.log10(SLOWEST), math.log10(FASTEST), FREQUENCIES, device="cpu")
        self.register_buffer("waves", waves, persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width)
        )

    waves: Tensor

    def forward(self, sigma: Tensor) -> Tensor:
        """Embed noise levels, `B` to `B x width`."""
        angles = sigma.log()[:, None] * self.waves.to(sigma)
        out: Tensor = self.layers(torch.cat([angles.sin(), angles.cos()], dim=1))
        return out


class Attention(nn.Module):
    """Attention among nodes, with a learned bias for each head and relation (M of Eq. 5)."""

    def __init__(self, width: int, heads: int, relations: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(heads, relations))

    def forward(self, nodes: Tensor, relations: Tensor) -> Tensor:
        """Mix `B x N x width`, related as `(1 or B) x R x N x N`."""
        batch, count, width = nodes.shape
        qkv = self.qkv(nodes).view(batch, count, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        bias = torch.einsum("hr,brij->bhij", self.bias, relations.to(self.bias)).to(query.dtype)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, count, width))
        return out


class Block(nn.Module):
    """T of Eq. 5: attention, then a perceptron per node; both residual, normalised before."""

    def __init__(self, width: int, heads: int, expansion: int, relations: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, relations)
        self.perceptron_norm = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, expansion * width), nn.SiLU(), nn.Linear(expansion * width, width)
        )

    def forward(self, nodes: Tensor, relations: Tensor) -> Tensor:
        """Map `B x N x width` to the same shape."""
        nodes = nodes + self.attention(self.attention_norm(nodes), relations)
        out: Tensor = nodes + self.perceptron(self.perceptron_norm(nodes))
        return out


class EdgeHead(nn.Module):
    """A number for each pair of nodes i < j, from both nodes and what is known of the edge.

    Zero at first. Undirected, it does not depend on which of the two comes first.
    """

    def __init__(self, width: int, *, directed: bool) -> None:
        super().__init__()
        self.directed = directed
        self.norm = nn.LayerNorm(width)
        self.nodes = nn.Linear(width, 2 * width if directed else width)
        self.known = nn.Linear(2, width, bias=False)
        self.out = nn.Linear(width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, nodes: Tensor, known: Tensor) -> Tensor:
        """Map nodes, `B x N x width`, and features of edges, `B x N x N x 2`, to `B x N x N`."""
        first, second = torch.triu_indices(nodes.shape[1], nodes.shape[1], 1, device=nodes.device)
        seen = self.nodes(self.norm(nodes))
        source, target = seen.chunk(2, dim=-1) if self.directed else (seen, seen)
        hidden = source[:, first] + target[:, second] + self.known(known[:, first, second])
        numbers = self.out(functional.silu(hidden))[..., 0]
        out: Tensor = numbers.new_zeros(known.shape[:-1])
        out[:, first, second] = numbers
        return out
