import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from naslib_diffusion.spaces import (
    AtomBlock,
    Categorical,
    Integer,
    Point,
    ProductSpace,
    Real,
    UniformBlock,
)
from naslib_diffusion.spaces.numbers import MAX_ATOMS
from naslib_diffusion.spaces.parameters import typed
from naslib_diffusion.testing import SpaceTestCase

LOOKALIKES = [1, 1.0, True, "1", 0, 0.0, False, "", None, "null", "True", 'é\n"|', math.inf]
MIXED = [
    Categorical(LOOKALIKES, name="look"),
    Integer(3, 3),
    Integer(-2, 11, step=4, name="stepped"),
    Integer(1, 512, log=True),
    Integer(-5, 5 * MAX_ATOMS),
    Integer(1, 10**9, step=7, log=True),
    Real(0, 1, step=0.1),
    Real(1e-3, 2, step=0.01, log=True),
    Real(-4.5, 7),
    Real(1e-7, 10, log=True, name="rate"),
    Real(2, 2),
    Real(1e9, 1e9 + 1),
]

values = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False)
    | st.text(max_size=4)
)


@st.composite
def parameters(draw):
    kind = draw(st.sampled_from(["categorical", "integer", "real", "stepped"]))
    log = draw(st.booleans())
    if kind == "categorical":
        return Categorical(draw(st.lists(values, min_size=1, max_size=6, unique_by=typed)))
    if kind == "integer":
        low = draw(st.integers(1 if log else -(10**6), 10**6))
        high = low + draw(st.integers(0, 12) | st.integers(0, 10**9))
        return Integer(low, high, step=draw(st.integers(1, 20)), log=log)
    low = draw(st.floats(1e-6 if log else -1e6, 1e6))
    high = low + abs(low) * 1e-3 + draw(st.floats(1e-3, 1e6))
    if kind == "real":
        return Real(low, high, log=log)
    return Real(low, high, log=log, step=(high - low) / draw(st.floats(0.5, 3000)))


spaces = st.lists(parameters(), min_size=1, max_size=5).map(ProductSpace)


def draw_points(space, n=20, seed=0):
    return space.sample(n, torch.Generator().manual_seed(seed))


