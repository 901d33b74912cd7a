"""The network in kernels: on a card, or with TRITON_INTERPRET=1 on the CPU, where that is slow."""

import os

import pytest
import torch
from toy import SMALL

from naslib_diffusion.diffusion import ScoreNetwork
from naslib_diffusion.diffusion.denoising import in_bf16
from naslib_diffusion.diffusion.fused import FusedBlock, FusedHead, fused
from naslib_diffusion.runtime.graphs import capture
from naslib_diffusion.spaces import MobileNetV3, NASBench201, NASBenchGraph

pytest.importorskip("triton", reason="Triton comes with PyTorch's builds for CUDA")

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if not (INTERPRETED or torch.cuda.is_available()):
    pytest.skip("needs a GPU, or TRITON_INTERPRET=1", allow_module_level=True)

DEVICE = "cpu" if INTERPRETED else "cuda"
SPACES = (NASBench201(), MobileNetV3(), NASBenchGraph())
each_space = pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
needs_gpu = pytest.mark.skipif(INTERPRETED, reason="needs a GPU")


def loaded(space):
    return ScoreNetwork.load(space.name, space).to(DEVICE)


def noise(space, rows, sigma):
    random = torch.Generator().manual_seed(rows)
    x = space.encode(space.sample(rows, random)).float()
    return (x + sigma * torch.randn(x.shape, generator=random)).to(DEVICE)


@pytest.mark.skipif(not INTERPRETED, reason="a card multiplies single precision in TF32")
@each_space
@pytest.mark.parametrize(
    ("rows", "sigma"), [(1, 0.02), (3, 0.3), (37, 0.5), (37, 2.0), (3, 5.0), (0, 1.0)]
)
def test_it_computes_what_the_network_does(space, rows, sigma):
    plain = loaded(space)
    made = fused(plain, torch.float32)
    assert isinstance(made.node_head, FusedHead)
    x = noise(space, rows, sigma) if rows else torch.zeros(0, *space.shape)
    with torch.no_grad():
        torch.testing.assert_close(made(x, sigma), plain(x, sigma), rtol=0, atol=1e-4)


@needs_gpu
@each_space
@pytest.mark.parametrize("rows", [1, 37, 5000])
@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_it_is_as_precise_as_mixed_precision(space, rows, sigma):
    plain, x = loaded(space), noise(space, rows, sigma)
    with torch.no_grad():
        exact = plain(x, sigma)
        mixed, found = (in_bf16(network)(x, sigma) for network in (plain, fused(plain)))
    for far in (torch.mean, torch.amax):
        assert far((found - exact).abs()) <= 2 * far((mixed - exact).abs()) + 2e-3
    sure = (exact - 0.5).abs() > 0.1
    assert (found.round() == exact.round())[sure].float().mean() > 0.999


@needs_gpu
@each_space
def test_it_can_be_recorded(space):
    made, x = in_bf16(fused(loaded(space))), noise(space, 100, 0.5)
    with torch.no_grad():
        replay, fresh = capture(lambda: made(x, 0.5)), noise(space, 100, 1.0)
        x.copy_(noise(space, 100, 0.5).flip(0))
        torch.testing.assert_close(replay(), made(x, 0.5), rtol=0, atol=0)
        assert not torch.equal(made(fresh, 0.5), replay())


def test_it_takes_any_strides():
    block = fused(loaded(SPACES[0]), torch.float32).blocks[0]
    assert isinstance(block, FusedBlock)
    nodes = torch.randn(64, 8, 5, device=DEVICE).permute(2, 1, 0)
    assert torch.equal(block(nodes, None), block(nodes.contiguous(), None))


def test_gradients_are_those_of_the_network():
    plain = loaded(SPACES[0])
    x = noise(SPACES[0], 3, 0.5).requires_grad_()
    made = fused(plain, torch.float32)
    found, exact = (torch.autograd.grad(net(x, 0.5)[:, 3, 2].sum(), x) for net in (made, plain))
    torch.testing.assert_close(found, exact)


def test_it_shares_weights_and_leaves_the_network_alone():
    plain = loaded(SPACES[0])
    made = fused(plain, torch.float32)
    assert made is not plain
    assert not isinstance(plain.node_head, FusedHead)
    assert made.support is plain.support
    assert made.operation_embedding.weight is plain.operation_embedding.weight


def test_what_it_has_no_kernels_for_stays_as_it_is():
    space = SPACES[0]
    wanted = loaded(space).requires_grad_()
    double = loaded(space).double()
    narrow = ScoreNetwork.for_space(space, noise(space, 9, 0.1), SMALL).requires_grad_(False)
    for network in (wanted, double, narrow.to(DEVICE)):
        assert fused(network) is network


def test_a_card_that_cannot_compile_gets_the_network(monkeypatch, caplog):
    def fail(*_args):
        raise RuntimeError("no C compiler")

    monkeypatch.setattr("naslib_diffusion.diffusion.fused._launch", fail)
    network = loaded(SPACES[0])
    assert fused(network) is network
    assert "no C compiler" in caplog.text
