"""Architectures become networks, and networks have costs."""

import csv
import gzip

import pytest
import torch
from torch import nn

from naslib_diffusion.spaces import (
    Buildable,
    MobileNetV3,
    NASBench201,
    ProductSpace,
    Subnet,
)
from naslib_diffusion.spaces.costs import network_cost

SPACE = NASBench201()
ALL_3X3 = SPACE.parse("333333")
BEST = SPACE.parse(
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
)


def test_costs_of_nasbench201_are_those_of_the_benchmark():
    """Its own figures for CIFAR-10, in millions: 1.531546 and 220.11969 for the largest cell."""
    assert SPACE.cost(ALL_3X3, "params") == 1_531_546
    assert SPACE.cost(ALL_3X3, "flops") == pytest.approx(220.11969e6, rel=0.02)  # without norms


def test_costs_of_a_network_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 16, 5))
    assert network_cost(network, "params", (3, 4, 4)) == 3 * 8 * 9 + 8 + 8 * 16 * 5 + 5
    assert network_cost(network, "flops", (3, 4, 4)) == 16 * 3 * 8 * 9 + 8 * 16 * 5
    with pytest.raises(ValueError, match=r"unknown cost 'watts'; known: params, flops"):
        network_cost(network, "watts", (3, 4, 4))


def test_a_built_network_has_the_shape_that_was_asked_for():
    network = SPACE.build(BEST, channels=4, cells=1, inputs=2, outputs=7)
    assert network(torch.rand(3, 2, 8, 8)).shape == (3, 7)


def test_mobilenetv3_is_once_for_alls_network(data_folder):
    """Parameters and multiply-adds as measured, of the networks and in closed form."""
    path = data_folder / "ofa_mobilenetv3_imagenet.csv.gz"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))[::400]
    for row in rows:
        columns = ("kernel_sizes", "expand_ratios", "depths")
        arch = Subnet.from_ofa(*(list(map(int, row[c].split())) for c in columns))
        space = MobileNetV3(int(row["resolution"]))
        network = space.build(arch)
        shape = (3, space.resolution, space.resolution)
        for name, column in (("params", "params"), ("flops", "macs")):
            assert network_cost(network, name, shape) == space.cost(arch, name) == int(row[column])


@pytest.mark.parametrize("depth", [2, 4])
def test_mobilenetv3_maps_small_images_too(depth):
    space = MobileNetV3()
    arch = Subnet.from_stages([(0, 8, 4, 2)[:depth]] * 5)
    network = space.build(arch, inputs=1, outputs=7).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 1, 16, 16)).shape == (2, 7)


def test_spaces_say_whether_they_can_be_built():
    assert isinstance(SPACE, Buildable)
    assert not isinstance(ProductSpace.categorical([3, 3]), Buildable)
