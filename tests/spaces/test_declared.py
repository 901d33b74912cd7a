"""Declared spaces: their law, their strings, and agreement with spaces written by hand."""

import csv
import itertools
import json
import math
from collections import Counter

import pytest
import torch
from torch import nn

from naslib_diffusion import GuidedGenerator, Search, cli
from naslib_diffusion.diffusion import ExactDenoiser
from naslib_diffusion.spaces import (
    GPT,
    Budgeted,
    Categorical,
    DeclaredSpace,
    Integer,
    Maybe,
    MobileNetV3,
    PathBlock,
    Real,
    Repeat,
    Transformer,
    UnionBlock,
    When,
)
from naslib_diffusion.spaces.base import Additive, Buildable, LinearizedFeatures
from naslib_diffusion.testing import SpaceTestCase

MIXED = {
    "width": [64, 128],
    "layers": Repeat({"kernel": [3, 5, 7], "norm": ["batch", "none"]}, depth=[0, 1, 3]),
    "head": Maybe({"units": Integer(16, 64, step=16), "tanh": [True, False]}),
    "optimiser": ["sgd", "adam", "adamw"],
    "momentum": When(Real(0.0, 0.99), optimiser="sgd"),
    "decay": When(Real(1e-5, 1e-1, log=True), optimiser=["adamw", "adam"]),
}
NESTED = {
    "cells": Repeat(
        {
            "kind": ["attention", "convolution", "none"],
            "heads": When([2, 4], kind="attention"),
            "kernel": When([3, 5, 7], kind=["convolution"]),
        },
        depth=[1, 2],
    ),
    "pool": When(["max", "mean"], cells=2),
    "skip": When(Maybe([1, 2]), pool="max"),
}


def everything(space):
    """All architectures of a small space, found by walking from neighbour to neighbour."""
    found = dict.fromkeys(space.sample(4, torch.Generator().manual_seed(0)))
    queue = list(found)
    random = torch.Generator().manual_seed(0)
    while queue:
        for arch in space.neighbors(queue.pop(), random):
            if arch not in found:
                found[arch] = None
                queue.append(arch)
    return list(found)


class TestMixed(SpaceTestCase):
    draws = 2000

    @pytest.fixture
    def space(self):
        return DeclaredSpace(MIXED)


