"""The score network on a card: a block is one kernel, whose nodes stay in registers throughout.

Its layers are so narrow that they cost little beside what plain PyTorch reads and writes between.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from naslib_diffusion.diffusion.network import ScoreNetwork
from naslib_diffusion.diffusion.transformer import Block
from naslib_diffusion.runtime.sharing import sharing

try:
    import triton
    from triton import language as tl
except ImportError:  # it comes with PyTorch's builds for CUDA alone
    triton = None

TILE = 64
"""Nodes of a program: as many whole architectures as fit, and padding."""
CHUNK = 64
"""Hidden units of a perceptron that a program computes at a time."""
WARPS, STAGES = 4, 2
"""Warps of a program, and how many steps ahead it loads weights."""
SMALLEST, WIDEST = 16, 128
"""Sides of matrices, powers of two, that a card multiplies at once and that registers hold."""

LARGEST_ERROR = 0.05
"""Of an estimate; that of mixed precision is below .01."""

Packed = tuple[Tensor, ...]
"""Weights and biases in the order and layout in which the kernel reads them."""


def fused(network: ScoreNetwork, precision: torch.dtype = torch.bfloat16) -> ScoreNetwork:
    """Return a network that computes the same in fewer kernels, with the weights as they are now.

    It is the given one where there is no Triton, where weights want a gradient or are not in
    single precision, where sizes do not suit, and where the kernel does not compile or computes
    something else. Where nodes want a gradient, it computes as the given one.

    Args:
        network: on the card.
        precision: of what is multiplied; sums and all else are in single precision.
    """
    config, wanted = network.config, any(p.requires_grad for p in network.parameters())
    sides = config.width, config.width // config.heads
    suits = all(SMALLEST <= n <= WIDEST and n.bit_count() == 1 for n in sides)
    if not triton or wanted or network.dtype != torch.float32:
        return network
    if not suits or network.layout.nodes > TILE:
        return network
    made = sharing(network)
    fixed = None if made.layout.edges is None else made.fixed_relations[0]
    made.blocks = nn.ModuleList(FusedBlock(block, fixed, precision) for block in made.blocks)
    made.node_head = FusedHead(made.node_head, precision)
    try:
        with torch.no_grad():
            apart = made(made.support, 0.5) - network(made.support, 0.5)
        wrong = None if bool((apart.abs() < LARGEST_ERROR).all()) else "it computes something else"
    except Exception as error:  # of many kinds: no C compiler, an old card, too few registers
        wrong = str(error)
    if wrong is not None:
        logging.getLogger(__name__).warning("the network runs without its kernel: %s", wrong)
    return network if wrong is not None else made


class FusedBlock(nn.Module):
    """A `Block` in one kernel, or in one after its attention if `relations` are not fixed."""

    def __init__(self, plain: Any, relations: Tensor | None, precision: torch.dtype) -> None:
        super().__init__()
        self.plain, self.attention = plain, None
        if relations is not None:
            self.attention = _pack_attention(plain, relations, precision)
        layers = plain.perceptron_norm, plain.perceptron[0], plain.perceptron[-1]
        self.perceptron = _pack_perceptron(*layers, precision)

    def forward(self, nodes: Tensor, relations: Tensor) -> Tensor:
        """Map `B x N x width` to the same shape."""
        if nodes.requires_grad:
            out: Tensor = self.plain(nodes, relations)
            return out
        if self.attention is None:
            nodes = nodes + self.plain.attention(self.plain.attention_norm(nodes), relations)
        return _launch(nodes, self.attention, self.perceptron, None)


class FusedHead(nn.Sequential):
    """A normalisation and a perceptron in one kernel."""

    def __init__(self, plain: Any, precision: torch.dtype) -> None:
        super().__init__(*plain)
        self.outputs: int = plain[-1].out_features
        self.perceptron = _pack_perceptron(plain[0], plain[1], plain[-1], precision)

    def forward(self, nodes: Tensor) -> Tensor:
        """Map `B x N x width` to `B x N x outputs`."""
        if nodes.requires_grad:
            out: Tensor = super().forward(nodes)  # type: ignore[no-untyped-call]
            return out
        return _launch(nodes, None, self.perceptron, self.outputs)


def _pack_attention(block: Block, relations: Tensor, precision: torch.dtype) -> Packed:
    """Return weights and biases of a block's attention, and what a tile's pairs of nodes add.

    The weights of queries, keys and values are `H x 3 x W x D`, the biases of queries `H x D`,
    weights and biases of the output `W x W` and `W`, and the pairs `H x TILE x TILE`.
    """
    attention, out, heads = block.attention, block.attention.out, block.attention.heads
    weight, bias = _absorbed(block.attention_norm, attention.qkv)
    # biases of keys shift all scores of a query, which changes nothing; those of values pass
    # through the average; exponentials are to the base of two, as the card has them
    bias = bias.view(3, heads, -1)
    unit, size = math.log2(math.e), bias.shape[-1]
    scale = bias.new_tensor([unit / math.sqrt(size), 1, 1])
    weight = weight.T.view(-1, 3, heads, size) * scale[:, None, None]
    query_bias, out_bias = bias[0] * scale[0], out.bias + out.weight @ bias[2].flatten()
    node, count = torch.arange(TILE, device=weight.device), relations.shape[-1]
    pairs = unit * torch.einsum("hr,rij->hij", attention.bias, relations)
    pairs = pairs[:, node[:, None] % count, node % count]
    pairs = pairs.masked_fill(node[:, None] // count != node // count, -math.inf)
    weight, mixing = weight.permute(2, 1, 0, 3), out.weight.T
    weight, mixing, pairs = (t.to(precision).contiguous() for t in (weight, mixing, pairs))
    return weight, query_bias, mixing, out_bias, pairs


def _pack_perceptron(
    norm: nn.LayerNorm, first: nn.Linear, last: nn.Linear, precision: torch.dtype
) -> Packed:
    """Return weights, `W x E`, and biases of the first layer, and of the last, `E x O`, padded."""
    weight, bias = _absorbed(norm, first)
    outputs = len(last.bias)
    padding = 0, max(SMALLEST, triton.next_power_of_2(outputs)) - outputs
    last_weight, last_bias = (functional.pad(t, padding) for t in (last.weight.T, last.bias))
    weight, last_weight = (t.to(precision).contiguous() for t in (weight.T, last_weight))
    return weight, bias, last_weight, last_bias


def _absorbed(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a layer that follows a normalisation, with that one's in them."""
    return linear.weight * norm.weight, linear.bias + linear.weight @ norm.bias


