"""The ablation: each part is left out, and the counts say who was better."""

import json

import numpy as np
import pytest
import torch
from naslib_diffusion.benchmarks.engine import ablation
from naslib_diffusion.benchmarks.engine.ablation_parts import PARTS, Fewer, linear, linear_scale

from naslib_diffusion.spaces import GPT, MobileNetV3, NASBench201, ProductSpace
from naslib_diffusion.surrogates import ObjectiveScale


def test_a_linear_scale_is_linear_and_standardised():
    values = torch.tensor([3.0, 10.0, 4.0, 7.0], dtype=torch.double)
    for maximize in (True, False):
        sign = 1 if maximize else -1
        targets = linear(values, maximize=maximize)(values)
        expected = sign * (values - values.mean()) / values.std()
        assert torch.allclose(targets, expected, atol=1e-5)
    assert linear(values[:1])(values[:1]).tolist() == [0.0]


def test_the_scale_is_back_afterwards():
    values = torch.tensor([3.0, 10.0, 4.0], dtype=torch.double)
    before = ObjectiveScale.of(values)
    with linear_scale():
        assert ObjectiveScale.of(values) == linear(values)
    assert ObjectiveScale.of(values) == before != linear(values)


def test_a_group_of_features_is_missing():
    space = NASBench201()
    x = space.encode(space.sample(3, torch.Generator().manual_seed(0)))
    paths, summary = space.features(x)
    assert torch.equal(Fewer(space, 0).features(x)[0], summary)
    assert torch.equal(Fewer(space, 1).features(x)[0], paths)


def test_parts_are_only_left_out_where_they_are():
    assert PARTS["no group 2"].fits(NASBench201())
    assert not PARTS["no group 3"].fits(NASBench201())
    assert PARTS["no group 3"].fits(GPT("s"))
    assert not PARTS["no group 1"].fits(ProductSpace.categorical([3] * 3))
    assert PARTS["no polish"].fits(ProductSpace.categorical([3] * 3))
    assert not PARTS["priors"].fits(MobileNetV3())


@pytest.mark.parametrize("part", ["no guidance", "linear scale", "no group 1"])
def test_a_search_without_a_part_goes_on(part):
    best = ablation.run("nasbench201/cifar100", None, part, 0, 11)
    assert len(best) == 11
    assert best == sorted(best)


def test_counts_are_by_the_end_and_then_halfway():
    whole = np.array([[1.0, 0.5, 0.2, 0.2], [1.0, 0.5, 0.1, 0.0], [1.0, 0.0, 0.0, 0.0]])
    other = np.array([[1.0, 0.5, 0.2, 0.3], [1.0, 0.6, 0.1, 0.0], [1.0, 0.0, 0.0, 0.0]])
    one = {"whole": whole, "no polish": other}
    first, second = ablation.rows_of({"kernel": one})
    together = ablation.rows_of(
        {"kernel": one, "nasbench201/cifar10": one | {"no group 1": other}}
    )
    assert (first["wins-ties-losses"], second["wins-ties-losses"]) == ("", "2-1-0")
    assert (second["regret at 2"], second["at 4"]) == ("0.367", "0.100")
    assert [row["engine"] for row in together if row["problem"] == "all"] == ["whole", "no polish"]
    assert together[-1]["wins-ties-losses"] == "4-2-0"


def test_what_was_searched_is_not_searched_again(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "run", lambda *job: [1.0, 2.0])
    first = ablation.kept_run("a/b", None, "no polish", 0, 2, tmp_path)
    monkeypatch.setattr(ablation, "run", lambda *job: pytest.fail("it is kept"))
    assert ablation.kept_run("a/b", None, "no polish", 0, 2, tmp_path) == first
    (path,) = tmp_path.glob("*.json")
    assert {"best", "commit", "versions"} <= json.loads(path.read_text()).keys()