class TestNested(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return DeclaredSpace(NESTED)

    def enumerate(self, space):
        return everything(space)


def switches(**parts):
    return {**{f"s{i}": [True, False] for i in range(14)}, **parts}


class TestManyCombinations(SpaceTestCase):
    """Fourteen switches on which one parameter depends: paths in place of 16,384 parts."""

    draws = 1000

    @pytest.fixture
    def space(self):
        last = When([1, 2, 3], **dict.fromkeys(switches(), True))
        space = DeclaredSpace(switches(last=last))
        assert space.size == 2**14 - 1 + 3
        return space


class TestTooManyCombinations(SpaceTestCase):
    """All pairs of switches have a parameter of their own: no blocks, but all else works."""

    @pytest.fixture(scope="class")
    def space(self):
        pairs = itertools.combinations(switches(), 2)
        parts = {f"{a}{b}": When([1, 2], **{a: True, b: True}) for a, b in pairs}
        space = DeclaredSpace(switches(**parts))
        assert space.blocks is None
        return space


def test_repeats_of_repeats_have_a_law():
    """With a choice of how many there are of both, and conditions in the inner ones."""
    layer = {"kind": ["a", "b"], "heads": When([1, 2, 3], kind="a")}
    stages = Repeat({"layers": Repeat(layer, depth=[1, 2, 8])}, depth=[1, 3])
    space = DeclaredSpace({"stages": stages}, costs={"c": {"stages.layers.heads": float}})
    one = 4 + 4**2 + 4**8
    assert space.size == one + one**3
    assert any(isinstance(block, PathBlock) for block in space.blocks)
    depths = Counter(len(arch["stages"]) for arch in space.sample(500))
    assert depths[3] > 495
    part = Budgeted(space, "c", at_most=5)
    archs = part.sample(50)
    heads = [
        [layer.get("heads", 0) for stage in arch["stages"] for layer in stage["layers"]]
        for arch in archs
    ]
    assert [sum(own) for own in heads] == [part.cost(arch, "c") for arch in archs]
    assert max(map(sum, heads)) == 5


def test_the_law_is_uniform_over_all_architectures():
    space = DeclaredSpace(NESTED)
    # one cell of 2 + 3 + 1 kinds alone; two of them with max (and skip absent, 1, 2) or mean
    assert space.size == 6 + 36 * (3 + 1)
    counts = Counter(map(str, space.sample(30_000, torch.Generator().manual_seed(0))))
    assert len(counts) == space.size
    expected = 30_000 / space.size
    statistic = sum((count - expected) ** 2 / expected for count in counts.values())
    freedom = space.size - 1
    assert abs(statistic - freedom) < 4 * (2 * freedom) ** 0.5


NUMBERS = {
    "kind": ["a", "b", "c"],
    "n": When(Integer(1, 40), kind="a"),
    "m": When(Integer(1, 3), kind="b"),
    "deep": When(Maybe({"k": Integer(0, 9), "act": ["x", "y"]}), kind="c"),
}
"""One of each kind but for: c without deep, and c with it and two of act."""


class TestNumbersUnderConditions(SpaceTestCase):
    @pytest.fixture
    def space(self):
        return DeclaredSpace(NUMBERS)


def test_a_number_under_a_condition_counts_as_one_value():
    space = DeclaredSpace(NUMBERS)
    drawn = [arch.as_dict() for arch in space.sample(20_000, torch.Generator().manual_seed(0))]
    kinds = Counter(values["kind"] for values in drawn)
    for kind, share in {"a": 1 / 5, "b": 1 / 5, "c": 3 / 5}.items():
        assert kinds[kind] / len(drawn) == pytest.approx(share, abs=0.015)
    assert len({values["n"] for values in drawn if "n" in values}) == 40


def test_the_exact_denoiser_weighs_numbers_under_conditions():
    space = DeclaredSpace(NUMBERS)
    (union,) = space.blocks
    atoms = union.expand().atoms
    archs = [arch.as_dict() for arch in space.decode(atoms)]
    counts = {"n": 40, "m": 3, "deep": 10}
    logs = [-sum(math.log(counts[key]) for key in values if key in counts) for values in archs]
    x = atoms[::3] + 0.5 * torch.randn(len(atoms[::3]), atoms.shape[1]).double()
    logits = (x @ atoms.T - atoms.square().sum(1) / 2) / 0.25 + torch.tensor(logs)
    torch.testing.assert_close(ExactDenoiser(space)(x, 0.5), torch.softmax(logits, 1) @ atoms)


def test_the_exact_denoiser_agrees_with_all_architectures_one_by_one():
    space = DeclaredSpace(NESTED)
    atoms = space.encode(everything(space))
    x = atoms[:40] + 0.5 * torch.randn(40, atoms.shape[1], dtype=torch.double)
    weights = torch.softmax((x @ atoms.T - atoms.square().sum(1) / 2) / 0.25, 1)
    torch.testing.assert_close(ExactDenoiser(space)(x, 0.5), weights @ atoms)
    nearest = torch.cdist(x, atoms).argmin(1)
    assert torch.equal(space.encode(space.decode(x)), atoms[nearest])


def test_mobilenetv3_declared():
    """The same size, and the same law: depths and operations occur as often, jointly."""
    stage = Repeat({"kernel": [3, 5, 7], "expansion": [3, 4, 6]}, depth=[2, 3, 4])
    space = DeclaredSpace({"stages": Repeat(stage, depth=5)})
    hand = MobileNetV3()
    assert space.size == hand.size
    assert sum(isinstance(block, UnionBlock) for block in space.blocks) == 5
    found = [
        [[(layer["kernel"], layer["expansion"]) for layer in stage] for stage in arch["stages"]]
        for arch in space.sample(1000, torch.Generator().manual_seed(0))
    ]
    archs = [
        hand.parse(
            "_".join(
                token
                for stage in arch
                for token in [
                    *(f"{len(stage)}-{kernel}-{ratio}" for kernel, ratio in stage),
                    *["0-0-0"] * (4 - len(stage)),
                ]
            )
        )
        for arch in found
    ]
    assert all(map(hand.is_valid, archs))
    mean = hand.encode(archs).mean(0)
    other = hand.encode(hand.sample(1000, torch.Generator().manual_seed(1))).mean(0)
    assert (mean - other).abs().max() < 5 * (0.25 / 1000) ** 0.5 * 2**0.5


def declared_gpt(**options):
    scale = GPT("s").scale
    layers = Repeat({"ratio": scale.ratios, "heads": scale.heads}, depth=scale.depths)
    declaration = {"width": scale.widths, "layers": layers, "bias": [True, False]}
    return DeclaredSpace(declaration, name="gpt", **options)


def test_gpt_declared():
    space, hand = declared_gpt(), GPT("s")
    assert space.size == hand.size
    assert space.shape == hand.shape
    assert sum(isinstance(block, UnionBlock) for block in space.blocks) == 1
    archs = [
        Transformer(
            arch["width"],
            arch["bias"],
            tuple(layer["ratio"] for layer in arch["layers"]),
            tuple(layer["heads"] for layer in arch["layers"]),
        )
        for arch in space.sample(2000, torch.Generator().manual_seed(0))
    ]
    assert all(map(hand.is_valid, archs))
    other = hand.sample(2000, torch.Generator().manual_seed(1))
    a, b = (hand.encode(own).mean(0) for own in (archs, other))
    assert (a - b).abs().max() < 5 * (0.25 / 2000) ** 0.5 * 2**0.5


def test_costs_are_sums_over_decisions_and_over_the_terms_of_the_law():
    by_heads, by_depth = {4: 1, 8: 2, 12: 5}, {10: 100, 11: 200, 12: 300}
    work = {"": 7, "layers.ratio": lambda r: 10 * r, "layers.heads": by_heads}
    space = declared_gpt(costs={"work": {**work, "layers.depth": by_depth}})
    assert isinstance(space, Additive)
    assert space.costs == ("work",)
    for arch in space.sample(20, torch.Generator().manual_seed(0)):
        layers = arch["layers"]
        expected = 7 + by_depth[len(layers)]
        expected += sum(10 * own["ratio"] + by_heads[own["heads"]] for own in layers)
        assert space.cost(arch, "work") == expected
        assert by_terms(space, arch) == expected
    with pytest.raises(ValueError, match="unknown cost 'params'; known: work"):
        space.cost(arch, "params")


def by_terms(space, arch):
    """Add up the terms of the atoms that an encoding is made of."""
    x, total = space.encode([arch])[0], 0.0
    for block, parts in zip(space.blocks, space.terms("work"), strict=True):
        own = x[list(block.columns)]
        if not isinstance(block, UnionBlock):
            total += float(parts[0][0][(block.atoms == own).all(1)])
            continue
        sums = []
        for factors, terms in zip(block.products, parts, strict=True):
            hits = [(f.atoms == own[list(f.columns)]).all(1) for f in factors]
            if all(bool(hit.any()) for hit in hits):
                sums.append(sum(float(t[hit]) for t, hit in zip(terms, hits, strict=True)))
        (found,) = sums
        total += found
    return total


@pytest.mark.parametrize(
    ("costs", "reason"),
    [
        ({"layers.size": {}}, "there is no 'layers.size'; width, layers.depth, layers.ratio"),
        ({"width": {192: 1}}, "width lacks 384"),
        ({"": {}}, "what all have in common must be a number"),
    ],
)
def test_wrong_costs(costs, reason):
    with pytest.raises(ValueError, match=reason):
        declared_gpt(costs={"work": costs})


def test_strings_are_json_of_what_exists():
    space = DeclaredSpace(MIXED)
    text = '{"width": 128, "layers": [], "optimiser": "sgd", "momentum": 0.5}'
    arch = space.parse(text)
    assert str(arch) == text
    assert arch.as_dict() == json.loads(text)
    assert arch["momentum"] == 0.5
    with pytest.raises(KeyError):
        arch["decay"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"width": 96}, "width: 96 is not one of the choices"),
        ({"layers": [{"kernel": 3}]}, "layers.0.norm is missing"),
        ({"layers": [{}] * 2}, "layers must be a list of 0 or 1 or 3 values"),
        ({"layers": 3}, "layers must be a list of 0 or 1 or 3 values, not 3"),
        ({"head": {"units": 17, "tanh": True}}, "head.units: 17 is not 16 plus a multiple of 16"),
        ({"head": 5}, "head must be an object with units, tanh"),
        ({"momentum": 2.0}, "momentum: 2.0 is not a float in"),
        ({"decay": 1e-3}, "decay does not exist beside the values before it"),
        ({"speed": 1}, "has no 'speed'; it has width, layers, head, optimiser, momentum, decay"),
    ],
)
def test_parse_says_what_is_wrong(change, reason):
    data = {"width": 128, "layers": [], "optimiser": "sgd", "momentum": 0.5}
    with pytest.raises(ValueError, match=reason):
        DeclaredSpace(MIXED).parse(json.dumps(data | change))


