"""Lists of more architectures than the denoiser compares with: none may be out of sight."""

import pytest
import torch

from naslib_diffusion import GuidedGenerator, Search
from naslib_diffusion.diffusion import exact
from naslib_diffusion.optimize.enumeration import catalogue
from naslib_diffusion.optimize.maximize import Maximizer
from naslib_diffusion.spaces import Exact, Point, ProductSpace, Real, Subset

COUNT = 3000


@pytest.fixture(scope="module")
def pool():
    whole = ProductSpace([Real(0.0, 1.0, name=name) for name in "abc"])
    x = torch.rand(COUNT, 3, generator=torch.Generator().manual_seed(5), dtype=torch.double)
    return Subset(whole, [Point(tuple(row)) for row in x.tolist()])


def gap(arch):
    return sum((value - 0.6) ** 2 for value in arch.values)


def test_law_has_all_members(pool):
    assert len(pool.blocks[0].atoms) == COUNT
    assert Exact(pool).size == COUNT
    assert set(catalogue(pool).archs) == set(pool)


@pytest.mark.parametrize("strategy", ["auto", "guided"])
def test_search_finds_the_best_of_a_long_list(pool, strategy):
    search = Search(pool, direction="minimize", strategy=strategy, initial=8, seed=1)
    for _ in range(25):
        (arch,) = search.ask()
        search.tell([arch], [gap(arch)])
    assert search.best.value == min(map(gap, pool))


def test_what_the_denoiser_does_not_know_is_generated_too(pool, monkeypatch):
    monkeypatch.setattr(exact, "MAX_ATOMS", 200)
    generator = GuidedGenerator(pool, seed=0)
    assert generator.denoiser.partial
    assert len(set(generator.generate(2000))) == 2000

    def guide(x):
        return -(x - 0.6).square().sum(1)

    ranks = {arch: rank for rank, arch in enumerate(sorted(pool, key=gap))}
    assert ranks[generator.generate(5, guide, polish=3)[0]] < 5
    assert Maximizer(pool, seed=0)(guide).archs == [min(pool, key=gap)]
