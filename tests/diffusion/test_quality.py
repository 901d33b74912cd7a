"""How denoisers are judged: distances that are right, yardsticks that are what they say."""

import pytest
import torch
from toy import Wired

from naslib_diffusion.diffusion import ExactDenoiser
from naslib_diffusion.diffusion.graph import GraphLayout
from naslib_diffusion.diffusion.quality import (
    RowsAlone,
    choices,
    draw,
    node_distance,
    pair_distance,
    relative_error,
    thresholded_validity,
)
from naslib_diffusion.spaces import MobileNetV3, NASBench201, NASBenchGraph

CELLS, NETS, SUBNETS = NASBench201(), NASBenchGraph(), MobileNetV3()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_choices_are_nodes_and_edges():
    rows = choices(NETS, [NETS.parse("|gat~0|gcn~1|fc~1|skip~2|")])[0]
    assert rows.shape == (6 + 15, 11)
    pairs = [(i, j) for i in range(6) for j in range(i + 1, 6)]
    edges = {pair for pair, row in zip(pairs, rows[6:], strict=True) if row[0] == 1}
    assert edges == {(0, 1), (1, 2), (1, 3), (2, 4), (3, 5), (4, 5)}
    assert rows[6:, 1:].sum() == 0
    cells = CELLS.sample(3)
    assert torch.equal(choices(CELLS, cells), CELLS.encode(cells).float())


def test_distances_by_hand():
    x = torch.tensor([[[1.0, 0], [1, 0]], [[0, 1], [0, 0]]])  # two rows that agree
    y = torch.tensor([[[1.0, 0], [0, 0]], [[0, 1], [1, 0]]])  # the same marginals, crossed
    assert node_distance(x, x) == node_distance(x, y) == 0
    assert pair_distance(x, x) == 0
    assert pair_distance(x, y) == pytest.approx(1)
    assert node_distance(x, y.flip(2)) == pytest.approx(0.25)


def test_distances_shrink_with_samples():
    reference = choices(NETS, NETS.sample(20_000, seeded(0)))
    few, many = (choices(NETS, NETS.sample(n, seeded(1))) for n in (100, 5000))
    for distance in (node_distance, pair_distance):
        assert distance(many, reference) < distance(few, reference) / 3


def test_rows_alone_are_exact_where_rows_are_independent():
    x0 = CELLS.encode(list(CELLS))
    alone = RowsAlone(x0, GraphLayout.of(CELLS))
    for sigma in (0.1, 0.5, 2.0):
        assert relative_error(alone, ExactDenoiser(CELLS), x0[:500], sigma, seeded()) < 1e-9


@pytest.mark.parametrize(("space", "valid"), [(NETS, 0.3), (SUBNETS, 0.96)])
def test_rows_alone_miss_dependencies(space, valid):
    """The exact denoiser's samples are valid, those of rows alone not all."""
    x0 = space.encode(space.sample(5000, seeded()))
    alone = RowsAlone(x0, GraphLayout.of(space))
    exact = ExactDenoiser(space)
    assert relative_error(alone, exact, x0[:500], 0.5, seeded()) > 1e-4
    assert thresholded_validity(space, draw(exact, space.shape, 300, seeded())) == 1
    assert thresholded_validity(space, draw(alone, space.shape, 300, seeded())) < valid


def test_rows_alone_know_what_never_is():
    space = Wired()
    x0 = space.encode([((0, 1, 2), (1, 0, 1)), ((1, 1, 2), (1, 1, 1))])
    estimate = RowsAlone(x0, GraphLayout.of(space))(torch.full((1, 3, 5), 0.5).double(), 3.0)
    torch.testing.assert_close(estimate, x0.mean(0, keepdim=True))


def test_draws_have_the_law_of_the_space():
    x = draw(ExactDenoiser(SUBNETS), SUBNETS.shape, 2000, seeded())
    reference = choices(SUBNETS, SUBNETS.sample(20_000, seeded(1)))
    perfect = choices(SUBNETS, SUBNETS.sample(2000, seeded(2)))
    found = choices(SUBNETS, SUBNETS.decode(x))
    assert node_distance(found, reference) < 1.3 * node_distance(perfect, reference)
    assert pair_distance(found, reference) < 1.3 * pair_distance(perfect, reference)
