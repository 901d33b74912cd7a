"""Spaces with fixed columns, and spaces of batches, against the suite for spaces."""

from __future__ import annotations

import pytest
import torch

from naslib_diffusion import GuidedGenerator
from naslib_diffusion.optimize.maximize import Maximizer
from naslib_diffusion.spaces import GPT, Categorical, MobileNetV3, ProductSpace, Real
from naslib_diffusion.spaces.batches import Batch, Batches
from naslib_diffusion.spaces.fixed import Fixed
from naslib_diffusion.testing import SpaceTestCase

PRODUCT = ProductSpace.categorical([4, 3, 5])


class TestFixed(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return Fixed(PRODUCT, {1: 0.0, 5: 1.0})


class TestFixedMobileNet(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return Fixed(MobileNetV3(), {0: 1.0})


class TestBatches(SpaceTestCase):
    rejects = True

    @pytest.fixture
    def space(self):
        return Batches(ProductSpace.categorical([9] * 6), 3)


def test_columns_are_fixed_in_all_that_is_generated():
    space = Fixed(PRODUCT, {1: 0.0, 5: 1.0})
    assert space.size == 3 * 1 * 5
    archs = GuidedGenerator(space, seed=0).generate(15, lambda x: x.flatten(1).sum(1))
    x = space.encode(archs)
    assert bool((x[:, 1] == 0).all())
    assert bool((x[:, 5] == 1).all())


def test_fixed_continuous_column():
    space = Fixed(ProductSpace([Categorical((1, 2)), Real(0.0, 10.0)]), {2: 0.25})
    assert {arch.values[1] for arch in space.sample(5)} == {2.5}
    assert space.size == 2
    with pytest.raises(ValueError, match=r"is in \[0, 1\], not 3"):
        Fixed(ProductSpace([Real(0.0, 1.0)]), {0: 3.0})


def test_columns_that_cannot_be():
    with pytest.raises(ValueError, match="column 12 does not exist; encodings have 12"):
        Fixed(PRODUCT, {12: 1.0})
    with pytest.raises(ValueError, match=r"no architecture .* has columns 0: 1, 1: 1"):
        Fixed(PRODUCT, {0: 1.0, 1: 1.0})


def test_batches_hold_distinct_unknown_members():
    space = ProductSpace.categorical([3, 3])
    points = list(space)
    known = {space.canonical(points[0])}
    batches = Batches(space, 2, known)
    assert batches.is_valid(Batch((points[1], points[2])))
    assert not batches.is_valid(Batch((points[1], points[1])))
    assert not batches.is_valid(Batch((points[0], points[1])))
    assert batches.canonical(Batch((points[1], points[2]))) == batches.canonical(
        Batch((points[2], points[1]))
    )
    assert all(map(batches.is_valid, batches.neighbors(Batch((points[1], points[2])))))
    found = GuidedGenerator(batches, seed=0).generate(10, lambda x: x.flatten(1).sum(1))
    assert all(map(batches.is_valid, found))
    with pytest.raises(ValueError, match="q must be at least 1"):
        Batches(space, 0)


def test_batches_encode_side_by_side():
    space = ProductSpace.categorical([3, 3])
    batches = Batches(space, 2)
    (batch,) = batches.sample(1, torch.Generator().manual_seed(0))
    x = batches.encode([batch])
    assert x.shape == (1, 2, 6)
    torch.testing.assert_close(x[0], space.encode(batch.members))


def test_vast_unions_are_fixed_without_being_listed():
    """Of the 1.9e12 transformers those of width 768 with 12 layers, the first one of ratio 2."""
    space = GPT("s")
    fixed = Fixed(space, {2: 1.0, 5: 1.0, 6: 1.0})
    assert fixed.size == 2 * 9**12 // 3
    archs = fixed.sample(50, torch.Generator().manual_seed(0))
    assert {(a.width, len(a.ratios), a.ratios[0]) for a in archs} == {(768, 12, 2)}
    other = space.encode(space.sample(50, torch.Generator().manual_seed(1)))
    assert all(map(fixed.is_valid, fixed.decode(other)))
    assert fixed.decode(fixed.encode(archs)) == archs
    with pytest.raises(ValueError, match="no architecture of space 'gpt-s' has columns 3"):
        Fixed(space, {3: 1.0, 4: 1.0})


def test_vast_unions_in_batches_are_maximised():
    space = Batches(GPT("s"), 2)
    found = Maximizer(space, seed=0)(lambda x: -x[..., 2].sum(1) - x[..., 5].sum(1))
    (best,) = found.archs
    assert all(arch.width < 768 and len(arch.ratios) < 12 for arch in best.members)
