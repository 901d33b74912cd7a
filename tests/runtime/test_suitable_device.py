"""Where to compute."""

import pytest
import torch

from naslib_diffusion import GuidedGenerator, Search
from naslib_diffusion.runtime import devices
from naslib_diffusion.runtime.devices import suitable_device
from naslib_diffusion.spaces import NASBench201, ProductSpace


@pytest.fixture
def card(monkeypatch):
    """Pretend that there is a card."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def test_what_is_large_goes_to_the_card(card):
    side = round(devices.WORTHWHILE ** (1 / 3)) + 1
    assert suitable_device(side, side, side).type == "cuda"
    assert suitable_device(1, side, side).type == "cpu"


def test_without_a_card_all_is_on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert suitable_device(10**6, 10**6).type == "cpu"


def test_what_is_small_does_not_even_ask_for_a_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", pytest.fail)
    assert suitable_device(64, 56, 300).type == "cpu"


def test_the_caller_decides(card):
    assert suitable_device(1, 1, device="cuda:1") == torch.device("cuda", 1)
    assert suitable_device(10**6, 10**6, device="cpu").type == "cpu"


def test_searches_of_small_spaces_stay_on_the_cpu(card):
    assert Search(NASBench201()).modeler.device.type == "cpu"
    assert GuidedGenerator(ProductSpace.categorical([5] * 6)).device.type == "cpu"
