import math

import optuna
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from naslib_diffusion.plugins.optuna import suggest

from naslib_diffusion import DiffusionNAGSampler, Search
from naslib_diffusion.spaces import Integer, NASBench201, Point, ProductSpace, Real, Subset
from naslib_diffusion.testing import SpaceTestCase


def draw(space, n, seed=0):
    return list(dict.fromkeys(space.sample(n, torch.Generator().manual_seed(seed))))


class TestSubsetOfNASBench201(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return Subset(NASBench201(), draw(NASBench201(), 300))

    def enumerate(self, space):
        return list(space)


class TestSubsetOfMixedProduct(SpaceTestCase):
    @pytest.fixture
    def space(self):
        product = ProductSpace([Integer(0, 9), Real(-1, 1), Real(1e-3, 1, log=True)])
        return Subset(product, draw(product, 40))

    def enumerate(self, space):
        return list(space)


class TestSingleMember(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return Subset(ProductSpace.categorical([3, 3]), [Point((0, 2))])

    def enumerate(self, space):
        return list(space)


@given(st.sets(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=20), st.integers(0, 99))
def test_decode_finds_the_nearest_member(members, seed):
    subset = Subset(ProductSpace.categorical([4] * 3), [Point(m) for m in sorted(members)])
    x = torch.randn(30, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    distances = torch.cdist(x, subset.encode(list(subset)))
    chosen = torch.cdist(x, subset.encode(subset.decode(x))).diagonal()
    assert torch.allclose(chosen, distances.min(-1).values)


def test_decode_in_chunks():
    subset = Subset(ProductSpace.categorical([5] * 4), list(ProductSpace.categorical([5] * 4)))
    archs = list(subset) * 4
    assert subset.decode(subset.encode(archs)) == archs


def test_membership_is_exact_and_size_counts_canonical_forms():
    space = NASBench201()
    # Two names of a single 3x3 convolution, and a third that is not listed.
    a = space.parse("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    b = space.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|")
    twins = {}
    for cell in space:
        twins.setdefault(space.canonical(cell), []).append(cell)
    first, second, third = next(t for t in twins.values() if len(t) > 2)[:3]
    subset = Subset(space, [a, b, first, second])
    assert subset.is_valid(second)
    assert not subset.is_valid(third)
    assert len(subset) == 4
    assert subset.size == len({space.canonical(c) for c in subset}) < 4
    with pytest.raises(ValueError, match="not among the 4 of this subset"):
        subset.parse(str(third))
    with pytest.raises(ValueError, match="not a NAS-Bench-201 cell"):
        subset.parse("nonsense")


def test_neighbours_are_members():
    product = ProductSpace.categorical([4, 4])
    subset = Subset(product, [Point((0, 0)), Point((0, 3)), Point((2, 2)), Point((3, 3))])
    assert subset.neighbors(Point((0, 0))) == [Point((0, 3))]
    # (2, 2) shares no value with any other member: the nearest ones, all equally far.
    assert subset.neighbors(Point((2, 2))) == [Point((0, 0)), Point((0, 3)), Point((3, 3))]


def test_nearest_members_come_first():
    product = ProductSpace([Real(0, 1)])
    subset = Subset(product, [Point((k / 20,)) for k in range(21)])
    near = [p.values[0] for p in subset.neighbors(Point((0.5,)))]
    assert sorted(near) == [0.3, 0.35, 0.4, 0.45, 0.55, 0.6, 0.65, 0.7]
    assert set(near[:2]) == {0.45, 0.55}


def test_names_and_blocks():
    subset = Subset(ProductSpace.categorical([2, 3]), [Point((0, 1)), Point((1, 2))])
    (block,) = subset.blocks
    assert subset.name == "product[2]"
    assert block.start == 0
    assert torch.equal(block.atoms, torch.tensor([[1, 0, 0, 1, 0], [0, 1, 0, 0, 1.0]]).double())


@pytest.mark.parametrize(
    ("archs", "reason"),
    [
        ([], "archs is empty"),
        ([Point((0,)), Point((7,))], r"archs\[1\] = '\[7\]' is not valid in product"),
        (
            [Point((0,)), Point((1,)), Point((0,))],
            r"archs\[2\] = '\[0\]' is a duplicate of archs\[0\]",
        ),
    ],
)
def test_wrong_members(archs, reason):
    with pytest.raises(ValueError, match=reason):
        Subset(ProductSpace.categorical([3]), archs)


def hidden_pool(similar):
    """Return a list whose order says nothing, and values that follow a hidden place of each."""
    count = 300
    random = torch.Generator().manual_seed(0)
    hidden = torch.rand(count, 3, generator=random, dtype=torch.double)
    kernel = (-torch.cdist(hidden, hidden).square()).exp()
    names = Subset(
        ProductSpace.categorical([count]),
        [Point((i,)) for i in range(count)],
        similarity=kernel if similar else None,
    )
    return names, dict(zip(names, (hidden - 0.4).square().sum(1).tolist(), strict=True))


@pytest.mark.parametrize("distinct", ["isomorphic", "exact"])
def test_search_goes_by_a_similarity(distinct):
    pool, values = hidden_pool(True)
    search = Search(pool, direction="minimize", initial=6, seed=0, distinct=distinct)
    for _ in range(25):
        (arch,) = search.ask()
        search.tell([arch], [values[arch]])
    assert search.best.value == min(values.values())


def test_sampler_goes_by_a_similarity():
    pool, values = hidden_pool(True)
    sampler = DiffusionNAGSampler(seed=0, n_startup_trials=6, space=pool)
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda trial: values[suggest(trial, pool)], n_trials=25)
    assert study.best_value == min(values.values())


def test_places_have_the_similarity_as_inner_products():
    pool, _ = hidden_pool(True)
    (places,) = pool.features(pool.encode(list(pool)))
    hidden, _ = hidden_pool(False)
    assert len(hidden.features(hidden.encode(list(hidden)))[0][0]) == 300
    products = places @ places.mT
    torch.testing.assert_close(products.diagonal(), torch.ones(300).double())
    assert (products - products.mT).abs().max() == 0


@pytest.mark.parametrize(
    ("similarity", "reason"),
    [
        (torch.eye(2), "similarity must be 3 x 3, not \\(2, 2\\)"),
        (torch.tensor([[1.0, 2, 0], [0, 1, 0], [0, 0, 1]]), "must be symmetric and finite"),
        (torch.full((3, 3), math.nan), "must be symmetric and finite"),
    ],
)
def test_a_similarity_that_is_none(similarity, reason):
    with pytest.raises(ValueError, match=reason):
        Subset(ProductSpace.categorical([3]), [Point((i,)) for i in range(3)], similarity)
