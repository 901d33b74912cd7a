"""Length scales are doubted while a search does not get on, and only then."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from naslib_diffusion.search.search import Search
from naslib_diffusion.spaces import NASBench201, ProductSpace, Real
from naslib_diffusion.spaces.point import Point
from naslib_diffusion.surrogates import (
    GaussianProcess,
    LogExpectedImprovement,
    ProductGaussianProcess,
    make_surrogate,
)
from naslib_diffusion.surrogates.adapted import AdaptedSurrogate, Residual
from naslib_diffusion.surrogates.doubt import HALVING, MOST, PATIENCE, doubt, doubted
from naslib_diffusion.surrogates.prior import EarlierSearch, informed

SQUARE = ProductSpace([Real(0.0, 1.0, name="a"), Real(0.0, 1.0, name="b")])


def spell(stale, start=PATIENCE + 1):
    """Values that grow up to the last of `start`, and then not for `stale` evaluations."""
    return torch.cat([torch.arange(start), torch.zeros(stale)]).double()


def test_doubt_grows_with_the_evaluations_without_progress():
    found = [doubt(spell(stale)) for stale in range(60)]
    assert all(value == 0 for value in found[: PATIENCE + 1])
    doubts = [value for value in found if value]
    assert doubts == sorted(doubts)
    assert doubts[0] == pytest.approx(2 / HALVING)  # every other one
    assert max(doubts) == MOST


def test_every_other_ask_believes():
    found = [doubt(spell(stale)) > 0 for stale in range(20, 40)]
    assert sum(found) == 10
    assert all(a != b for a, b in itertools.pairwise(found))


def test_progress_ends_the_doubt_and_a_trifle_does_not():
    stuck = spell(20, 11)
    assert doubt(stuck) > 0
    better, trifle = stuck.clone(), stuck.clone()
    better[-1], trifle[-1] = stuck.max() + 1, stuck.max() + 1e-3
    assert doubt(better) == 0
    assert doubt(trifle) == doubt(stuck)


@given(st.floats(-1e6, 1e6), st.integers(-20, 20), st.integers(0, 10_000))
def test_doubt_does_not_depend_on_the_unit(shift, power, seed):
    """Up to rounding: the values are integers, and units powers of two."""
    random = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 1000, (31,), generator=random).double()
    assert doubt(values * 2.0**power + float(round(shift)) * 2.0**power) == doubt(values)


@given(st.integers(11, 99))
def test_equal_and_huge_values(count):
    for values in (torch.zeros(count).double(), torch.full((count,), 1e308, dtype=torch.double)):
        assert 0 <= doubt(values) <= MOST
    huge = torch.tensor([1e308, -1e308] * 20, dtype=torch.double)[:count]
    assert 0 <= doubt(huge) <= MOST


def clump():
    """Return a fitted surrogate and its values: all good points have the same `a`, the border."""
    random = torch.Generator().manual_seed(1)
    spread = torch.rand(12, 2, generator=random).double()
    near = torch.stack([torch.zeros(33), 0.5 + 0.05 * torch.randn(33, generator=random)], 1)
    x = torch.cat([spread, near.double()]).clamp(0, 1)
    # a ridge along b = 1/2; what there is to gain lies at a = 0.3, where nobody looked
    peak = torch.exp(-((x[:, 0] - 0.3).square() + (x[:, 1] - 0.5).square()) / 0.01)
    y = -8 * (x[:, 1] - 0.5).square() + peak
    y = (y - y.mean()) / y.std()
    encoded = SQUARE.encode([Point(tuple(row)) for row in x.tolist()])
    return ProductGaussianProcess(SQUARE).fit(encoded, y), encoded, y


def test_shorter_length_scales_know_less_elsewhere_and_as_much_of_the_observed():
    gp, x, _ = clump()
    other = gp.shorten(4.0)
    grid = SQUARE.encode([Point((i / 9, j / 9)) for i in range(10) for j in range(10)])
    assert bool((other.posterior(grid)[1] > 0.9 * gp.posterior(grid)[1]).all())
    assert float(other.posterior(grid)[1].mean()) > 1.5 * float(gp.posterior(grid)[1].mean())
    torch.testing.assert_close(other.posterior(x)[0], gp.posterior(x)[0], rtol=0, atol=0.1)


def test_a_parameter_that_all_good_points_share_promises_more():
    gp, _, y = clump()
    away = SQUARE.encode([Point((0.05 * i, 0.5)) for i in range(3, 20)])

    def promise(surrogate):
        with torch.no_grad():
            return float(LogExpectedImprovement(surrogate, float(y.max()))(away).max())

    everywhere = torch.ones(len(y), dtype=torch.bool)
    assert doubt(y) > 0
    assert promise(doubted(gp, y, everywhere, False)) > promise(gp) + 0.1


def test_who_is_not_doubted():
    gp, x, y = clump()
    nothing = torch.zeros(len(y), dtype=torch.bool)
    assert doubted(gp, y, nothing, False) is gp
    noisy = gp.fit(x, torch.randn(len(y), generator=torch.Generator().manual_seed(0)).double())
    assert noisy.noisy
    assert doubted(noisy, y, ~nothing, False) is noisy
    other = GaussianProcess(NASBench201())
    assert doubted(other, y, ~nothing, False) is other


def test_only_feasible_values_count():
    gp, _, y = clump()
    feasible = torch.ones(len(y), dtype=torch.bool)
    y = y.clone()
    y[0], feasible[0] = 99.0, False  # the best, but not allowed: no reason to doubt
    y[-1] = y[1:].max() + 1
    assert doubted(gp, y, feasible, False) is gp
    assert doubted(gp, y, torch.ones_like(feasible), False) is not gp


def test_a_search_doubts_unless_it_is_noisy():
    _, x, y = clump()
    archs = SQUARE.decode(x)
    fitted = []
    for repeats in (False, True):
        search = Search(SQUARE, seed=0, repeats=repeats)
        search.tell(archs, y.tolist())
        model = search.modeler.fit(search.trials, [])
        fitted.append(float(model.surrogate.posterior(SQUARE.encode([Point((0.9, 0.1))]))[1]))
    assert fitted[0] > fitted[1]


class Ridge:
    """Believes in the ridge of `clump`, and that nothing else matters."""

    def __call__(self, x):
        return 1 - 8 * (x[:, 1] - 0.5).square()

    def belief(self, x):
        mean = self(x)
        return mean, torch.ones_like(mean)

    def surrogate(self):
        return AdaptedSurrogate(SQUARE, self, Residual(0.1, 0.01, (1.0,)))


def test_beliefs_are_doubted_first():
    _, x, y = clump()
    few = x[:6]
    gp = ProductGaussianProcess(SQUARE).fit(few, Ridge()(few))
    both = informed(ProductGaussianProcess(SQUARE), [Ridge()]).fit(few, Ridge()(few))
    everywhere = torch.ones(len(y), dtype=torch.bool)
    grid = SQUARE.encode([Point((i / 9, j / 9)) for i in range(10) for j in range(10)])
    found = doubted(both, y, everywhere, False)
    alone = gp.shorten(2.0 ** doubt(y))
    for one, other in zip(found.posterior(grid), alone.posterior(grid), strict=True):
        torch.testing.assert_close(one, other)
    assert both.weights[-1] < 0.5  # else it would be no belief that is doubted


def test_beliefs_beside_a_surrogate_that_has_no_doubt_stay():
    space = NASBench201()
    cells = space.sample(40, torch.Generator().manual_seed(0))
    x, y = space.encode(cells), torch.zeros(40, dtype=torch.double)
    y[0] = 1.0
    before = EarlierSearch(make_surrogate("gp", space), space, cells, y.tolist())
    both = informed(GaussianProcess(space), [before]).fit(x, y)
    assert doubted(both, y, torch.ones(40, dtype=torch.bool), False) is both
    fresh = informed(ProductGaussianProcess(SQUARE), [Ridge()])
    assert fresh.shorten(2.0) is fresh
