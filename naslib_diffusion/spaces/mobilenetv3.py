"""The Once-for-all MobileNetV3 space (Cai et al., ICLR 2020): five stages of two to four layers.

Each layer has one of nine operations, a kernel size and an expansion ratio. A stage keeps its
first layers and drops the rest. That gives (9^2 + 9^3 + 9^4)^5, about 2.2e19, architectures.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from naslib_diffusion.spaces.base import Block, Factor, FeaturesPullback, Terms, UnionBlock
from naslib_diffusion.spaces.costs import check_cost
from naslib_diffusion.spaces.mobilenetv3_costs import COSTS, HEAD, layer_costs
from naslib_diffusion.spaces.parameters import Categorical, Value
from naslib_diffusion.spaces.variables import Variable, reaching, read_by, settle

STAGES, LAYERS = 5, 4
DEPTHS = (2, 3, 4)
KERNELS = (3, 5, 7)
EXPANSIONS = (3, 4, 6)
OPERATIONS = tuple(itertools.product(KERNELS, EXPANSIONS))
"""Kernel size and expansion ratio of the operations, in the order of the encoding's columns."""
ABSENT = -1
"""Stands for the operation of a layer that its stage drops."""
ADJACENCY = tuple(itertools.pairwise(range(STAGES * LAYERS)))
"""Edges (i, j) between the 20 layers: a chain."""

_OFA_KEYS = ("ks", "e", "d")
_OFA_COLUMNS = ("kernel_sizes", "expand_ratios", "depths")
_NUMBER = re.compile(r"[0-9]{1,9}")
_TOKEN = re.compile(r"([0-9])-([0-9])-([0-9])")
_LEVELS = tuple((1.5, KERNELS.index(k) - 1.0, EXPANSIONS.index(e) - 1.0) for k, e in OPERATIONS)
"""What each operation means for its layer: present, and kernel and expansion from -1 to 1."""


