"""A part of a space whose architectures have given values of some variables."""

from __future__ import annotations

import torch

from naslib_diffusion.spaces import GPT, Budgeted
from naslib_diffusion.spaces.given import Given
from naslib_diffusion.spaces.restricted import Restricted

SPACE = GPT("s")


def test_what_is_drawn_has_the_values_and_keeps_to_the_budget() -> None:
    small = Budgeted(SPACE, "params", at_most=60e6)
    part = Given(small, SPACE, {"width": 384, "bias": True})
    assert part.is_found()
    drawn = part.sample(20, torch.Generator().manual_seed(0))
    assert len(set(drawn)) == 20
    assert all(small.is_valid(arch) and arch.width == 384 and arch.bias for arch in drawn)
    assert part.sample(20, torch.Generator().manual_seed(0)) == drawn


def test_values_that_exceed_the_budget_are_found_out_without_touching_the_random_state() -> None:
    small = Budgeted(SPACE, "params", at_most=30e6)
    before = torch.random.get_rng_state()
    assert not Given(small, SPACE, {"width": 768}).is_found()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_under_a_rule_that_bans_nearly_all() -> None:
    scarce = Restricted(SPACE, lambda arch: sum(arch.ratios) >= 45)
    part = Given(scarce, SPACE, {"width": 384})
    assert part.is_found()
    drawn = part.sample(5, torch.Generator().manual_seed(0))
    assert all(arch.width == 384 and sum(arch.ratios) >= 45 for arch in drawn)