class TestCategorical(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return ProductSpace.categorical([5] * 6)

    def enumerate(self, space):
        return list(space)


class TestLookalikes(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return ProductSpace([Categorical(LOOKALIKES), Categorical([None])])

    def enumerate(self, space):
        return [Point((choice, None)) for choice in LOOKALIKES]


class TestGrids(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return ProductSpace(
            [Integer(-1, 6, step=3), Integer(1, 8, log=True), Real(0, 1, step=0.1)]
        )

    def enumerate(self, space):
        return list(space)


class TestMixed(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return ProductSpace(MIXED)


class TestSinglePoint(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return ProductSpace([Integer(4, 4, log=True), Real(0, 0), Categorical(["only"])])

    def enumerate(self, space):
        return [Point((4, 0.0, "only"))]


class TestRestricted(SpaceTestCase):
    rejects = True

    @pytest.fixture
    def space(self):
        return ProductSpace(
            [Integer(0, 9), Integer(0, 9), Real(0, 1)], lambda p: p.values[0] < p.values[1]
        )


@given(spaces, st.integers(0, 2**31))
def test_round_trips(space, seed):
    points = draw_points(space, seed=seed)
    x = space.encode(points)
    assert x.min() >= 0
    assert x.max() <= 1
    assert space.decode(x) == points
    assert space.decode(space.encode(space.decode(torch.rand_like(x)))) is not None
    for point in points:
        assert space.is_valid(point)
        assert space.parse(str(point)) == point
        assert str(space.parse(str(point))) == str(point)


@given(spaces, st.integers(0, 2**31))
def test_relaxed_encodings_decode_to_points_that_round_trip(space, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(20, *space.shape, generator=generator)
    points = space.decode(x)
    assert all(space.is_valid(point) for point in points)
    assert space.decode(space.encode(points)) == points


@given(spaces, st.integers(0, 2**31))
def test_neighbors_change_one_value(space, seed):
    point = draw_points(space, 1, seed)[0]
    near = space.neighbors(point, torch.Generator().manual_seed(seed))
    assert len(set(near)) == len(near)
    for other in near:
        assert space.is_valid(other)
        same = zip(point.values, other.values, strict=True)
        assert sum(typed(a) != typed(b) for a, b in same) == 1


@given(spaces)
def test_blocks_are_in_order(space):
    start = 0
    for block, parameter in zip(space.blocks, space.parameters, strict=True):
        assert block.start == start
        start += block.width
        if parameter.count is None or parameter.count > MAX_ATOMS:
            assert isinstance(block, UniformBlock)
        else:
            assert isinstance(block, AtomBlock)
            assert len(block.atoms) == parameter.count
    assert space.shape == (start,)


@given(st.lists(values, min_size=1, max_size=8, unique_by=typed))
def test_any_choices_are_kept_apart(choices):
    space = ProductSpace([Categorical(choices)])
    points = list(space)
    assert [typed(p.values[0]) for p in points] == [typed(c) for c in choices]
    assert len({space.canonical(p) for p in points}) == len(set(points)) == len(choices)
    assert [space.parse(str(p)) for p in points] == points


@given(st.text())
def test_parse_returns_a_valid_point_or_raises_value_error(text):
    space = ProductSpace([Integer(0, 9)])
    try:
        point = space.parse(text)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both outcomes are fine
    else:
        assert space.is_valid(point)


def test_one_hot_blocks_as_botorch_encodes_them():
    space = ProductSpace.categorical([5] * 6)
    points = draw_points(space, 50)
    x = space.encode(points)
    indices = torch.tensor([p.values for p in points])
    assert x.shape == (50, 30)
    assert torch.equal(x, torch.nn.functional.one_hot(indices, 5).double().flatten(1))
    assert space.size == 5**6


def test_points_compare_by_type():
    assert len({Point((1,)), Point((1.0,)), Point((True,)), Point(("1",))}) == 4
    assert Point((1, None)) == Point((1, None))
    assert Point((1,)) != (1,)
    assert str(Point((None, True, 1, 1.0, "1"))) == '[null, true, 1, 1.0, "1"]'
    assert json.loads(str(Point(("é\n",)))) == ["é\n"]


def test_integers_are_equally_spaced_cell_midpoints():
    (block,) = ProductSpace([Integer(2, 11, step=3)]).blocks
    assert torch.allclose(block.atoms, torch.tensor([[0.125], [0.375], [0.625], [0.875]]).double())


def test_log_integers_are_equally_spaced_in_the_logarithm():
    space = ProductSpace([Integer(1, 64, log=True)])
    x = space.encode([Point((2**k,)) for k in range(7)])[:, 0]
    assert torch.allclose(x.diff(), x.diff()[0])


def test_large_log_integers_follow_the_scale():
    space = ProductSpace([Integer(1, 10**6, log=True)])
    small = sum(p.values[0] <= 1000 for p in draw_points(space, 1000))
    assert 450 < small < 600


def test_log_reals_are_uniform_in_the_logarithm():
    space = ProductSpace([Real(1e-4, 1, log=True)])
    points = [Point((v,)) for v in (1e-4, 1e-3, 1e-2, 0.1, 1.0)]
    assert torch.allclose(space.encode(points)[:, 0], torch.linspace(0, 1, 5).double())
    assert space.decode(torch.linspace(0, 1, 5).unsqueeze(1).double()) == points


def test_decode_takes_the_nearest_atom():
    space = ProductSpace([Integer(1, 9, log=True), Real(-1, 1, step=0.25), Integer(0, 6)])
    x = torch.rand(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.double) * 3 - 1
    decoded = space.encode(space.decode(x))
    for block in space.blocks:
        nearest = (x[:, [block.start]] - block.atoms.T).abs().argmin(-1)
        assert torch.equal(decoded[:, block.start], block.atoms[nearest, 0])


def test_decode_clamps():
    space = ProductSpace([Integer(0, 5), Real(-1, 3), Integer(1, 10**7)])
    outside = torch.tensor([[-5.0, -5.0, -5.0], [5.0, 5.0, 5.0]])
    assert space.decode(outside) == [Point((0, -1.0, 1)), Point((5, 3.0, 10**7))]


def test_steps_give_decimal_values():
    assert Real(0, 1, step=0.1).values == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    assert Real(-0.5, 0.55, step=0.5).values == (-0.5, 0.0, 0.5)
    assert Integer(1, 10, step=4).values == (1, 5, 9)


def test_rounding_errors_are_forgiven():
    space = ProductSpace([Real(0, 1, step=0.1), Real(0, 1)])
    rough, clean = Point((0.1 * 3, 1 / 3)), Point((0.3, 0.3333333333))
    assert space.is_valid(rough)
    assert space.canonical(rough) == space.canonical(clean)
    assert space.decode(space.encode([rough])) == [clean]
    assert space.parse("[0.30000000000000004, 1]") == Point((0.3, 1.0))
    assert space.parse(str(Point((0.3, 1 / 3)))).values[1] == 1 / 3


def test_canonical_forms_tell_types_apart():
    space = ProductSpace([Categorical([1, True, 1.0, "1"])])
    assert len({space.canonical(Point((v,))) for v in [1, True, 1.0, "1"]}) == 4


def test_size():
    assert ProductSpace([Integer(0, 9), Real(0, 1, step=0.5)]).size == 30
    assert ProductSpace([Integer(0, 9), Real(0, 1)]).size is None
    assert ProductSpace([Real(3, 3)]).size == 1
    assert ProductSpace.categorical([9] * 60).size == 9**60


def test_small_grids_have_all_other_values_as_neighbours():
    space = ProductSpace([Integer(0, 9), Categorical("abc"[i] for i in range(3))])
    near = space.neighbors(Point((4, "b")))
    assert {p.values for p in near} == {(k, "b") for k in range(10) if k != 4} | {
        (4, "a"),
        (4, "c"),
    }


def test_large_grids_have_the_next_values_and_jumps_as_neighbours():
    space = ProductSpace([Integer(0, 10**6, step=10)])
    near = [p.values[0] for p in space.neighbors(Point((500,)), torch.Generator().manual_seed(0))]
    assert {490, 510} < set(near)
    assert len(near) == 6
    assert min(p.values[0] for p in space.neighbors(Point((0,)))) == 10


def test_real_neighbours_are_perturbations():
    space = ProductSpace([Real(0, 10)])
    generator = torch.Generator().manual_seed(0)
    steps = [
        p.values[0] - 5 for _ in range(300) for p in space.neighbors(Point((5.0,)), generator)
    ]
    assert len(steps) == 1200
    # A mixture of deviations 2 and 0.5, hardly clipped.
    assert abs(torch.tensor(steps).std() - math.sqrt((4 + 0.25) / 2)) < 0.1


def test_user_bans():
    space = ProductSpace([Integer(0, 3), Integer(0, 3)], lambda p: p.values[0] != p.values[1])
    assert len(list(space)) == 12
    assert space.size == 16
    assert not space.is_valid(Point((1, 1)))
    assert all(a != b for a, b in (p.values for p in draw_points(space, 200)))
    assert all(a != b for a, b in (p.values for p in space.neighbors(Point((0, 1)))))
    with pytest.raises(ValueError, match="does not allow"):
        space.parse("[2, 2]")


def test_sampling_gives_up_on_an_empty_space():
    space = ProductSpace([Real(0, 1)], lambda p: False)
    with pytest.raises(ValueError, match="is_valid rejected 10000 of 10000"):
        space.sample(3)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Categorical([]), "choices is empty"),
        (lambda: Categorical("abc"), "not the string 'abc'"),
        (lambda: Categorical([1, 2, 1]), "choice 1 occurs twice"),
        (lambda: Categorical([0.0, -0.0]), "choice -0.0 occurs twice"),
        (lambda: Categorical([math.nan]), "choice nan"),
        (lambda: Categorical([[1]]), r"choice \[1\] is a list"),
        (lambda: Integer(0, 1.5), "high must be an integer, not 1.5"),
        (lambda: Integer(2, 1), "low 2 is above high 1"),
        (lambda: Integer(1, 2, step=0), "step must be positive, not 0"),
        (lambda: Integer(0, 2, log=True), "needs a positive low, not 0"),
        (lambda: Integer(0, 2**41), "high must be within"),
        (lambda: Real(0, math.inf), "high must be finite"),
        (lambda: Real(math.nan, 1), "low must be finite"),
        (lambda: Real("a", 1), "low must be a number, not 'a'"),
        (lambda: Real(0, 1, log=True), "needs a positive low, not 0.0"),
        (lambda: Real(1, 0), "low 1.0 is above high 0.0"),
        (lambda: Real(0, 1, step=-1), "step must be positive, not -1.0"),
        (lambda: Real(0, 1, step=1e-15), "step 1e-15 gives 1000000000000001 values"),
        (lambda: ProductSpace([]), "parameters is empty"),
        (lambda: ProductSpace([Real(0, 1, name="a"), Real(0, 1, name="a")]), "'a' occurs twice"),
        (lambda: list(ProductSpace([Real(0, 1)])), "'x0' has too many values"),
    ],
)
def test_wrong_arguments(make, reason):
    with pytest.raises(ValueError, match=reason):
        make()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a JSON array: Expecting value"),
        ("[" * 100_000, "not a JSON array"),
        ('{"a": 1}', "not a JSON array"),
        ('[1, "a"]', "has 3 values, not 2"),
        ('[1, "a", 0.5, 0.5]', "has 3 values, not 4"),
        ('[1.0, "a", 0.5]', "parameter 'width' of .*: 1.0 is not an integer in"),
        ('[true, "a", 0.5]', "parameter 'width' of .*: True is not an integer in"),
        ('[2, "a", 0.5]', "2 is not 1 plus a multiple of 2"),
        ('[11, "a", 0.5]', r"11 is not an integer in \[1, 9\]"),
        ('[1, ["a"], 0.5]', r"parameter 'x1' of .*: \['a'\] is not one of the choices"),
        ('[1, "c", 0.5]', "'c' is not one of the choices"),
        ('[1, "a", "0.5"]', "parameter 'rate' of .*: '0.5' is not a float in"),
        ('[1, "a", NaN]', "nan is not a float in"),
        ('[1, "a", 1.5]', r"1.5 is not a float in \[0.0, 1.0\]"),
    ],
)
def test_parse_says_what_is_wrong(text, reason):
    space = ProductSpace(
        [Integer(1, 9, step=2, name="width"), Categorical(["a", "b"]), Real(0, 1, name="rate")]
    )
    with pytest.raises(ValueError, match=reason):
        space.parse(text)


@pytest.mark.parametrize(
    "values",
    [
        (1,),
        (1, 0.5, 2),
        (True, 0.5),
        (1.0, 0.5),
        ("1", 0.5),
        (11, 0.5),
        (1, 1),
        (1, 1.5),
        ([], {}),
    ],
)
def test_invalid_points(values):
    space = ProductSpace([Integer(1, 9), Real(0, 1)])
    assert not space.is_valid(Point(values))
    with pytest.raises(ValueError, match=r"parameter 'x|has 2 values"):
        space.encode([Point((2, 0.25)), Point(values)])


def test_stepped_reals_reject_what_is_off_the_grid():
    space = ProductSpace([Real(0, 1, step=0.25)])
    assert not space.is_valid(Point((0.3,)))
    assert not space.is_valid(Point((math.inf,)))
    with pytest.raises(ValueError, match=r"in steps of 0\.25"):
        space.parse("[0.3]")
