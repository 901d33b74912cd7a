"""The conformance suite passes sound spaces (see the other modules) and catches broken ones."""

import pytest
import torch

from naslib_diffusion.spaces import AtomBlock, Integer, Point, ProductSpace, Real
from naslib_diffusion.testing import SpaceTestCase


class Biased(ProductSpace):
    def sample(self, n, generator=None):
        points = super().sample(2 * n, generator)
        return [max(a, b, key=str) for a, b in zip(points[:n], points[n:], strict=True)]


class Unseeded(ProductSpace):
    def sample(self, n, generator=None):
        return super().sample(n)


class Lossy(ProductSpace):
    def decode(self, x):
        return [Point((0, *p.values[1:])) for p in super().decode(x)]


class Drifting(ProductSpace):
    """It encodes another point than it is given."""

    def encode(self, archs):
        return super().encode([Point(((p.values[0] + 1) % 5, *p.values[1:])) for p in archs])


class Overlapping(ProductSpace):
    @property
    def blocks(self):
        return (*super().blocks, AtomBlock(0, torch.zeros(1, 1).double()))


class OffAtoms(ProductSpace):
    @property
    def blocks(self):
        return [AtomBlock(b.start, b.atoms + 0.01) for b in super().blocks]


class Silent(ProductSpace):
    def parse(self, text):
        return super().parse(text) if text.startswith("[") else None


class Talkative(ProductSpace):
    def parse(self, text):
        try:
            return super().parse(text)
        except ValueError as error:
            raise ValueError(f"{error}\nand more") from None


class Selfish(ProductSpace):
    def neighbors(self, arch, generator=None):
        return [arch, *super().neighbors(arch, generator)]


class Coarse(ProductSpace):
    """Its canonical form forgets what its features see."""

    def canonical(self, arch):
        return arch.values[0]


class Stepwise(ProductSpace):
    """Its features have a wrong gradient: that of the identity, whatever the value."""

    def features(self, x):
        return (x + (x.round() - x).detach(),)


class Miscounted(ProductSpace):
    size = 17


SUITE = SpaceTestCase()
SUITE.enumerate = list


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Biased, SUITE.test_blocks_are_the_law),
        (Unseeded, SUITE.test_sampling_depends_on_the_generator_only),
        (Lossy, SUITE.test_encoding_round_trip),
        (Drifting, SUITE.test_valid_draws_are_encoded_once),
        (Overlapping, SUITE.test_blocks_cover_the_encoding),
        (OffAtoms, SUITE.test_blocks_cover_the_encoding),
        (Silent, SUITE.test_parse_explains_garbage),
        (Talkative, SUITE.test_parse_explains_garbage),
        (Selfish, SUITE.test_neighbors),
        (Coarse, SUITE.test_features_respect_canonical_forms),
        (Stepwise, SUITE.test_features_are_differentiable),
        (Miscounted, SUITE.test_enumeration),
    ],
)
def test_broken_spaces_are_caught(kind, check, monkeypatch):
    monkeypatch.delenv("CI", raising=False)  # with it, pytest spends half a minute on differences
    parameters = [Integer(0, 4), Integer(0, 4)]
    check(ProductSpace(parameters))
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(kind(parameters))


def test_a_wrong_law_on_a_continuum_is_caught():
    SUITE.test_blocks_are_the_law(ProductSpace([Real(0, 10)]))

    class Squared(ProductSpace):
        def sample(self, n, generator=None):
            return [Point((p.values[0] ** 2 / 10,)) for p in super().sample(n, generator)]

    with pytest.raises(AssertionError, match="block at 0"):
        SUITE.test_blocks_are_the_law(Squared([Real(0, 10)]))
