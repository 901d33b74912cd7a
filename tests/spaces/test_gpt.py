"""The transformers of HW-GPT-Bench: space, costs and networks."""

import itertools
import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from naslib_diffusion import GuidedGenerator, Search
from naslib_diffusion.spaces import GPT, SPACES, Budgeted, Transformer
from naslib_diffusion.spaces.base import Additive
from naslib_diffusion.spaces.gpt import VOCABULARY
from naslib_diffusion.testing import SpaceTestCase

SPACE = GPT("s")
LARGEST = Transformer(768, True, (4,) * 12, (12,) * 12)


@st.composite
def transformers(draw):
    scale, depth = SPACE.scale, draw(st.sampled_from(SPACE.scale.depths))
    ratios, heads = (
        tuple(draw(st.lists(st.sampled_from(own), min_size=depth, max_size=depth)))
        for own in (scale.ratios, scale.heads)
    )
    return Transformer(draw(st.sampled_from(scale.widths)), draw(st.booleans()), ratios, heads)


class TestGPTSmall(SpaceTestCase):
    draws = 2000

    @pytest.fixture
    def space(self):
        return GPT("s")


class TestGPTLarge(SpaceTestCase):
    draws = 500

    @pytest.fixture
    def space(self):
        return GPT("l")


@pytest.mark.parametrize(("scale", "layers", "columns"), [("s", 12, 80), ("m", 24, 152)])
def test_sizes(scale, layers, columns):
    space = GPT(scale)
    assert space.size == 6 * (9**layers + 9 ** (layers - 1) + 9 ** (layers - 2))
    assert space.shape == (columns,)  # the inputs of HW-GPT-Bench's predictors
    assert len(space.legend) == columns
    assert SPACES[f"gpt-{scale}"]().name == space.name == f"gpt-{scale}"


def test_a_window_between_the_costs_of_two_widths_names_the_nearest():
    with pytest.raises(ValueError, match=r"none between about 66,9[0-9]+,000 and 108,[0-9]+,000"):
        Budgeted(SPACE, "params", at_least=68e6, at_most=100e6)
    with pytest.raises(ValueError, match=r"it has params: 22,747,392 to 162,250,752$"):
        Budgeted(SPACE, "params", at_most=1e6)


@given(transformers())
def test_round_trips(arch):
    assert SPACE.is_valid(arch)
    assert SPACE.parse(str(arch)) == arch
    assert SPACE.decode(SPACE.encode([arch])) == [arch]


def test_string_forms():
    layers = "4x12 " * 9 + "3x8 2x4"
    arch = SPACE.parse(f"384 no-bias {layers}")
    assert arch == Transformer(384, False, (4,) * 9 + (3, 2), (12,) * 9 + (8, 4))
    assert str(arch) == f"384 no-bias {layers}"
    assert SPACE.parse("gpt-s-11-384-" + "4-" * 9 + "3-2-" + "12-" * 9 + "8-4-False") == arch


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("768 4x12", "expected width, bias or no-bias"),
        ("512 bias" + " 4x12" * 12, "its width is 512, none of 192, 384, 768"),
        ("768 bias" + " 4x12" * 9, "it has 9 layers, not 10, 11, 12"),
        ("768 bias" + " 4x12" * 9 + " 5x12", "layer 10 has ratio 5, none of 2, 3, 4"),
        ("768 bias 4x16" + " 4x12" * 9, "layer 1 has 16 heads, none of 4, 8, 12"),
        ("gpt-s-10-768-" + "4-" * 19 + "True", "it has heads for 9 of 10 layers"),
    ],
)
def test_parse_says_what_is_wrong(text, reason):
    with pytest.raises(ValueError, match=reason):
        SPACE.parse(text)


def test_encoding_is_the_input_of_the_predictors():
    """Widths, layers, ratios by layer, heads by layer, bias: the order of the data's README."""
    arch = Transformer(384, False, (2,) * 9 + (3,), (8,) * 9 + (12,))
    x = SPACE.encode([arch])[0].tolist()
    assert x[:6] == [0, 1, 0, 1, 0, 0]
    assert x[6:42] == [1, 0, 0] * 9 + [0, 1, 0] + [0, 0, 0] * 2
    assert x[42:78] == [0, 1, 0] * 9 + [0, 0, 1] + [0, 0, 0] * 2
    assert x[78:] == [0, 1]


