"""What is trained in wider layers is what the network itself would have learned."""

import copy

import pytest
import torch

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.transfer import CellNetwork
from naslib_diffusion.transfer.joined import joined

SPACE = NASBench201()
CELLS = [
    SPACE.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"),
    SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"),
    *SPACE.sample(8, torch.Generator().manual_seed(0)),
]  # fmt: skip


def take_steps(network, images):
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        network(images).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_network_learns_what_the_joined_one_does(cell):
    images = torch.rand(4, 3, 8, 8, dtype=torch.double)
    network = CellNetwork(cell, 4, channels=4, cells=2).double()
    network = network.to(memory_format=torch.channels_last)
    plain = copy.deepcopy(network)
    wider = joined(network)
    for each in (plain, wider):
        take_steps(each, images)
    for (name, mine), expected in zip(
        network.state_dict().items(), plain.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(mine, expected, msg=name)
    torch.testing.assert_close(network.eval()(images), plain.eval()(images))
    torch.testing.assert_close(wider.eval()(images), plain(images))


def test_edges_of_one_source_and_size_share_a_layer():
    wider = joined(CellNetwork(CELLS[0], 4, channels=4, cells=1))
    (block, *_) = (layer for layer in wider.body if hasattr(layer, "edges"))
    assert block.edges == [[0, 1], [3], [2, 4], [5]]
    assert block.layers[0][1].weight.shape == (8, 4, 3, 3)