def test_absent_parts_of_repeats_are_null():
    space = DeclaredSpace({"slots": Repeat(Maybe(["a", "b"]), depth=2)})
    values = (None, "a", "b")
    expected = {json.dumps({"slots": pair}) for pair in itertools.product(values, values)}
    assert {str(arch) for arch in everything(space)} == expected
    assert {str(space.parse(text)) for text in expected} == expected


@pytest.mark.parametrize(
    ("declaration", "reason"),
    [
        ([1, 2], "declared by a mapping"),
        ({}, "declared by a mapping"),
        ({"a": []}, "a: choices is empty"),
        ({"a": [1, 1]}, "a: choice 1 occurs twice"),
        ({"a": "text"}, "a is 'text', which is no part of a space"),
        ({"a.b": [1]}, "'a.b' cannot be a name"),
        ({"a": When([1], b=2), "b": [1, 2]}, "a depends on 'b'; declared before it: nothing"),
        ({"b": [1, 2], "a": When([1], b=3)}, "a depends on 'b', which is never 3"),
        ({"b": Real(0, 1), "a": When([1], b=0.5)}, "which has no list of values"),
        ({"a": Maybe(Maybe([1]))}, "a is optional twice; put the condition outside"),
        ({"a": Repeat(Maybe([1, None]), depth=2)}, "a has null as a choice, which stands for no"),
        ({"a": Repeat([1, 2], depth=[])}, "depth of a must be numbers of copies"),
        ({"a": Repeat([1, 2], depth=10**6)}, "at most 10,000 decisions"),
    ],
)
def test_wrong_declarations(declaration, reason):
    with pytest.raises(ValueError, match=reason):
        DeclaredSpace(declaration)


