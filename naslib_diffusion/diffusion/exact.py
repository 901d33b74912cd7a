"""The denoiser in closed form, for spaces whose uniform law factorises; and what a denoiser is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from naslib_diffusion.diffusion.paths import PathMean
from naslib_diffusion.spaces.base import (
    AtomBlock,
    Block,
    Factor,
    Space,
    UniformBlock,
    UnionBlock,
)
from naslib_diffusion.spaces.paths import PathBlock

Sigma = float | Tensor
"""A noise level: a number, a scalar tensor, or one per row (`B`)."""

_Mean = Callable[[Tensor, Tensor], Tensor]

MAX_LOGITS = 2**23
"""Rows are processed in chunks of at most this many logits, to bound memory (64 MiB in double)."""

MAX_ATOMS = 2**14
"""Of longer lists of architectures so many stand for all, drawn once at random: the denoiser
compares with each of them at each step."""


class Denoiser(Protocol):
    """Estimates clean architectures from noisy ones: `E[x0 | x0 + sigma z = x]`.

    Maps `x` (`B x *shape`) and a positive `sigma` to `B x *shape` of the same dtype and device.
    """

    def __call__(self, x: Tensor, sigma: Sigma) -> Tensor:
        """Return the clean estimate."""


def score(denoiser: Denoiser, x: Tensor, sigma: Sigma) -> Tensor:
    """Score of the noisy law, `grad log p(x) = (D(x) - x) / sigma^2` (Tweedie), `B x *shape`."""
    return (denoiser(x, sigma) - x) / per_row(sigma, x) ** 2


def per_row(value: Sigma, x: Tensor) -> Tensor:
    """Shape a number, a scalar tensor or `B` numbers to broadcast against `x`, `B x *shape`.

    Raises:
        ValueError: if `value` is neither a scalar nor one number per row of `x`.
    """
    if not isinstance(value, Tensor):
        return x.new_full((1,) * x.ndim, float(value))  # no copy for which a card would wait
    value = value.to(x)
    if value.ndim and value.shape != x.shape[:1]:
        raise ValueError(
            f"expected a scalar or {len(x)} numbers, one per row, not shape {tuple(value.shape)}"
        )
    return value.view(-1, *[1] * (x.ndim - 1))


class ExactDenoiser:
    """Posterior mean under the uniform law over a space that factorises into blocks.

    A block whose coordinates take one of K values `a_k` has
    `E[x0 | x] = sum_k w_k a_k` with `w = softmax((x . a_k - |a_k|^2 / 2) / sigma^2)`;
    a uniform coordinate has the mean of a normal law truncated to [0, 1]; see `_union_mean` for
    a union and `PathMean` for paths. Blocks that differ only in their place are processed
    together. Inside, the batch is the last axis, since blocks are narrow and batches are long.
    Results are contiguous.

    Args:
        space: a space with `blocks`, or the blocks themselves, which must cover the flattened
            encoding. A whole enumerated space may be one block.
        device: where the atoms live; inputs must be there too.
        dtype: the precision that suits the space. Each call computes in the precision of its
            input.

    Attributes:
        partial: whether it knows only a sample of the law; see `MAX_ATOMS`.

    Raises:
        ValueError: if the law of the space does not factorise, or blocks overlap or leave gaps.
    """

    def __init__(
        self,
        space: Space[Any] | Sequence[Block],
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.double,
    ) -> None:
        blocks = space if isinstance(space, Sequence) else space.blocks
        if blocks is None:
            name = getattr(space, "name", space)
            raise ValueError(
                f"the law of space {name!r} does not factorise: give a trained denoiser"
            )
        self._blocks = blocks
        self.partial = any(map(_is_long, blocks))
        groups = grouped(blocks)
        order = torch.cat([index.flatten() for index, _ in groups])
        if not torch.equal(order.sort().values, torch.arange(len(order))):
            raise ValueError("blocks must cover the flattened encoding once, without gaps")
        self.dtype = dtype
        self._width = len(order)
        self._groups = [
            (_range_of(index) or index.to(device), index.shape, _mean_of(block, device, dtype))
            for index, block in groups
        ]
        inverse = order.argsort()
        self._inverse = _range_of(inverse) or inverse.to(device)

    def to(self, device: torch.device | str) -> ExactDenoiser:
        """Return the same on another device."""
        return ExactDenoiser(self._blocks, device, self.dtype)

    def __call__(self, x: Tensor, sigma: Sigma) -> Tensor:
        """Return the posterior mean, `B x *shape`, differentiable in `x`.

        Args:
            x: noisy encodings, `B x *shape`.
            sigma: positive noise level, a scalar or `B`.
        """
        flat = x.flatten(1)
        if flat.shape[1] != self._width:
            raise ValueError(f"expected {self._width} coordinates per row, not {flat.shape[1]}")
        columns, level = flat.mT.contiguous(), per_row(sigma, flat).mT[None]
        parts = [
            mean(columns[place].view(*shape, len(x)), level).flatten(0, 1)
            for place, shape, mean in self._groups
        ]
        return torch.cat(parts)[self._inverse].view(*x.shape[1:], len(x)).movedim(-1, 0)


def suitable_precision(space: Space[Any]) -> torch.dtype:
    """Return single precision where all that is sampled is rounded; double along continua."""
    continuous = any(isinstance(block, UniformBlock) for block in space.blocks or ())
    return torch.double if continuous else torch.float


def _range_of(index: Tensor) -> slice | None:
    """Return the slice that picks the same as an index, in its order, if there is one."""
    flat = index.flatten()
    start = int(flat[0])
    same = torch.equal(flat, torch.arange(start, start + len(flat)))
    return slice(start, start + len(flat)) if same else None


def grouped(blocks: Sequence[Block]) -> list[tuple[Tensor, Block]]:
    """Collect blocks that differ only in place: their columns, `G x width`, and one block."""
    groups: list[tuple[list[tuple[int, ...]], Block]] = []
    for block in blocks:
        for columns, first in groups:
            if _same_law(first, block):
                columns.append(block.columns)
                break
        else:
            groups.append(([block.columns], block))
    return [(torch.tensor(columns), first) for columns, first in groups]


def _same_law(a: Block, b: Block) -> bool:
    """Whether two blocks are equal, wherever they lie."""
    if isinstance(a, UnionBlock) and isinstance(b, UnionBlock):
        return a.parts == b.parts and all(
            f.columns == g.columns
            and torch.equal(f.atoms, g.atoms)
            and torch.equal(_log_weights(f), _log_weights(g))
            for f, g in zip(a.factors, b.factors, strict=True)
        )
    if isinstance(a, AtomBlock) and isinstance(b, AtomBlock):
        return torch.equal(a.atoms, b.atoms)
    if isinstance(a, PathBlock) and isinstance(b, PathBlock):
        return a.steps is b.steps and a.letters is b.letters and a.weights is b.weights
    return type(a) is type(b)


def _mean_of(block: Block, device: torch.device | str | None, dtype: torch.dtype) -> _Mean:
    """Return the posterior mean of all blocks of one kind, given all that does not depend on x.

    It maps `x` (`G x w x B`) and `sigma` (`1 x 1 x` 1 or B) to `G x w x B`.
    """
    if isinstance(block, AtomBlock):
        start = _start_of_one_hots(block.atoms)
        if start is not None:
            return partial(_one_hot_mean, start=start, count=len(block.atoms))
        return partial(_atoms_mean, atoms=_some(block).to(device, dtype))
    if isinstance(block, UnionBlock):
        return _mean_of_union(block, device, dtype)
    if isinstance(block, PathBlock):
        return PathMean(block, device, dtype)
    return truncated_normal_mean


def _is_long(block: Block) -> bool:
    """Whether a block is a list of more architectures than are compared with."""
    return isinstance(block, AtomBlock) and block.width > 1 and len(block.atoms) > MAX_ATOMS


def _some(block: AtomBlock) -> Tensor:
    """Return the atoms that stand for a block, `K x w`."""
    if not _is_long(block):
        return block.atoms
    drawn = torch.randperm(len(block.atoms), generator=torch.Generator().manual_seed(0))
    return block.atoms[drawn[:MAX_ATOMS]]


def _log_weights(factor: Factor) -> Tensor:
    """Return the logarithms of the weights of a factor, `K`."""
    if factor.weights is None:
        return torch.zeros(len(factor.atoms), dtype=torch.double)
    return factor.weights.double().log()


def _mean_of_union(
    block: UnionBlock, device: torch.device | str | None, dtype: torch.dtype
) -> _Mean:
    """Return `_union_mean` of a block: factors of equal form are processed together."""
    forms: dict[torch.Size, list[int]] = {}
    for i, factor in enumerate(block.factors):
        forms.setdefault(factor.atoms.shape, []).append(i)
    order = [i for own in forms.values() for i in own]
    has = [[float(i in part) for i in order] for part in block.parts]
    return partial(
        _union_mean,
        columns=[
            torch.tensor([block.factors[i].columns for i in own], device=device)
            for own in forms.values()
        ],
        atoms=[
            torch.stack([block.factors[i].atoms for i in own]).to(device, dtype)
            for own in forms.values()
        ],
        weights=[
            torch.stack([_log_weights(block.factors[i]) for i in own]).to(device, dtype)
            if any(block.factors[i].weights is not None for i in own)
            else None
            for own in forms.values()
        ],
        members=torch.tensor(has, device=device, dtype=dtype),
    )


def _union_mean(
    x: Tensor,
    sigma: Tensor,
    columns: list[Tensor],
    atoms: list[Tensor],
    weights: list[Tensor | None],
    members: Tensor,
) -> Tensor:
    """Posterior mean over disjoint products of factors, of `x` (`G x w x B`).

    The evidence of a factor, `z = logsumexp_k log w_k + (x . a_k - |a_k|^2 / 2) / sigma^2`, counts
    for each part that has it. Parts have the posterior `softmax(sum of their z)`, and a factor
    that of the parts that have it.

    Args:
        x: `G x w x B`.
        sigma: `1 x 1 x` 1 or B.
        columns: coordinates of the factors, `F_i x w_i` for each form.
        atoms: of the factors, `F_i x K_i x w_i` for each form.
        weights: their logarithms, `F_i x K_i` for each form; None where they are all one.
        members: which parts (rows) have which factors (columns), in that order.
    """
    evidence, means = [], []
    for index, own, weight in zip(columns, atoms, weights, strict=True):
        logits = _logits(x[:, index], sigma[:, None], own.to(x.dtype))
        if weight is not None:
            logits = logits + weight.to(x.dtype)[:, :, None]
        evidence.append(logits.logsumexp(2))
        means.append(own.to(x.dtype).mT @ torch.softmax(logits, 2))
    members = members.to(x.dtype)
    parts = torch.softmax(members @ torch.cat(evidence, 1), 1)
    shares = torch.split(members.mT @ parts, [len(index) for index in columns], 1)
    weighted = [
        (share[:, :, None] * mean).flatten(1, 2) for share, mean in zip(shares, means, strict=True)
    ]
    places = torch.cat([index.flatten() for index in columns])
    return torch.zeros_like(x).index_add(1, places, torch.cat(weighted, 1))


def _atoms_mean(x: Tensor, sigma: Tensor, atoms: Tensor) -> Tensor:
    """Posterior mean over `atoms` (`K x w`), of `x` (`G x w x B`); `sigma` broadcasts to it."""
    atoms = atoms.to(x.dtype)
    if len(atoms) == 1:
        return atoms[0, :, None].expand_as(x)
    rows = max(1, MAX_LOGITS // (len(x) * len(atoms)))
    if x.shape[2] > rows:
        sigmas = torch.split(sigma.expand(1, 1, x.shape[2]), rows, 2)
        chunks = zip(torch.split(x, rows, 2), sigmas, strict=True)
        return torch.cat([_atoms_mean(part, level, atoms) for part, level in chunks], 2)
    return atoms.mT @ torch.softmax(_logits(x, sigma, atoms), 1)


def _start_of_one_hots(atoms: Tensor) -> int | None:
    """Return where in atoms, `K x w`, one-hots of K > 1 coordinates are, in order; None if not."""
    count, width = atoms.shape
    if not 1 < count <= width:
        return None
    start = int(atoms[0].argmax())
    same = torch.zeros_like(atoms)
    same[:, start : start + count].fill_diagonal_(1)
    return start if torch.equal(atoms, same) else None


def _one_hot_mean(x: Tensor, sigma: Tensor, start: int, count: int) -> Tensor:
    """Posterior mean over one-hots of `count` coordinates from `start`, of `x` (`G x w x B`)."""
    mean = torch.softmax(x[:, start : start + count] / sigma**2, 1)
    if count == x.shape[1]:
        return mean
    return functional.pad(mean, (0, 0, start, x.shape[1] - start - count))


def _logits(x: Tensor, sigma: Tensor, atoms: Tensor) -> Tensor:
    """Log of the posterior over `atoms` (`... x K x w`) given `x` (`... x w x B`), up to a
    constant.
    """
    return (atoms @ x - atoms.square().sum(-1, keepdim=True) / 2) / sigma**2


def truncated_normal_mean(x: Tensor, sigma: Tensor) -> Tensor:
    """Mean of a normal law N(x, sigma^2) truncated to [0, 1], for any `x`; shape of `x`.

    With `a = -x / sigma` and `b = (1 - x) / sigma` it is
    `x + sigma (phi(a) - phi(b)) / (Phi(b) - Phi(a))`. Reflection at 1/2 leaves `x <= 1/2`, hence
    `b > 0`. If 0 < a, all terms can underflow and are divided by `phi(a)`, which turns `Phi` into
    the scaled complementary error function.
    """
    dtype = x.dtype
    x, width = x.double(), 1 / sigma.double()
    mirrored = torch.where(x <= 0.5, x, 1 - x)
    a = -mirrored * width

    tail = a.clamp(min=0)  # each branch sees arguments at which its gradient is finite
    gap = width * (tail + width / 2)  # (b^2 - a^2) / 2
    scaled = torch.special.erfcx(tail / math.sqrt(2))
    scaled = scaled - torch.exp(-gap) * torch.special.erfcx((tail + width) / math.sqrt(2))
    in_tail = -torch.expm1(-gap) / (math.sqrt(math.pi / 2) * scaled)

    low = a.clamp(max=0)
    high = low + width
    density = (torch.exp(-(low**2) / 2) - torch.exp(-(high**2) / 2)) / math.sqrt(2 * math.pi)
    inside = density / (torch.special.ndtr(high) - torch.special.ndtr(low))

    mean = (mirrored + torch.where(a > 0, in_tail, inside) / width).clamp(0, 1)
    return torch.where(x <= 0.5, mean, 1 - mean).to(dtype)