def test_decode_is_the_nearest_architecture():
    """Against a search among what is one or two decisions away, and other depths."""
    random = torch.Generator().manual_seed(0)
    x = SPACE.encode(SPACE.sample(30, random))
    x = x + 0.6 * torch.randn(x.shape, generator=random, dtype=torch.double)
    for row, arch in zip(x, SPACE.decode(x), strict=True):
        near = SPACE.neighbors(arch)
        near += [b for a in near if len(a.ratios) != len(arch.ratios) for b in SPACE.neighbors(a)]
        others = SPACE.encode(near)
        own = (SPACE.encode([arch]) - row).square().sum()
        assert own <= (others - row).square().sum(1).min() + 1e-12


def test_depths_are_weighted_by_their_number():
    counts = Counter(len(arch.ratios) for arch in SPACE.sample(4000))
    for depth, count in counts.items():
        share = 9.0**depth / sum(9.0**d for d in (10, 11, 12))
        assert abs(count / 4000 - share) < 5 * (share / 4000) ** 0.5


@given(transformers())
def test_neighbors_are_one_decision_away(arch):
    near = SPACE.neighbors(arch)
    depth = len(arch.ratios)
    assert len(near) == 2 + 1 + 4 * depth + (depth > 10) + 9 * (depth < 12)
    assert all(arch in SPACE.neighbors(other) for other in near[:: len(near) // 8])


def test_published_sizes():
    """GPT-2 small, medium and large, which tie the output, but without learned positions."""
    sizes = {"s": (768, 12, 124), "m": (1024, 24, 355), "l": (1280, 36, 774)}
    for scale, (width, depth, millions) in sizes.items():
        space = GPT(scale)
        arch = Transformer(width, True, (4,) * depth, (space.scale.heads[-1],) * depth)
        tied = space.cost(arch, "params") - VOCABULARY * width
        assert tied == pytest.approx(millions * 1e6, rel=0.01)


@pytest.mark.parametrize("scale", ["s", "m"])
def test_there_are_networks_of_sixty_million(scale):
    space = Budgeted(GPT(scale), "params", at_most=60e6, at_least=59e6)
    archs = set(space.sample(100, torch.Generator().manual_seed(0)))
    assert len(archs) == 100
    assert all(59e6 <= space.cost(arch, "params") <= 60e6 for arch in archs)


@settings(max_examples=10)
@given(transformers())
def test_costs_are_sums_over_the_atoms_of_the_law(arch):
    """What the parts of the union say, found by the atoms of the encoding, is the cost."""
    assert isinstance(SPACE, Additive)
    (block,) = SPACE.blocks
    x = SPACE.encode([arch])[0]
    for name in SPACE.costs:
        totals = []
        for factors, terms in zip(block.products, SPACE.terms(name)[0], strict=True):
            places = [
                (factor.atoms == x[list(factor.columns)]).all(1).nonzero().flatten().tolist()
                for factor in factors
            ]
            if all(places):
                totals.append(sum(float(t[p[0]]) for t, p in zip(terms, places, strict=True)))
        assert totals == [SPACE.cost(arch, name)]


@pytest.mark.parametrize("seed", range(2))
def test_networks_have_the_costs_that_the_space_tells(seed):
    space = GPT("s", vocabulary=100, context=16)
    (arch,) = space.sample(1, torch.Generator().manual_seed(seed))
    network = space.build(arch).eval()
    assert sum(p.numel() for p in network.parameters()) == space.cost(arch, "params")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter, sdpa_kernel(SDPBackend.MATH):
        logits = network(torch.arange(16)[None])
    assert logits.shape == (1, 16, 100)
    assert counter.get_total_flops() / 2 == space.cost(arch, "flops")


def test_parameters_at_full_size():
    with torch.device("meta"):  # no memory for weights
        network = SPACE.build(LARGEST)
        small = SPACE.build(LARGEST, vocabulary=10, context=5)
    assert sum(p.numel() for p in network.parameters()) == SPACE.cost(LARGEST, "params")
    assert network.context == 1024
    assert small.embedding.num_embeddings == 10
    with pytest.raises(ValueError, match="a sequence of 6 tokens is longer than 5"):
        small(torch.zeros(1, 6, dtype=torch.long, device="meta"))


def test_a_token_sees_itself_and_what_is_before_it_in_its_order():
    network = SPACE.build(SPACE.sample(1)[0], vocabulary=50, context=8).eval()
    a, b, c = torch.tensor([[1, 2, 3, 4, 5], [1, 2, 3, 4, 9], [2, 1, 3, 4, 5]])
    with torch.no_grad():
        one, other, swapped = (network(tokens[None])[0] for tokens in (a, b, c))
    torch.testing.assert_close(one[:4], other[:4])
    assert (one[4] - other[4]).abs().max() > 1e-3
    assert (one[4] - swapped[4]).abs().max() > 1e-5


def test_unknown_scales_costs_and_sizes():
    with pytest.raises(ValueError, match="unknown scale 'xl'; known: s, m, l"):
        GPT("xl")
    with pytest.raises(ValueError, match="vocabulary 0 and context 1024 must be positive"):
        GPT("s", vocabulary=0)
    with pytest.raises(ValueError, match="unknown cost 'watts'; known: params, flops"):
        SPACE.cost(LARGEST, "watts")


def test_features_know_the_number_of_parameters():
    archs = SPACE.sample(50, torch.Generator().manual_seed(0))
    size = SPACE.features(SPACE.encode(archs))[0][:, 1]
    logs = torch.tensor([math.log(SPACE.cost(arch)) for arch in archs], dtype=torch.double)
    assert torch.corrcoef(torch.stack([size, logs]))[0, 1] == pytest.approx(1)
    ends = [SPACE.scale.uniform(w, d, b, i) for w, d, b, i in ((192, 10, False, 0),)] + [LARGEST]
    torch.testing.assert_close(
        SPACE.features(SPACE.encode(ends))[0], torch.tensor([[-1.0, -1], [1, 1]]).double()
    )


def test_features_tell_even_layers_from_uneven_ones_of_the_same_sums():
    even, uneven = (
        Transformer(384, True, ratios, heads)
        for ratios, heads in (
            ((3,) * 12, (8,) * 12),
            ((2, 4) * 3 + (4, 2) * 3, (4, 12, 12, 4) * 3),
        )
    )
    assert SPACE.cost(even) == SPACE.cost(uneven)
    size, _, summary = (
        a - b
        for a, b in zip(
            *(SPACE.features(SPACE.encode([arch])) for arch in (even, uneven)), strict=True
        )
    )
    torch.testing.assert_close(size, torch.zeros_like(size))
    moved = summary.abs() > 0.1
    assert moved.sum() == 2  # the numbers of middle ratios and of middle heads


def test_generation_is_uniform_and_follows_a_guide():
    generator = GuidedGenerator(SPACE, seed=0)
    assert len(set(generator.generate(200))) == 200
    few = GuidedGenerator(SPACE, seed=0).generate(20, lambda x: -SPACE.features(x)[0][:, 1])
    random = sorted(map(SPACE.cost, SPACE.sample(200, torch.Generator().manual_seed(0))))
    assert max(map(SPACE.cost, few)) < random[20]
    assert sum(map(SPACE.cost, few)) / len(few) < random[8]


def test_search_is_saved_by_the_name_of_its_space(tmp_path):
    search = Search(SPACE, seed=0, direction="minimize")
    archs = SPACE.sample(6, torch.Generator().manual_seed(1))
    search.tell(archs, [SPACE.cost(arch) for arch in archs])
    search.save(tmp_path / "search.json")
    again = Search.load(tmp_path / "search.json")
    assert again.space.name == "gpt-s"
    assert again.ask(2) == search.ask(2)


def test_choices_of_all_scales_are_three_each():
    for scale in "sml":
        space = GPT(scale)
        own = space.scale
        assert {len(c) for c in (own.widths, own.depths, own.ratios, own.heads)} == {3}
        pairs = itertools.pairwise(own.widths)
        assert all(b == 2 * a for a, b in pairs)
