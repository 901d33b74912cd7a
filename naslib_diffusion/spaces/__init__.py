"""Search spaces: what an architecture is, and how it becomes a tensor and back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from naslib_diffusion.spaces.base import (
    Additive,
    AtomBlock,
    Block,
    Buildable,
    Costed,
    Factor,
    Space,
    UniformBlock,
    UnionBlock,
)
from naslib_diffusion.spaces.budgeted import Budgeted
from naslib_diffusion.spaces.declaration import Maybe, Repeat, When, Wiring
from naslib_diffusion.spaces.declared import DeclaredSpace, Design
from naslib_diffusion.spaces.equality import Equality, Exact
from naslib_diffusion.spaces.gpt import GPT, SCALES, Transformer
from naslib_diffusion.spaces.mobilenetv3 import MobileNetV3, Subnet
from naslib_diffusion.spaces.nasbench201 import NASBench201
from naslib_diffusion.spaces.nasbenchgraph import GraphNet, NASBenchGraph
from naslib_diffusion.spaces.numbers import Integer, Real
from naslib_diffusion.spaces.parameters import Categorical
from naslib_diffusion.spaces.paths import PathBlock
from naslib_diffusion.spaces.point import Point
from naslib_diffusion.spaces.product import ProductSpace
from naslib_diffusion.spaces.samples import Graph, SampleSpace, from_samples
from naslib_diffusion.spaces.subset import Subset
from naslib_diffusion.spaces.wiring_network import wire

SPACES: dict[str, Callable[[], Space[Any]]] = {
    "nasbench201": NASBench201,
    "mobilenetv3": MobileNetV3,
    "nasbenchgraph": NASBenchGraph,
    **{f"gpt-{scale}": functools.partial(GPT, scale) for scale in SCALES},
}
"""Spaces that need no arguments, by name."""

__all__ = [
    "GPT",
    "SPACES",
    "Additive",
    "AtomBlock",
    "Block",
    "Budgeted",
    "Buildable",
    "Categorical",
    "Costed",
    "DeclaredSpace",
    "Design",
    "Equality",
    "Exact",
    "Factor",
    "Graph",
    "GraphNet",
    "Integer",
    "Maybe",
    "MobileNetV3",
    "NASBench201",
    "NASBenchGraph",
    "PathBlock",
    "Point",
    "ProductSpace",
    "Real",
    "Repeat",
    "SampleSpace",
    "Space",
    "Subnet",
    "Subset",
    "Transformer",
    "UniformBlock",
    "UnionBlock",
    "When",
    "Wiring",
    "from_samples",
    "wire",
]
