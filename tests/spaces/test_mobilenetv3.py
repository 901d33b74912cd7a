import csv
import gzip
import itertools
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from naslib_diffusion.diffusion import ExactDenoiser
from naslib_diffusion.spaces import MobileNetV3, Subnet
from naslib_diffusion.spaces.mobilenetv3 import ABSENT, EXPANSIONS, KERNELS, OPERATIONS
from naslib_diffusion.testing import SpaceTestCase

SPACE = MobileNetV3()
STAGES = [s for d in (2, 3, 4) for s in itertools.product(range(9), repeat=d)]

stages = st.lists(st.integers(0, 8), min_size=2, max_size=4)
subnets = st.lists(stages, min_size=5, max_size=5).map(Subnet.from_stages)
SMALLEST = Subnet.from_stages([(0, 0)] * 5)


class TestMobileNetV3(SpaceTestCase):
    draws = 1000

    @pytest.fixture
    def space(self):
        return MobileNetV3()


def test_size():
    assert len(STAGES) == 7371
    assert SPACE.size == 7371**5 == 21758655492572485851
    assert OPERATIONS[:4] == ((3, 3), (3, 4), (3, 6), (5, 3))


@given(subnets)
def test_round_trips(arch):
    assert SPACE.is_valid(arch)
    assert SPACE.parse(str(arch)) == arch
    assert Subnet.from_ofa(**arch.to_ofa()) == arch
    assert Subnet.from_stages(arch.stages) == arch
    assert SPACE.decode(SPACE.encode([arch])) == [arch]


def test_string_form_lists_stage_depth_kernel_and_expansion():
    arch = Subnet.from_stages([(0, 5, 8), (1, 2), (3, 4, 6, 7), (0, 0), (0, 0)])
    assert str(arch) == (
        "3-3-3_3-5-6_3-7-6_0-0-0_2-3-4_2-3-6_0-0-0_0-0-0_4-5-3_4-5-4_4-7-3_4-7-4"
        "_2-3-3_2-3-3_0-0-0_0-0-0_2-3-3_2-3-3_0-0-0_0-0-0"
    )
    assert arch.to_ofa()["d"] == [3, 2, 4, 2, 2]
    assert arch.to_ofa()["ks"][:4] == [3, 5, 7, 3]
    assert arch.to_ofa()["e"][:4] == [3, 6, 6, 3]


@given(subnets, st.integers(0, 99))
def test_absent_layers_of_once_for_all_say_nothing(arch, seed):
    noise, ofa = random.Random(seed), arch.to_ofa()
    for i, operation in enumerate(arch.layers):
        if operation == ABSENT:
            ofa["ks"][i], ofa["e"][i] = noise.choice((*KERNELS, 0)), noise.choice((*EXPANSIONS, 9))
    assert Subnet.from_ofa(**ofa) == arch


def test_measured_subnets_are_read(data_folder):
    path = data_folder / "ofa_mobilenetv3_imagenet.csv.gz"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    lists = ([list(map(int, row[c].split())) for row in rows] for c in
             ("kernel_sizes", "expand_ratios", "depths"))  # fmt: skip
    archs = [Subnet.from_ofa(*row) for row in zip(*lists, strict=True)]
    assert all(map(SPACE.is_valid, archs))
    assert SPACE.decode(SPACE.encode(archs)) == archs


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"d": [2] * 4}, "d has 4 values; expected 5"),
        ({"ks": [3] * 19}, "ks has 19 values; expected 20"),
        ({"d": [2, 2, 5, 2, 2]}, r"d\[2\] is 5; a stage keeps 2, 3 or 4"),
        ({"ks": [3, 4] + [3] * 18}, "layer 1 has kernel 4 and expansion 3"),
        ({"e": [5] + [3] * 19}, "layer 0 has kernel 3 and expansion 5"),
    ],
)
def test_wrong_once_for_all_lists(change, reason):
    with pytest.raises(ValueError, match=reason):
        Subnet.from_ofa(**{**SMALLEST.to_ofa(), **change})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t[:-1], "expected 20 tokens"),
        (lambda t: [*t, "0-0-0"], "expected 20 tokens"),
        (lambda t: ["2-3-3-3", *t[1:]], "expected 20 tokens"),
        (lambda t: ["2-3-5", *t[1:]], "layer 0 has kernel 3 and expansion 5"),
        (lambda t: ["1-3-3", *t[1:]], r"d\[0\] is 1"),
        (lambda t: [t[0], "3-3-3", *t[2:]], "layer 1 is 3-3-3 in a stage that begins with depth"),
        (lambda t: [t[0], t[2], t[1], *t[3:]], "layer 1 has kernel 0"),
        (lambda t: [*t[:3], "2-3-3", *t[4:]], "layer 3 is 2-3-3 in a stage .* depth 2"),
    ],
)
def test_parse_says_what_is_wrong(change, reason):
    with pytest.raises(ValueError, match=reason):
        SPACE.parse("_".join(change(str(SMALLEST).split("_"))))


@pytest.mark.parametrize(
    "layers",
    [
        (0,) * 19,
        (0, ABSENT, ABSENT, ABSENT) + (0,) * 16,
        (0, 0, ABSENT, 0) + (0,) * 16,
        (9,) + (0,) * 19,
        (-2,) + (0,) * 19,
    ],
)
def test_invalid_layers(layers):
    assert not SPACE.is_valid(Subnet(layers))


def test_decode_is_the_nearest_architecture():
    atoms = SPACE.blocks[0].expand().atoms
    x = 0.7 * torch.randn(100, 20, 9, generator=torch.Generator().manual_seed(0)).double() + 0.2
    nearest = [torch.cdist(part, atoms).argmin(-1) for part in x.flatten(1).split(36, -1)]
    archs = SPACE.decode(x)
    assert [a.stages for a in archs] == [
        tuple(STAGES[i] for i in row) for row in torch.stack(nearest, 1).tolist()
    ]
    assert len({len(stage) for arch in archs for stage in arch.stages}) == 3


def test_depths_are_weighted_by_their_number():
    depths = torch.tensor([[len(s) for s in a.stages] for a in SPACE.sample(4000)])
    for depth in (2, 3, 4):
        share = 9**depth / 7371
        assert abs(depths.eq(depth).double().mean() - share) < 5 * (share / 20_000) ** 0.5


@given(subnets)
def test_neighbors_are_one_decision_away(arch):
    near = SPACE.neighbors(arch)
    depths = [len(stage) for stage in arch.stages]
    assert len(near) == sum(4 * d + (d > 2) + 9 * (d < 4) for d in depths)
    for other in near:
        (i,) = (i for i in range(5) if other.stages[i] != arch.stages[i])
        old, new = arch.stages[i], other.stages[i]
        if len(old) == len(new):
            pairs = [(OPERATIONS[a], OPERATIONS[b]) for a, b in zip(old, new, strict=True)]
            assert sum(a != b for p, q in pairs for a, b in zip(p, q, strict=True)) == 1
        else:
            assert abs(len(old) - len(new)) == 1
            assert all(a == b for a, b in zip(old, new, strict=False))
        assert arch in SPACE.neighbors(other)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0, 20.0])
def test_exact_denoiser_agrees_with_all_stages_one_by_one(sigma):
    generator = torch.Generator().manual_seed(0)
    x = SPACE.encode(SPACE.sample(8, generator))
    x = x + sigma * torch.randn(x.shape, generator=generator, dtype=torch.double)
    dense = ExactDenoiser([block.expand() for block in SPACE.blocks])
    torch.testing.assert_close(ExactDenoiser(SPACE)(x, sigma), dense(x, sigma))
