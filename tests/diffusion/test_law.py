"""Encodings drawn without architectures."""

import pytest
import torch

from naslib_diffusion.diffusion.law import UniformLaw, listable
from naslib_diffusion.diffusion.quality import pair_distance
from naslib_diffusion.spaces import MobileNetV3, NASBench201, ProductSpace, Real

CPU = torch.device("cpu")


@pytest.mark.parametrize("space", [NASBench201(), MobileNetV3()], ids=lambda s: s.name)
def test_it_is_the_law_of_the_space(space):
    random = torch.Generator().manual_seed(0)
    assert listable(space.blocks)
    x = UniformLaw(space.blocks, CPU)(5000, random).view(-1, *space.shape)
    a, b = (space.encode(space.sample(5000, random)).float() for _ in range(2))
    assert torch.equal(space.encode(space.decode(x)).float(), x)
    assert pair_distance(x, a) < 1.3 * pair_distance(a, b)


def test_continua_are_uniform():
    space = ProductSpace([Real(0, 1), Real(0, 1)])
    x = UniformLaw(space.blocks, CPU)(5000, torch.Generator().manual_seed(0))
    for order in (1, 2, 3):
        assert float((x**order).mean()) == pytest.approx(1 / (order + 1), abs=0.02)


def test_what_does_not_factorise_is_not_listed():
    assert not listable(None)