@dataclass(frozen=True)
class Subnet:
    """A sub-network: twenty indices into `OPERATIONS`, four for each stage, or `ABSENT`."""

    layers: tuple[int, ...]

    def __str__(self) -> str:
        tokens = []
        for stage in self.stages:
            tokens += [f"{len(stage)}-{OPERATIONS[i][0]}-{OPERATIONS[i][1]}" for i in stage]
            tokens += ["0-0-0"] * (LAYERS - len(stage))
        return "_".join(tokens)

    @property
    def stages(self) -> tuple[tuple[int, ...], ...]:
        """The operations of the layers that each stage keeps."""
        rows = (self.layers[i : i + LAYERS] for i in range(0, STAGES * LAYERS, LAYERS))
        return tuple(tuple(i for i in row if i != ABSENT) for row in rows)

    @staticmethod
    def from_stages(stages: Sequence[Sequence[int]]) -> Subnet:
        """Inverse of `stages`."""
        rows = ((*stage, *[ABSENT] * (LAYERS - len(stage))) for stage in stages)
        return Subnet(tuple(itertools.chain.from_iterable(rows)))

    def to_ofa(self) -> dict[str, list[int]]:
        """Return Once-for-all's lists: `ks` and `e` for 20 layers, and `d` for five stages.

        An absent layer, where Once-for-all ignores them, gets the smallest values.
        """
        operations = [OPERATIONS[max(i, 0)] for i in self.layers]
        return {
            "ks": [kernel for kernel, _ in operations],
            "e": [expansion for _, expansion in operations],
            "d": [len(stage) for stage in self.stages],
        }

    @staticmethod
    def from_ofa(ks: Sequence[int], e: Sequence[int], d: Sequence[int]) -> Subnet:
        """Inverse of `to_ofa`; what `ks` and `e` say of absent layers does not matter.

        Raises:
            ValueError: if a list has a wrong length or a value that the space does not have.
        """
        for name, values, length in (("ks", ks, 20), ("e", e, 20), ("d", d, STAGES)):
            if len(values) != length:
                raise ValueError(f"{name} has {len(values)} values; expected {length}")
        for stage, depth in enumerate(d):
            if depth not in DEPTHS:
                raise ValueError(f"d[{stage}] is {depth}; a stage keeps 2, 3 or 4 layers")
        layers = [ABSENT] * len(ks)
        for i, operation in enumerate(zip(map(int, ks), map(int, e), strict=True)):
            if i % LAYERS >= d[i // LAYERS]:
                continue
            if operation not in OPERATIONS:
                raise ValueError(
                    f"layer {i} has kernel {operation[0]} and expansion {operation[1]}; "
                    f"known: kernels {KERNELS}, expansions {EXPANSIONS}"
                )
            layers[i] = OPERATIONS.index(operation)
        return Subnet(tuple(layers))


def _variables() -> tuple[Variable, ...]:
    """Return Once-for-all's lists: `d0` to `d4`, `ks0` to `ks19` and `e0` to `e19`."""
    layers = {"ks": KERNELS, "e": EXPANSIONS}
    return (
        *(Variable(f"d{stage}", Categorical(DEPTHS)) for stage in range(STAGES)),
        *(
            Variable(f"{key}{i}", Categorical(values), reaching(f"d{i // 4}", DEPTHS, i % LAYERS))
            for key, values in layers.items()
            for i in range(STAGES * LAYERS)
        ),
    )


class MobileNetV3:
    """The sub-networks of Once-for-all's MobileNetV3.

    Encodings are `B x 20 x 9`: one row per layer, one column per operation in the order of
    `OPERATIONS` (3-3, 3-4, 3-6, 5-3, ..., 7-6). The row of an absent layer is zero.

    Args:
        resolution: height and width of images, on which multiply-adds depend.
    """

    name = "mobilenetv3"
    shape = (STAGES * LAYERS, len(OPERATIONS))
    legend = tuple(f"kernel {kernel}, expansion {ratio}" for kernel, ratio in OPERATIONS)
    """What the columns of encodings stand for."""
    adjacency = ADJACENCY
    size = sum(len(OPERATIONS) ** depth for depth in DEPTHS) ** STAGES
    columns = (_OFA_KEYS, _OFA_COLUMNS)
    """Columns of tables over which Once-for-all's lists are spread."""
    costs = COSTS
    variables = _variables()
    """What Once-for-all's lists say, those of layers that `d` drops left out."""

    def __init__(self, resolution: int = 224) -> None:
        if resolution < 1:
            raise ValueError(f"resolution must be at least 1, not {resolution}")
        self.resolution = resolution

    def spell(self, arch: Subnet) -> dict[str, Value]:
        """Return Once-for-all's lists by `d0`, ..., `ks0`, ..., `e0`, ...; see `Spelled`."""
        lists = arch.to_ofa()
        values = {f"{key}{i}": value for key, own in lists.items() for i, value in enumerate(own)}
        return settle(self.variables, lambda variable: values[variable.name])

    def read_spelling(self, values: Mapping[str, Value]) -> Subnet:
        """Inverse of `spell`."""
        own: dict[str, Any] = read_by(self.variables, values)
        stages = (
            [OPERATIONS.index((own[f"ks{i}"], own[f"e{i}"])) for i in range(start, start + depth)]
            for start, depth in zip(range(0, STAGES * LAYERS, LAYERS), own.values(), strict=False)
        )
        return Subnet.from_stages(list(stages))

    @functools.cached_property
    def blocks(self) -> Sequence[Block]:
        """Five stages, in each of which all sequences of two to four operations are as likely."""
        count = len(OPERATIONS)
        eye = torch.eye(count, dtype=torch.double)
        slots = [tuple(range(i * count, (i + 1) * count)) for i in range(LAYERS)]
        factors = [Factor(s, a) for a in (eye, torch.zeros_like(eye[:1])) for s in slots]
        parts = tuple(tuple(i + LAYERS * (i >= depth) for i in range(LAYERS)) for depth in DEPTHS)
        starts = range(0, STAGES * LAYERS * count, LAYERS * count)
        return tuple(UnionBlock(start, tuple(factors), parts) for start in starts)

    def sample(self, n: int, generator: torch.Generator | None = None) -> list[Subnet]:
        """Draw `n` architectures uniformly, so that most stages have four layers."""
        choice = torch.randint(len(_STAGE_LAYERS), (n, STAGES), generator=generator)
        return [Subnet(tuple(row)) for row in _STAGE_LAYERS[choice].flatten(1).tolist()]

    def encode(self, archs: Sequence[Subnet]) -> Tensor:
        """Encode architectures as one-hots or zero rows, `B x 20 x 9`."""
        layers = torch.tensor([a.layers for a in archs], dtype=torch.long).view(-1, self.shape[0])
        return functional.one_hot(layers + 1, len(OPERATIONS) + 1)[..., 1:].double()

    def decode(self, x: Tensor) -> list[Subnet]:
        """Return the nearest architecture of each encoding, `B x 20 x 9`.

        The square distance from a row to its nearest one-hot is `1 - 2 max(row)` more than that
        to zero, so a stage keeps as many layers as make the sum of those terms least.
        """
        best = x.detach().view(-1, STAGES, LAYERS, len(OPERATIONS)).max(-1)
        cost = (1 - 2 * best.values).cumsum(-1)[..., DEPTHS[0] - 1 :]
        depth = cost.argmin(-1, keepdim=True) + DEPTHS[0]
        kept = torch.arange(LAYERS, device=x.device) < depth
        layers = best.indices.where(kept, ABSENT).flatten(1)
        return [Subnet(tuple(row)) for row in layers.tolist()]

    def is_valid(self, arch: Subnet) -> bool:
        """Whether each stage has two to four known operations, absent layers last."""
        starts = range(0, self.shape[0], LAYERS)
        return len(arch.layers) == self.shape[0] and all(
            arch.layers[i : i + LAYERS] in _valid_stages() for i in starts
        )

    def canonical(self, arch: Subnet) -> Subnet:
        """Return the architecture itself: all of them differ."""
        return arch

    def parse(self, text: str) -> Subnet:
        """Read 20 tokens depth-kernel-expansion, joined by _; 0-0-0 for an absent layer.

        The depth is that of the stage, the same in each of its tokens. Once-for-all's lists as a
        JSON or Python dictionary are read too; see `Subnet.to_ofa`.
        """
        if text.lstrip().startswith("{"):
            return _from_dictionary(text)
        given = text.strip().split("_")
        tokens = [
            tuple(map(int, match.groups())) for match in map(_TOKEN.fullmatch, given) if match
        ]
        if len(given) != self.shape[0] or len(tokens) != len(given):
            raise ValueError(
                f"{text!r} is not a MobileNetV3 architecture; "
                "expected 20 tokens depth-kernel-expansion joined by _"
            )
        depths, kernels, expansions = zip(*tokens, strict=True)
        try:
            arch = Subnet.from_ofa(kernels, expansions, depths[::LAYERS])
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}") from None
        for i, (token, expected) in enumerate(zip(given, str(arch).split("_"), strict=True)):
            if token != expected:
                depth = depths[i - i % LAYERS]
                raise ValueError(
                    f"{text!r}: layer {i} is {token} in a stage that begins with depth {depth}"
                )
        return arch

    def neighbors(self, arch: Subnet, generator: torch.Generator | None = None) -> list[Subnet]:
        """Return what differs in one kernel, one expansion, or the depth of one stage by one."""
        stages = arch.stages
        return [
            Subnet.from_stages((*stages[:i], other, *stages[i + 1 :]))
            for i, stage in enumerate(stages)
            for other in _stage_neighbors(stage)
        ]

    def build(self, arch: Subnet, *, inputs: int = 3, outputs: int = HEAD[-1]) -> nn.Module:
        """Return the untrained network of a sub-network; see `MobileNetwork`."""
        from naslib_diffusion.spaces.mobilenetv3_network import MobileNetwork

        stages = [[OPERATIONS[i] for i in stage] for stage in arch.stages]
        return MobileNetwork(stages, inputs, outputs)

    def cost(self, arch: Subnet, name: str = "params") -> float:
        """Return parameters ("params") or multiply-adds ("flops") of a sub-network.

        Raises:
            ValueError: if the cost is unknown.
        """
        common, layers = self._layer_costs(name)
        pairs = zip(layers, arch.layers, strict=True)
        return float(common + sum(costs[i] for costs, i in pairs if i != ABSENT))

    def terms(self, name: str) -> Terms:
        """Return what the operations of each layer cost; see `Additive`."""
        common, layers = self._layer_costs(name)
        costs = torch.tensor(layers, dtype=torch.double).view(STAGES, LAYERS, -1)
        costs[0, 0] += common
        absent = costs.new_zeros(1)
        return [
            [[absent if i >= depth else stage[i] for i in range(LAYERS)] for depth in DEPTHS]
            for stage in costs
        ]

    def _layer_costs(self, name: str) -> tuple[int, tuple[tuple[int, ...], ...]]:
        check_cost(name, self.costs)
        return layer_costs(name, self.resolution, OPERATIONS)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return presence, kernel and expansion of layers, stages and network; see `_LEVELS`.

        `B x 60`, `B x 15`, where the layers of each stage are summed, and `B x 3`.
        """
        layers = x @ _levels(x.device, x.dtype)
        stages = layers.view(-1, STAGES, LAYERS, 3).sum(2) / LAYERS**0.5
        network = stages.sum(1) / STAGES**0.5
        return layers.flatten(1), stages.flatten(1), network

    def linearize_features(self, x: Tensor) -> tuple[tuple[Tensor, ...], FeaturesPullback]:
        """Return the features, which are linear, and the way back; see `LinearizedFeatures`."""

        def pullback(by: Sequence[Tensor]) -> Tensor:
            layers, stages, network = by
            whole = stages.view(-1, STAGES, 3) + network[:, None] / STAGES**0.5
            each = layers.view(-1, STAGES, LAYERS, 3) + whole[:, :, None] / LAYERS**0.5
            gradient: Tensor = each.flatten(1, 2) @ _levels(x.device, x.dtype).mT
            return gradient

        return self.features(x), pullback


@functools.cache
def _levels(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return `_LEVELS` as a tensor, `9 x 3`, copied to a device once."""
    return torch.tensor(_LEVELS, dtype=dtype, device="cpu").to(device)


