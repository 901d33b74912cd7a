"""The exact denoiser against brute force."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_diffusion.diffusion import ExactDenoiser, exact, score
from naslib_diffusion.diffusion.exact import per_row, truncated_normal_mean
from naslib_diffusion.spaces import AtomBlock, Factor, NASBench201, UniformBlock, UnionBlock
from naslib_diffusion.testing.denoisers import DenoiserTestCase, noisy, posterior_mean

GRID = torch.linspace(0, 1, 5, dtype=torch.double)[:, None]
EYE = torch.eye(3, dtype=torch.double)


def product(blocks):
    """All encodings of a product of atom blocks."""
    ordered = sorted(blocks, key=lambda block: block.start)
    return torch.stack(
        [torch.cat(rows) for rows in itertools.product(*(b.atoms for b in ordered))]
    )


class TestMixedBlocks(DenoiserTestCase):
    """Equal blocks that are not neighbours, given out of order, a fixed one and an integer.

    And one-hots with a coordinate beside them, and between them, that is always zero.
    """

    blocks = (
        AtomBlock(4, EYE),
        AtomBlock(7, EYE[:1]),
        AtomBlock(0, EYE),
        AtomBlock(3, GRID),
        AtomBlock(10, GRID),
        AtomBlock(11, EYE[1:]),
        AtomBlock(14, EYE[[0, 2]]),
    )

    @pytest.fixture
    def denoiser(self):
        return ExactDenoiser(self.blocks)

    @pytest.fixture
    def atoms(self):
        return product(self.blocks)


class TestNASBench201(DenoiserTestCase):
    @pytest.fixture
    def denoiser(self):
        return ExactDenoiser(NASBench201())

    @pytest.fixture
    def atoms(self):
        return NASBench201().encode(list(NASBench201()))


class TestUnions(DenoiserTestCase):
    """Two equal unions, out of order, one of another kind, and a fixed block between."""

    optional = (Factor((0, 2), EYE[:2, :2]), Factor((1,), GRID), Factor((1,), GRID[:1] - 1))
    banned = (Factor((0, 1, 2), EYE[1:]), Factor((0, 1, 2), EYE[:1]), Factor((3, 4, 5), EYE),
              Factor((3, 4, 5), EYE[1:]))  # fmt: skip
    blocks = (
        UnionBlock(4, optional, ((0, 1), (0, 2))),
        AtomBlock(3, GRID[1:2]),
        UnionBlock(0, optional, ((0, 1), (0, 2))),
        UnionBlock(7, banned, ((0, 2), (1, 3))),
    )

    @pytest.fixture
    def denoiser(self):
        return ExactDenoiser(self.blocks)

    @pytest.fixture
    def atoms(self):
        return product([b.expand() if isinstance(b, UnionBlock) else b for b in self.blocks])

    def test_all_but_one_pair(self):
        atoms = self.blocks[3].expand().atoms
        assert len(atoms) == len(torch.unique(atoms, dim=0)) == 8
        assert not (atoms[:, [0, 3]] == 1).all(-1).any()


class TestEnumeratedTable(DenoiserTestCase):
    """A whole space as one block of thousands of atoms, processed in chunks."""

    @pytest.fixture
    def denoiser(self, monkeypatch, atoms):
        monkeypatch.setattr(exact, "MAX_LOGITS", 3 * len(atoms))
        return ExactDenoiser([AtomBlock(0, atoms)])

    @pytest.fixture
    def atoms(self):
        generator = torch.Generator().manual_seed(3)
        return torch.rand(2000, 6, generator=generator, dtype=torch.double)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_random_products(data):
    sizes = data.draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), max_size=4))
    seed = data.draw(st.integers(0, 1000))
    sigma = data.draw(st.floats(0.05, 10))
    generator = torch.Generator().manual_seed(seed)
    blocks, start = [], 0
    for count, width in [*sizes, (2, 1)]:
        atoms = torch.rand(count, width, generator=generator, dtype=torch.double)
        blocks.append(AtomBlock(start, atoms))
        start += width
    atoms = product(blocks)
    x = noisy(atoms, sigma)
    estimate = ExactDenoiser(blocks)(x, sigma)
    torch.testing.assert_close(estimate, posterior_mean(atoms, x, sigma), rtol=0, atol=1e-9)


@pytest.mark.parametrize("sigma", [0.01, 0.1, 1.0, 30.0])
def test_uniform_coordinates_by_numeric_integration(sigma):
    x = torch.linspace(-3, 4, 71, dtype=torch.double)[:, None]
    grid = (torch.arange(200_000, dtype=torch.double) + 0.5) / 200_000
    expected = [
        (torch.softmax(-((row - grid) ** 2) / (2 * sigma**2), 0) * grid).sum() for row in x[:, 0]
    ]
    estimate = ExactDenoiser([UniformBlock(0)])(x, sigma)[:, 0]
    torch.testing.assert_close(estimate, torch.stack(expected), rtol=0, atol=1e-7)


@pytest.mark.parametrize("sigma", [1e-3, 1e-2, 1.0, 1e3])
def test_truncated_mean_is_tame_in_the_tails(sigma):
    x = torch.tensor([-10, -1, -1e-3, 0, 0.3, 0.5, 0.7, 1, 1.001, 2, 11], dtype=torch.double)
    x.requires_grad_()
    mean = truncated_normal_mean(x, torch.tensor(sigma))
    (slope,) = torch.autograd.grad(mean.sum(), x)
    assert bool(((mean >= 0) & (mean <= 1)).all())
    assert bool((mean.diff() >= 0).all())
    # the slope is the posterior variance over sigma^2
    assert bool(((slope > -1e-6) & (slope < 1 + 1e-6)).all())
    torch.testing.assert_close(mean + mean.flip(0), torch.ones_like(mean), rtol=0, atol=1e-6)


def test_truncated_mean_gradient():
    x = torch.linspace(-2, 3, 41, dtype=torch.double, requires_grad=True)
    for sigma in (0.05, 0.4, 5.0):
        level = torch.tensor(sigma, dtype=torch.double)
        assert torch.autograd.gradcheck(lambda x, s=level: truncated_normal_mean(x, s), (x,))


def test_uniform_and_atoms_together():
    denoiser = ExactDenoiser([AtomBlock(1, EYE), UniformBlock(0), UniformBlock(4)])
    x = torch.randn(5, 5, dtype=torch.double)
    estimate = denoiser(x, 0.5)
    torch.testing.assert_close(estimate[:, 1:4], torch.softmax(x[:, 1:4] / 0.25, dim=1))
    torch.testing.assert_close(
        estimate[:, [0, 4]], truncated_normal_mean(x[:, [0, 4]], torch.tensor(0.5))
    )


def test_score_is_the_gradient_of_the_log_density(law):
    x = noisy(law.atoms, 0.7).requires_grad_()
    distances = (x[:, None] - law.atoms).square().sum(-1)
    density = torch.logsumexp(-distances / (2 * 0.7**2), dim=1).sum()
    (gradient,) = torch.autograd.grad(density, x)
    torch.testing.assert_close(score(law.denoiser, x, 0.7), gradient)


def test_a_space_that_does_not_factorise_needs_a_trained_denoiser():
    class Entangled(NASBench201):
        name = "entangled"
        blocks = None

    with pytest.raises(ValueError, match="'entangled' does not factorise"):
        ExactDenoiser(Entangled())


@pytest.mark.parametrize(
    "blocks",
    [[AtomBlock(1, EYE)], [AtomBlock(0, EYE), AtomBlock(2, EYE)], [UniformBlock(0)] * 2],
)
def test_gaps_and_overlaps_are_errors(blocks):
    with pytest.raises(ValueError, match="without gaps"):
        ExactDenoiser(blocks)


def test_wrong_shapes_are_errors(law):
    with pytest.raises(ValueError, match="16 coordinates per row, not 15"):
        law.denoiser(torch.zeros(3, 15), 1.0)
    with pytest.raises(ValueError, match="one per row"):
        per_row(torch.ones(2), torch.zeros(3, 15))
