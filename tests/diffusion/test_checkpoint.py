"""Checkpoints: what is written is read, and what is no checkpoint gets one clear line."""

import json

import pytest
import safetensors.torch
import torch
from toy import SMALL, Wired

from naslib_diffusion import GuidedGenerator
from naslib_diffusion.diffusion import ExactDenoiser, ScoreNetwork
from naslib_diffusion.diffusion.checkpoint import KEY, Facts, read_header, shipped
from naslib_diffusion.diffusion.quality import draw, relative_error, thresholded_validity
from naslib_diffusion.spaces import MobileNetV3, NASBench201, NASBenchGraph, Subset

SPACE = NASBench201()
SHIPPED = {space.name: space for space in (MobileNetV3, NASBench201, NASBenchGraph)}


def made(space):
    x = space.encode(space.sample(200, torch.Generator().manual_seed(0)))
    network = ScoreNetwork.for_space(space, x, SMALL)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network


@pytest.fixture
def path(tmp_path):
    network = made(SPACE)
    network.save(tmp_path / "a.safetensors", Facts(seed=3, step=7, figures={"loss": 0.1}))
    return tmp_path / "a.safetensors"


def rewritten(path, *, tensors=None, **changes):
    """Write a file whose header or tensors were tampered with."""
    header = read_header(path) | changes
    stored = safetensors.torch.load_file(path)
    if tensors is not None:
        stored = tensors(stored)
    path.write_bytes(safetensors.torch.save(stored, {KEY: json.dumps(header)}))
    return path


@pytest.mark.parametrize("space", [SPACE, Wired()], ids=["fixed", "wired"])
def test_what_is_written_is_read(tmp_path, space):
    network = made(space)
    network.save(tmp_path / "b.safetensors")
    read = ScoreNetwork.load(tmp_path / "b.safetensors", space, clamp=False)
    x = torch.rand(3, *space.shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(read(x, 0.5), network(x, 0.5))
    assert (read.layout, read.config) == (network.layout, network.config)
    assert not any(p.requires_grad for p in read.parameters())
    assert list(tmp_path.iterdir()) == [tmp_path / "b.safetensors"]


def test_header(path):
    header = read_header(path)
    assert header["format"] == 1
    assert header["space"] == {"name": "nasbench201", "shape": [8, 7]}
    assert header["network"]["width"] == SMALL.width
    assert (header["seed"], header["step"], header["figures"]) == (3, 7, {"loss": 0.1})
    assert set(header["versions"]) == {"naslib_diffusion", "torch"}


def test_shipped_networks_are_found_by_name():
    assert "nasbench201" in shipped()
    for name in shipped():
        network = ScoreNetwork.load(name)
        assert network.space_name == name
        assert network.clamp
        assert read_header(name)["figures"]["validity"] >= 0.99
    with pytest.raises(ValueError, match=r"no checkpoint 'nasbench202'; those that ship: .*nasb"):
        ScoreNetwork.load("nasbench202")


@pytest.mark.parametrize("name", shipped())
def test_shipped_networks_are_close_to_the_exact_denoiser(name):
    """And they have learned what nodes tell of each other, nothing being clamped."""
    space = SHIPPED[name]()
    network, exact = ScoreNetwork.load(name, space, clamp=False), ExactDenoiser(space)
    random = torch.Generator().manual_seed(0)
    x0 = space.encode(space.sample(500, random))
    for sigma in (0.3, 0.8, 2.0):
        assert relative_error(network, exact, x0, sigma, random) < 0.02
    assert thresholded_validity(space, draw(network, space.shape, 300, random)) >= 0.97
    clamped = ScoreNetwork.load(name, space)
    assert len(GuidedGenerator(space, clamped, seed=0, device="cpu").generate(20)) == 20


def test_subsets_share_the_network_of_their_space(path):
    subset = Subset(SPACE, list(SPACE)[:10])
    assert ScoreNetwork.load(path, subset).space_name == "nasbench201"


def refused(path, message, space=None):
    with pytest.raises(ValueError, match=message) as error:
        ScoreNetwork.load(path, space)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_of_another_space(path):
    refused(path, "is a network for space 'nasbench201', not for 'wired'", Wired())
    other = NASBench201()
    other.adjacency = ((0, 1),)
    refused(path, "another version of space", other)


@pytest.mark.parametrize("length", [0, 4, 100, 3000, -1])
def test_truncated(path, length):
    path.write_bytes(path.read_bytes()[:length])
    refused(path, "not a whole safetensors file")


def test_foreign(tmp_path, path):
    safetensors.torch.save_file({"a": torch.zeros(2)}, tmp_path / "c.safetensors")
    refused(tmp_path / "c.safetensors", "is not a checkpoint of this package")
    (tmp_path / "d.txt").write_text("hello\n" * 100)
    refused(tmp_path / "d.txt", "not a whole safetensors file")
    refused(tmp_path, "is a folder")
    torch.save({"a": torch.zeros(2)}, tmp_path / "e.pt")
    refused(tmp_path / "e.pt", "not a whole safetensors file")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has format 2, newer than 1"),
        ({"format": "x"}, "no format number"),
        ({"layout": None}, "is damaged"),
        ({"layout": {"nodes": 10**9, "operations": 7, "edges": None}}, "its support has shape"),
        ({"layout": {"nodes": 8, "operations": 7, "edges": [[5, 2]]}}, "does not lead forward"),
        ({"network": {"width": 10**9}}, "width must be"),
        ({"network": {"width": 4096, "depth": 4096}}, "is damaged: .*size mismatch|Missing key"),
        ({"network": {"colour": 1}}, "is damaged: .*colour"),
        ({"space": []}, "is damaged"),
    ],
)
def test_tampered_headers(path, changes, message):
    refused(rewritten(path, **changes), message)


def test_tampered_tensors(path):
    def without(tensors):
        return {name: t for name, t in tensors.items() if name != "position_embedding"}

    def infinite(tensors):
        return tensors | {"position_embedding": tensors["position_embedding"] / 0}

    content = path.read_bytes()
    refused(rewritten(path, tensors=without), "position_embedding")
    path.write_bytes(content)
    refused(rewritten(path, tensors=infinite), "not finite")