YAML = """
width: [64, 128]
layers:
  repeat: {kernel: [3, 5, 7], norm: [batch, none]}
  depth: [0, 1, 3]
head: {optional: {units: {integer: [16, 64], step: 16}, tanh: [true, false]}}
optimiser: [sgd, adam, adamw]
momentum: {real: [0, 0.99], when: {optimiser: sgd}}
decay: {real: [1e-5, 1e-1], log: true, when: {optimiser: [adamw, adam]}}
"""


def test_yaml_declares_the_same(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(YAML)
    space, python = DeclaredSpace.read(path), DeclaredSpace(MIXED, name="mine")
    assert str(space) == str(python)
    assert space.legend == python.legend
    archs = space.sample(20, torch.Generator().manual_seed(0))
    assert archs == python.sample(20, torch.Generator().manual_seed(0))


def test_the_table_says_what_exists_where():
    lines = [" ".join(line.split()) for line in str(DeclaredSpace(MIXED, name="m")).splitlines()]
    assert lines[0] == "m: infinitely many architectures"
    assert "layers.kernel x 3 3, 5, 7 layers.depth = 1 or 3" in lines  # where the first one exists
    assert "momentum 0.0 to 0.99 optimiser = sgd" in lines


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- 1", "it is not a mapping"),
        ("a: {repeat: [1, 2]}", "the space.a repeats, so it needs a depth"),
        ("a: {real: 3}", r"the space.a: real must be \[low, high\]"),
        ("a: {real: [1, 0]}", "the space.a: low 1.0 is above high 0.0"),
        ("a: {choice: [1], repeat: 2}", "the space.a is both choice and repeat"),
        ("a: {choice: [1], sep: 2}", "the space.a has the key 'sep', which choice does not know"),
        ("a: 3", "the space.a is 3; expected a list of choices or a mapping"),
        ("a: [1, 2]\nb: {choice: [1], when: 3}", "when must map names to values"),
        ("a: &x [1, 2]\nb: *x", "it has aliases"),
        ("a: [", "while parsing"),
        ("a: [1]\nb: {choice: [1, 2], when: {c: 1}}", "b depends on 'c'; declared before it: a"),
    ],
)
def test_wrong_yaml(text, reason, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=reason) as caught:
        DeclaredSpace.read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_networks_by_one_function_for_each_block():
    space = DeclaredSpace(
        {
            "layers": Repeat({"width": [8, 16], "act": ["relu", "tanh"]}, depth=[1, 2, 3]),
            "drop": Maybe([0.1, 0.5]),
        },
        build={
            "start": lambda _, context: nn.Flatten(),
            "layers": lambda own, context: nn.Sequential(
                nn.LazyLinear(own["width"]), nn.ReLU() if own["act"] == "relu" else nn.Tanh()
            ),
            "drop": lambda rate, context: nn.Dropout(rate),
            "end": lambda _, context: nn.LazyLinear(context["outputs"]),
        },
    )
    assert isinstance(space, Buildable)
    layers = [{"width": 8, "act": "tanh"}, {"width": 16, "act": "relu"}]
    network = space.build(space.parse(json.dumps({"layers": layers})), outputs=4)
    assert network(torch.rand(2, 1, 3, 3)).shape == (2, 4)
    assert sum(p.numel() for p in network.parameters()) == 9 * 8 + 8 + 8 * 16 + 16 + 16 * 4 + 4
    names = [type(m).__name__ for m in network.modules()]
    assert "Dropout" not in names
    both = space.build(space.parse(json.dumps({"layers": layers[:1], "drop": 0.5})))
    assert both[2].p == 0.5
    with pytest.raises(ValueError, match="has no functions to build networks by"):
        DeclaredSpace(MIXED).build(DeclaredSpace(MIXED).sample(1)[0])


