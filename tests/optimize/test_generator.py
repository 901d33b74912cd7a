"""Guided generation on spaces small enough to know the answer."""

from __future__ import annotations

import functools
import itertools

import pytest
import torch

from naslib_diffusion.diffusion import (
    EstimateGuidance,
    ExactDenoiser,
    NoisyGuidance,
    geometric_sigmas,
    sample_dpmpp_2m,
)
from naslib_diffusion.optimize.generator import (
    GuidedGenerator,
    SpaceExhausted,
)
from naslib_diffusion.optimize.pool import Pool
from naslib_diffusion.optimize.scale import default_scale, upper_deviation
from naslib_diffusion.spaces import NASBench201, ProductSpace
from naslib_diffusion.spaces.point import Point

SPACE = NASBench201()


def quadratic(dim, seed=0):
    """A guide with interactions between all pairs of coordinates."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(dim, generator=generator, dtype=torch.double)
    pairs = torch.randn(dim, dim, generator=generator, dtype=torch.double) / dim**0.5

    def guide(x):
        x = x.flatten(1)
        return ((x @ pairs.to(x)) * x).sum(1) + x @ weights.to(x)

    return guide


def convolutions(x):
    """Share of 3x3 convolutions: constant over isomorphic cells up to skips and zeros."""
    return x[:, 1:7, 5].sum(1)


GUIDE = quadratic(56)


@functools.cache
def representatives():
    return tuple({SPACE.canonical(cell): cell for cell in SPACE}.values())


def test_unguided():
    cells = GuidedGenerator(SPACE, seed=0).generate(300)
    assert len({SPACE.canonical(cell) for cell in cells}) == 300


def test_guided_cells_are_as_good_as_scoring_all():
    """Mean of the best 1,000 within a tenth of a deviation of full enumeration."""
    values = GUIDE(SPACE.encode(representatives()))
    best = values.sort(descending=True).values[:1000].mean()
    cells = GuidedGenerator(SPACE, seed=0).generate(1000, GUIDE, oversample=2.0, polish=128)
    found = GUIDE(SPACE.encode(cells))
    assert len({SPACE.canonical(cell) for cell in cells}) == 1000
    assert found.mean() > best - 0.1 * values.std()
    assert found.max() >= values.max()
    assert bool((found.diff() <= 0).all()), "best first"


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_unit_of_the_guide_does_not_matter(factor):
    plain = GuidedGenerator(SPACE, seed=1).generate(50, GUIDE)
    scaled = GuidedGenerator(SPACE, seed=1).generate(50, lambda x: factor * GUIDE(x) + 3 * factor)
    assert len(set(plain) & set(scaled)) >= 45


def test_a_large_space():
    space = ProductSpace.categorical([9] * 60)
    weights = torch.randn(540, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    best = weights.view(60, 9).max(1).values.sum()
    points = GuidedGenerator(space, seed=0).generate(128, lambda x: x @ weights.to(x))
    assert (space.encode(points) @ weights).mean() > 0.9 * best


def test_seeds_reproduce_sequences_of_calls():
    def calls(seed):
        generator = GuidedGenerator(SPACE, device="cpu", seed=seed)
        return [generator.generate(20, guide) for guide in (GUIDE, GUIDE, None)]

    assert calls(5) == calls(5)
    first, second, _ = calls(5)
    assert first != second
    assert calls(5) != calls(6)
    assert GuidedGenerator(SPACE).generate(20) != GuidedGenerator(SPACE).generate(20)


@pytest.mark.parametrize("guide", [None, GUIDE])
@pytest.mark.parametrize("unique", ["canonical", "exact"])
def test_known_cells_are_skipped(guide, unique):
    known = {SPACE.canonical(cell) for cell in representatives()[:3000]}
    cells = GuidedGenerator(SPACE, seed=0).generate(
        100, guide, known=known, unique=unique, polish=4 if guide else 0
    )
    assert len(cells) == len({str(cell) for cell in cells}) == 100
    assert not known & {SPACE.canonical(cell) for cell in cells}


def test_exact_uniqueness_allows_twins():
    everything = list(SPACE)
    twin = SPACE.canonical(everything[0])
    known = {SPACE.canonical(cell) for cell in everything} - {twin}
    cells = GuidedGenerator(SPACE, seed=0).generate(2, known=known, unique="exact")
    assert len(set(cells)) == 2
    assert {SPACE.canonical(cell) for cell in cells} == {twin}


@pytest.mark.parametrize("guided", [False, True])
def test_all_of_a_small_space(guided):
    space = ProductSpace.categorical([3, 2, 4])
    guide = quadratic(9) if guided else None
    points = GuidedGenerator(space, seed=0).generate(24, guide)
    assert len(set(points)) == 24


def test_exhaustion_is_explained_and_carries_what_was_found():
    space = ProductSpace.categorical([3, 2, 4])
    guide = quadratic(9)
    known = [space.canonical(point) for point in space.sample(10)]
    left = 24 - len(set(known))
    with pytest.raises(SpaceExhausted, match=f"only {left} were found") as caught:
        GuidedGenerator(space, seed=0).generate(25, guide, known=known)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)
    found = caught.value.found
    assert len(found) == left
    assert bool((guide(space.encode(found)).diff() <= 0).all())


def test_the_last_unknown_cells_are_found():
    cells = representatives()
    known = {SPACE.canonical(cell) for cell in cells[:-2]}
    found = GuidedGenerator(SPACE, seed=0).generate(2, convolutions, known=known)
    assert {SPACE.canonical(c) for c in found} == {SPACE.canonical(c) for c in cells[-2:]}


def test_nothing_is_left():
    known = {SPACE.canonical(cell) for cell in representatives()}
    with pytest.raises(SpaceExhausted, match="only 0 were found"):
        GuidedGenerator(SPACE, seed=0).generate(1, GUIDE, known=known)


def test_invalid_architectures_are_rejected():
    space = ProductSpace.categorical([5] * 4)
    few = ProductSpace(space.parameters, is_valid=lambda point: point.values[0] == point.values[1])
    points = GuidedGenerator(few, seed=0).generate(100, quadratic(20))
    assert all(few.is_valid(point) for point in points)
    with pytest.raises(SpaceExhausted) as caught:
        GuidedGenerator(few, seed=0).generate(5**3 + 1)
    assert len(caught.value.found) == 5**3


def test_a_guide_without_gradient_still_guides():
    def black_box(x):
        return torch.tensor([float(cell.operations.count(3)) for cell in SPACE.decode(x.cpu())])

    cells = GuidedGenerator(SPACE, seed=0).generate(20, black_box)
    plain = GuidedGenerator(SPACE, seed=0).generate(20)
    count = [sum(cell.operations.count(3) for cell in group) / 20 for group in (cells, plain)]
    assert count[0] > count[1] + 1.5


def test_a_constant_guide_is_no_guide():
    cells = GuidedGenerator(SPACE, seed=0).generate(20, lambda x: 0 * x.sum((1, 2)))
    assert len(set(cells)) == 20


def test_a_scale_of_zero_does_not_steer():
    generator = GuidedGenerator(SPACE, seed=0, scale=0)
    plain = GuidedGenerator(SPACE, seed=0).generate(200)
    assert len(set(generator.generate(200, GUIDE)) & set(plain)) > 180


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_a_larger_scale_is_sharper(scale):
    means = [
        GUIDE(SPACE.encode(GuidedGenerator(SPACE, seed=0).generate(30, GUIDE, scale=s))).mean()
        for s in (scale, 2 * scale)
    ]
    assert means[1] > means[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"sampler": sample_dpmpp_2m},
        {"guidance": EstimateGuidance},
        {"resample": True},
        {"sigmas": geometric_sigmas(15)},
        {"steps": 5},
    ],
)
def test_settings(settings):
    cells = GuidedGenerator(SPACE, seed=0, **settings).generate(50, GUIDE)
    plain = GUIDE(SPACE.encode(SPACE.sample(500)))
    assert GUIDE(SPACE.encode(cells)).mean() > plain.mean() + plain.std()


def test_a_denoiser_may_be_guided_already():
    """The paper's way, with what a surrogate that is trained on noisy cells would learn."""
    exact = ExactDenoiser(SPACE)
    denoiser = NoisyGuidance(exact, lambda x, sigma: convolutions(exact(x, sigma)), scale=3.0)
    cells = GuidedGenerator(SPACE, denoiser, device="cpu", seed=0).generate(20)
    assert sum(cell.operations.count(3) for cell in cells) / 20 > 2.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be at least 1, not 0"),
        ({"n": 1, "unique": "yes"}, "'canonical' or 'exact', not 'yes'"),
        ({"n": 1, "oversample": 0.5}, "oversample must be at least 1, not 0.5"),
        ({"n": 1, "batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"n": 1, "guide": lambda x: x}, "the guide must map"),
        ({"n": 1, "guide": lambda x: x.sum((1, 2)) / 0 * 0}, "the guide is NaN at architecture |"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        GuidedGenerator(SPACE, seed=0).generate(**arguments)


def test_space_without_blocks_needs_a_denoiser():
    class Entangled(NASBench201):
        blocks = None

    with pytest.raises(ValueError, match="give a trained denoiser"):
        GuidedGenerator(Entangled())
    cells = GuidedGenerator(Entangled(), ExactDenoiser(SPACE), "cpu", seed=0).generate(5)
    assert len(cells) == 5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu(monkeypatch):
    generator = GuidedGenerator(SPACE, seed=0)
    assert generator.device.type == "cuda"
    guide = quadratic(56)
    on_device = generator.generate(100, lambda x: guide(x.cpu()).to(x.device))
    assert len({SPACE.canonical(cell) for cell in on_device}) == 100
    # noise is the device's own; with as large batches, the mean of another seed is as near
    monkeypatch.setattr(GuidedGenerator, "_draws_many", lambda self, pool: True)
    generators = [GuidedGenerator(SPACE, device="cpu", seed=seed) for seed in (0, 1)]
    means = [guide(SPACE.encode(g.generate(100, guide))).mean() for g in generators]
    spread = guide(SPACE.encode(SPACE.sample(1000))).std()
    assert abs(guide(SPACE.encode(on_device)).mean() - means[0]) < 0.1 * spread + abs(
        means[0] - means[1]
    )


def test_default_scale():
    scales = [default_scale(n, 6466) for n in (1, 10, 100, 1000, 6466)]
    assert all(a > b for a, b in itertools.pairwise(scales))
    # the hazard rate of the normal at its upper 10 % quantile
    assert default_scale(10, 100) == pytest.approx(1.755, abs=1e-3)
    assert scales[-1] == default_scale(100, 10) == 0
    assert 10 < default_scale(128, 9**60) < 20
    assert default_scale(1, 10**1000) < default_scale(1, None)


def test_upper_deviation_ignores_failures():
    values = torch.randn(2001, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    failed = values.clone()
    failed[values < -1] = -100
    assert upper_deviation(values) == upper_deviation(failed) == pytest.approx(1, abs=0.05)
    assert upper_deviation(torch.tensor([0.0, 1.0, 1.0, 1.0])) == pytest.approx(3**0.5 / 4)
    assert upper_deviation(torch.ones(3)) == 0
    assert upper_deviation(torch.ones(1)) == 0


def test_the_polish_climbs_from_given_starts_too():
    """A needle that no gradient leads to, beside a known architecture."""
    space = ProductSpace.categorical([4] * 8)
    start = Point((3,) * 8)
    needle = Point((3,) * 7 + (0,))
    hidden = space.encode([needle])

    def guide(x):
        return -(x - hidden.to(x)).square().flatten(1).sum(1).clamp(max=2.0)

    found = GuidedGenerator(space, seed=0).generate(
        4, guide, known={space.canonical(start)}, starts=[start]
    )
    assert found[0] == needle
    assert start not in found


def test_repeats_are_left_out_before_architectures_are_made():
    known = {SPACE.canonical(cell) for cell in SPACE.sample(50, torch.Generator().manual_seed(1))}
    cells = SPACE.sample(4000, torch.Generator().manual_seed(0))
    plain, quick = (Pool(SPACE, known, "canonical") for _ in range(2))
    for start in (0, 2000):
        part = cells[start : start + 2000]
        noisy = SPACE.encode(part) + 0.4 * torch.rand(2000, 8, 7)
        assert plain.add(part) == quick.take(noisy)
        assert len(plain) == len(quick)
    assert quick.best(9, None) == plain.best(9, None)

    def score(x):
        return quadratic(56)(x.view(-1, 8, 7))

    assert quick.best(300, score) == plain.best(300, score)
    assert list(plain.archs.items()) == list(quick.archs.items())
    assert quick.best(300, score) == plain.best(300, score)
    new = SPACE.sample(500, torch.Generator().manual_seed(2))
    assert plain.add(new) == quick.add(new) > 0
    assert quick.take(SPACE.encode(new)) == quick.take(SPACE.encode(cells)) == 0
    exact = Pool(SPACE, (), "exact")
    assert exact.take(SPACE.encode(cells)) == len(set(cells))


@pytest.mark.parametrize("name", ["is_valid", "canonical"])
def test_numbers_are_those_of_a_class_with_its_own_rules(name):
    """A subclass with another rule gets what it says, although it inherits numbers."""

    def method(self, arch):
        return 3 not in arch.operations if name == "is_valid" else arch.operations.count(3)

    space = type("Narrow", (NASBench201,), {name: method})()
    if name == "canonical":
        space.size = 7
    cells = GuidedGenerator(space, seed=0, device="cpu").generate(5, GUIDE)
    if name == "is_valid":
        assert all(space.is_valid(cell) for cell in cells)
    else:
        assert len({space.canonical(cell) for cell in cells}) == 5


@pytest.mark.parametrize("n", [10, 300])
def test_large_batches_are_better_ones(n, monkeypatch):
    """What a card does is at least as good, with batches that are no sharper than the law."""
    guide = quadratic(56)
    usual = GuidedGenerator(SPACE, device="cpu", seed=0).generate(n, guide)
    monkeypatch.setattr(GuidedGenerator, "_draws_many", lambda self, pool: True)
    found = GuidedGenerator(SPACE, device="cpu", seed=0).generate(n, guide)
    assert len({SPACE.canonical(cell) for cell in found}) == n
    scores = guide(SPACE.encode(found))
    assert scores.mean() >= guide(SPACE.encode(usual)).mean()
    assert torch.equal(scores, scores.sort(descending=True).values)
