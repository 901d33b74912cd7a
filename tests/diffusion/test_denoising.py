"""The inner loop: precision, waiting, and recording on a card."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from naslib_diffusion import GuidedGenerator
from naslib_diffusion.diffusion import ExactDenoiser, ScoreNetwork, denoising
from naslib_diffusion.diffusion.exact import suitable_precision
from naslib_diffusion.diffusion.quality import node_distance
from naslib_diffusion.spaces import MobileNetV3, NASBench201, ProductSpace, Real
from naslib_diffusion.surrogates import (
    GaussianProcess,
    IndependentThompson,
    LogExpectedImprovement,
    UpperConfidenceBound,
)

SPACES = {"nasbench201": NASBench201(), "mobilenetv3": MobileNetV3(),
          "product": ProductSpace.categorical([4] * 6)}  # fmt: skip
WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"}
"""What makes the host wait for a card, and cannot be recorded."""


class NoWaiting(TorchDispatchMode):
    """Refuses operations whose result the host has to see."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func._schema.name not in WAITING, func
        return func(*args, **(kwargs or {}))


def fitted(space, points=30, device="cpu"):
    random = torch.Generator().manual_seed(0)
    x = space.encode(space.sample(points, random))
    y = x.flatten(1) @ torch.randn(x[0].numel(), generator=random, dtype=torch.double)
    return GaussianProcess(space).fit(x.to(device), ((y - y.mean()) / y.std()).to(device))


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("resample", [False, True])
def test_denoising_never_waits(name, resample):
    space = SPACES[name]
    model = fitted(space)
    guides = (UpperConfidenceBound(model), LogExpectedImprovement(model, 1.0),
              IndependentThompson(model))  # fmt: skip
    generator = GuidedGenerator(space, device="cpu", seed=0, resample=resample)
    for guide in guides:
        with NoWaiting():
            generator._denoise(16, denoising.Tilt(guide, 2.0, resample))
    with NoWaiting():
        generator._denoise(16)


@pytest.mark.parametrize("name", ["nasbench201", "mobilenetv3"])
def test_score_networks_never_wait(name):
    space = SPACES[name]
    network = ScoreNetwork.load(name, space)
    generator = GuidedGenerator(space, network, device="cpu", seed=0)
    with NoWaiting():
        generator._denoise(4)


def test_the_mode_notices_waiting():
    with pytest.raises(AssertionError), NoWaiting():
        float(torch.ones(()))


def test_precision_is_double_along_continua_only():
    assert suitable_precision(SPACES["nasbench201"]) == torch.float
    assert suitable_precision(ProductSpace([Real(0, 1)])) == torch.double


@pytest.mark.parametrize("name", SPACES)
def test_single_precision_changes_nothing_but_noise(name):
    """Marginals and attained values of the guided law are as near as those of another seed."""
    space, rows = SPACES[name], 2000
    guide = UpperConfidenceBound(fitted(space))
    exact = [
        GuidedGenerator(space, ExactDenoiser(space), "cpu", seed=s).denoise(rows, guide, 2.0)
        for s in (0, 1)
    ]
    single = GuidedGenerator(space, device="cpu", seed=2).denoise(rows, guide, 2.0)
    assert single.dtype == torch.double  # what it is handed out as
    rounded = [
        space.encode(space.decode(x)).view(rows, *space.shape[:-1], -1)
        if len(space.shape) == 2
        else space.encode(space.decode(x)).view(rows, 6, 4)
        for x in (*exact, single)
    ]
    noise = node_distance(rounded[0], rounded[1])
    assert node_distance(rounded[0], rounded[2]) < 1.5 * noise + 0.01
    first, _, last = (guide(x) for x in (*exact, single))
    error = ((first.var() + last.var()) / rows).sqrt()
    assert abs(first.mean() - last.mean()) < 4 * error


def test_a_seed_fixes_a_sequence_of_batches():
    space = SPACES["nasbench201"]
    a, b = (GuidedGenerator(space, device="cpu", seed=5) for _ in range(2))
    first = a.denoise(8), a.denoise(8)
    assert torch.equal(first[0], b.denoise(8))
    assert torch.equal(first[1], b.denoise(8))
    assert not torch.equal(*first)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", SPACES)
def test_a_recording_computes_what_the_plain_loop_does(name, monkeypatch):
    space = SPACES[name]
    guide = UpperConfidenceBound(fitted(space, device="cuda"))

    def batches():
        generator = GuidedGenerator(space, device="cuda", seed=0)
        return [generator.denoise(32, guide, strength) for strength in (1.0, 2.0, 3.0, 4.0)]

    recorded = batches()
    monkeypatch.setattr(denoising, "capture", lambda function, *generators: function)
    for a, b in zip(recorded, batches(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_card_does_not_wait():
    space = SPACES["nasbench201"]
    guide = LogExpectedImprovement(fitted(space, device="cuda"), 1.0)
    generator = GuidedGenerator(space, device="cuda", seed=0)
    generator.denoise(32, guide, 1.0)  # constants are copied once
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(4):
            generator._denoise(32, denoising.Tilt(guide, 1.0, False))
    finally:
        torch.cuda.set_sync_debug_mode("default")