def _launch(
    nodes: Tensor, attention: Packed | None, perceptron: Packed, outputs: int | None
) -> Tensor:
    """Run the kernel on `B x N x W`; it answers `B x N x outputs`, or adds to the nodes."""
    batch, count, width = nodes.shape
    out = nodes.new_empty(batch, count, outputs or width)
    step, (hidden, padded) = TILE // count * count, perceptron[2].shape
    with torch.cuda.device_of(nodes):  # type: ignore[no-untyped-call]
        _layer[(triton.cdiv(batch * count, step),)](
            nodes.contiguous(), out, batch * count, *(attention or (None,) * 5), *perceptron,
            HEADS=len(attention[0]) if attention else 1, RESIDUAL=outputs is None,
            STEP=step, TILE=TILE, W=width, E=hidden, CHUNK=math.gcd(hidden, CHUNK),
            OUT=out.shape[-1], PADDED=padded, num_warps=WARPS, num_stages=STAGES,
        )  # fmt: skip
    return out


def _jit(function: Callable[..., Any]) -> Any:
    return triton.jit(function, do_not_specialize=["total"]) if triton else function


@_jit
def _normal(x: tl.tensor, W: tl.constexpr) -> tl.tensor:
    """Normalise each row of a tile, as `LayerNorm` does before its weights."""
    x = x - tl.sum(x, 1)[:, None] / W
    return x * tl.rsqrt(tl.sum(x * x, 1) / W + 1e-5)[:, None]


@_jit
def _layer(
    nodes: tl.tensor, out: tl.tensor, total: tl.tensor, qkv: tl.tensor, query_bias: tl.tensor,
    mixing: tl.tensor, mixing_bias: tl.tensor, pairs: tl.tensor, first: tl.tensor,
    first_bias: tl.tensor, last: tl.tensor, last_bias: tl.tensor, HEADS: tl.constexpr,
    RESIDUAL: tl.constexpr, STEP: tl.constexpr, TILE: tl.constexpr, W: tl.constexpr,
    E: tl.constexpr, CHUNK: tl.constexpr, OUT: tl.constexpr, PADDED: tl.constexpr,
) -> None:  # fmt: skip
    """Attention, if any, and a perceptron on a tile of `STEP` nodes, `total` in all programs."""
    start = tl.program_id(0).to(tl.int64) * STEP  # entries may be more than 2^31
    row, column, output = tl.arange(0, TILE), tl.arange(0, W), tl.arange(0, PADDED)
    inside = ((row < STEP) & (row < total - start))[:, None]
    place = row[:, None] * W + column
    x = tl.load(nodes + start * W + place, mask=inside, other=0.0).to(tl.float32)
    kind = first.dtype.element_ty
    if pairs is not None:
        D: tl.constexpr = W // HEADS
        normal = _normal(x, W).to(kind)
        x += tl.load(mixing_bias + column)
        part = tl.arange(0, D)
        for head in range(HEADS):
            weights = qkv + head * 3 * W * D + column[:, None] * D + part
            query = tl.dot(normal, tl.load(weights)) + tl.load(query_bias + head * D + part)
            key = tl.dot(normal, tl.load(weights + W * D)).to(kind)
            value = tl.dot(normal, tl.load(weights + 2 * W * D)).to(kind)
            pair = pairs + head * TILE * TILE + row[:, None] * TILE + row
            score = tl.dot(query.to(kind), tl.trans(key)) + tl.load(pair)
            share = tl.exp2(score - tl.max(score, 1)[:, None])
            mixed = tl.dot(share.to(kind), value) / tl.sum(share, 1)[:, None]
            weights = mixing + (head * D + part[:, None]) * W + column
            x = tl.dot(mixed.to(kind), tl.load(weights), x)
    normal = _normal(x, W).to(kind)
    y = tl.zeros([TILE, PADDED], tl.float32) + tl.load(last_bias + output)
    if RESIDUAL:
        y += x
    for begin in range(0, E, CHUNK):
        unit = begin + tl.arange(0, CHUNK)
        weights = first + column[:, None] * E + unit
        hidden = tl.dot(normal, tl.load(weights)) + tl.load(first_bias + unit)
        hidden = hidden / (1 + tl.exp(-hidden))
        y = tl.dot(hidden.to(kind), tl.load(last + unit[:, None] * PADDED + output), y)
    place = row[:, None] * OUT + output
    tl.store(out + start * OUT + place, y, mask=inside & (output < OUT))