def test_features_are_linear_levels_sums_and_presence():
    space = DeclaredSpace(MIXED)
    assert isinstance(space, LinearizedFeatures)
    x = space.encode(space.sample(10, torch.Generator().manual_seed(0))).requires_grad_()
    groups, pullback = space.linearize_features(x.detach())
    slopes = [torch.randn_like(group) for group in groups]
    total = sum((a * b).sum() for a, b in zip(space.features(x), slopes, strict=True))
    (gradient,) = torch.autograd.grad(total, x)
    torch.testing.assert_close(pullback(slopes), gradient)
    a, b = (
        space.parse(json.dumps({"width": w, "layers": [], "optimiser": "adam", "decay": 0.01}))
        for w in (64, 128)
    )
    low, high = (space.features(space.encode([arch]))[0] for arch in (a, b))
    assert (low - high).abs().max() == 2  # the level of the width


def test_features_tell_even_copies_from_uneven_ones_of_the_same_sum():
    space = DeclaredSpace({"layers": Repeat({"ratio": [2, 3, 4]}, depth=[4])})
    even, uneven = (
        space.parse(json.dumps({"layers": [{"ratio": ratio} for ratio in ratios]}))
        for ratios in ((3, 3, 3, 3), (2, 4, 4, 2))
    )
    _, (high, low) = space.features(space.encode([even, uneven]))
    assert (high != low).nonzero().tolist() == [[2]]  # beside sum and trend: how many are amid
    assert high[2] == 2
    assert low[2] == -1


def test_search_finds_the_best_of_a_declared_space():
    space = declared_gpt(costs={"work": {"layers.ratio": lambda r: r, "layers.heads": float}})
    search = Search(space, initial=5, seed=0)
    for _ in range(12):
        (arch,) = search.ask()
        search.tell(arch, space.cost(arch, "work"))
    best = max(trial.value for trial in search.trials)
    random = [space.cost(a, "work") for a in space.sample(500, torch.Generator().manual_seed(1))]
    assert best > max(random)
    assert math.isfinite(best)


def test_generation_keeps_to_the_conditions():
    space = DeclaredSpace(MIXED)
    archs = GuidedGenerator(space, seed=0).generate(40, lambda x: x[:, 0] - x[:, 1])
    assert len(set(archs)) == 40
    assert all(("momentum" in a.as_dict()) == (a["optimiser"] == "sgd") for a in archs)
    assert sum(a["width"] == 64 for a in archs) > 30


def test_what_the_kinds_of_parts_mean_in_python_and_yaml():
    """A parameter object, a list, a nested cell and a repeat of one choice."""
    space = DeclaredSpace(
        {
            "a": Categorical(["x", "y"]),
            "cell": {"b": [1, 2], "c": When([1, 2], b=1)},
            "d": Repeat([0, 1], depth=2),
        }
    )
    texts = {str(arch) for arch in everything(space)}
    cells = ['{"b": 1, "c": 1}', '{"b": 1, "c": 2}', '{"b": 2}']
    assert texts == {
        f'{{"a": "{a}", "cell": {cell}, "d": [{d}, {e}]}}'
        for a, cell, d, e in itertools.product("xy", cells, (0, 1), (0, 1))
    }


def test_the_command_line_takes_a_file(tmp_path, capsys):
    path, out = tmp_path / "mine.yaml", tmp_path / "out.csv"
    path.write_text(YAML)
    with pytest.raises(SystemExit) as stop:
        cli.main(["generate", "--space", str(path), "-n", "5", "--out", str(out), "--quiet"])
    assert stop.value.code == 0
    with out.open(newline="") as file:
        texts = [row["arch"] for row in csv.DictReader(file)]
    assert [str(DeclaredSpace.read(path).parse(text)) for text in texts] == texts
    assert len(set(texts)) == 5
    path.write_text("a: []")
    with pytest.raises(SystemExit) as stop:
        cli.main(["generate", "--space", str(path), "--out", str(out), "--force"])
    assert stop.value.code == 2
    assert "--space: " in (error := capsys.readouterr().err)
    assert "a: choices is empty" in error
