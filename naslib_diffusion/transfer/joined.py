"""A cell's network as it is trained: convolutions of one input and size are one wider convolution.

A card takes hardly longer for it, and half as many kernels are half as many launches. The network
itself keeps a layer for each edge: files are of these, and zero-cost scores count them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from naslib_diffusion.runtime.sharing import sharing
from naslib_diffusion.spaces.nasbench201_features import EDGES
from naslib_diffusion.spaces.nasbench201_network import CellBlock, CellNetwork


def joined(network: CellNetwork) -> CellNetwork:
    """Return a network that computes the same in fewer kernels, on the same weights.

    The tensors of `network` become views of the returned one's: what this one learns, statistics
    of batches included, the other has learned too.

    Args:
        network: of one copy, on its device and in its memory format, without gradients.
    """
    made = sharing(network)
    for index, block in enumerate(network.body):
        if isinstance(block, CellBlock):
            made.body[index] = JoinedBlock(block)
    return made


class JoinedBlock(nn.Module):
    """A `CellBlock` with a layer for several of its edges wherever they can share one."""

    def __init__(self, block: CellBlock) -> None:
        super().__init__()
        together: dict[tuple[object, ...], list[int]] = {}
        for edge in block.live:
            layer = block.edges[str(edge)]
            kind = layer[1].kernel_size if isinstance(layer, nn.Sequential) else edge
            together.setdefault((EDGES[edge][0], kind), []).append(edge)
        self.edges = sorted(together.values(), key=lambda edges: EDGES[edges[0]][0])
        self.layers = nn.ModuleList(
            _side_by_side([block.edges[str(edge)] for edge in edges]) for edges in self.edges
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the cell; without any path from input to output that is zero."""
        nodes: dict[int, Tensor] = {0: x}
        for edges, layer in zip(self.edges, self.layers, strict=True):
            source = EDGES[edges[0]][0]
            for edge, flow in zip(edges, layer(nodes[source]).chunk(len(edges), 1), strict=True):
                target = EDGES[edge][1]
                nodes[target] = nodes[target] + flow if target in nodes else flow
        return nodes[3] if 3 in nodes else torch.zeros_like(x)


def _side_by_side(layers: Sequence[nn.Module]) -> nn.Module:
    """Return a layer whose outputs are those of `layers`, one after the other.

    Several of them are ReLU, convolution and batch normalisation; their tensors become views.
    """
    if len(layers) == 1:
        return layers[0]
    made = copy.deepcopy(layers[0])
    for whole, *parts in zip(*(module.modules() for module in (made, *layers)), strict=True):
        _join(whole, parts)
    return made


def _join(whole: nn.Module, parts: Sequence[nn.Module]) -> None:
    """Give a module the tensors of several ones, along their channels, and these their shares."""
    learned = dict(whole.named_parameters(recurse=False))
    for name, first in {**learned, **dict(whole.named_buffers(recurse=False))}.items():
        own = [getattr(part, name).detach() for part in parts]
        # what is no list of channels is a count of batches: one for each part
        joint = torch.cat(own) if first.ndim else torch.stack(own)
        shares = joint.chunk(len(parts)) if first.ndim else joint.unbind()
        for module, tensor in zip((whole, *parts), (joint, *shares), strict=True):
            setattr(module, name, nn.Parameter(tensor) if name in learned else tensor)