def _from_dictionary(text: str) -> Subnet:
    """Read `{"ks": [3, ...], "e": [4, ...], "d": [2, ...]}`; lists may be strings of numbers."""
    try:
        lists = json.loads(text.replace("'", '"'))
        keys = next(keys for keys in (_OFA_KEYS, _OFA_COLUMNS) if set(keys) <= set(lists))
        return Subnet.from_ofa(*([int(v) for v in _NUMBER.findall(str(lists[k]))] for k in keys))
    except StopIteration:
        raise ValueError(f"{text!r} lacks one of {', '.join(_OFA_KEYS)}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{text!r} is not an architecture of Once-for-all: {error}") from None


def _stage_neighbors(stage: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Stages that differ in one kernel or one expansion, or have one layer less or more."""
    near = [
        (*stage[:i], other, *stage[i + 1 :])
        for i, operation in enumerate(stage)
        for other, pair in enumerate(OPERATIONS)
        if sum(a != b for a, b in zip(pair, OPERATIONS[operation], strict=True)) == 1
    ]
    if len(stage) > DEPTHS[0]:
        near.append(stage[:-1])
    if len(stage) < DEPTHS[-1]:
        near += [(*stage, operation) for operation in range(len(OPERATIONS))]
    return near


_STAGE_LAYERS = torch.tensor(
    [
        (*stage, *[ABSENT] * (LAYERS - depth))
        for depth in DEPTHS
        for stage in itertools.product(range(len(OPERATIONS)), repeat=depth)
    ]
)
"""All stages, `7371 x 4`."""


@functools.cache
def _valid_stages() -> frozenset[tuple[int, ...]]:
    """The same, to look one up."""
    return frozenset(map(tuple, _STAGE_LAYERS.tolist()))
