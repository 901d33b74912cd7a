"""What is recorded is told apart by shapes, and reads its inputs where they are."""

import pytest
import torch

from naslib_diffusion.runtime import graphs


def test_recordings_by_shape(monkeypatch):
    """With recordings that are none: what they read is replaced in place."""
    recorded, plain = [], []

    def capture(function, *generators, warm_up):
        recorded.append(generators)
        return function

    def total(a, b):
        plain.append(a.shape)
        return a.sum() + b.sum()

    monkeypatch.setattr(graphs, "capture", capture)
    random = torch.Generator()
    sums = graphs.Recorded(total, random, plain=1)
    for size in (3, 5, 3, 5, 3):
        a, b = torch.rand(size), torch.rand(2)
        assert sums(a, b) == a.sum() + b.sum()
    assert recorded == [(random,)] * 2
    assert [len(shape) for shape in plain] == [1] * 5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_card_computes_the_same():
    sums = graphs.Recorded(lambda a: a * 2 + 1, plain=1)
    for size in (3, 5, 3, 5, 3):
        a = torch.rand(size, device="cuda")
        assert torch.equal(sums(a), a * 2 + 1)
