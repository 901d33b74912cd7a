"""Whatever is told, searches ask for what is valid and new, and leave the caller's state alone."""

from __future__ import annotations

import os
import random
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_diffusion import Search
from naslib_diffusion.spaces import Categorical, Integer, ProductSpace, Real

EXAMPLES = int(os.environ.get("NASLIB_DIFFUSION_FUZZ", "12"))
"""Histories; the measured number is in docs/reliability.md."""

PARAMETERS = st.one_of(
    st.integers(2, 5).map(lambda n: Categorical([f"c{i}" for i in range(n)])),
    st.builds(lambda low, span: Integer(low, low + span), st.integers(-9, 9), st.integers(1, 20)),
    st.just(Real(0, 1)),
    st.just(Real(1e-6, 1e3, log=True)),
)
SPACES = st.lists(PARAMETERS, min_size=1, max_size=4).map(ProductSpace)
VALUES = st.one_of(
    st.floats(width=64),  # NaN and infinities too
    st.sampled_from([0.0, -0.0, 1.0, 1e-300, -1e-300, 1e300, -1e300, 5e-324, 1.7e308]),
)
HISTORIES = st.one_of(
    st.lists(VALUES, max_size=12),
    st.tuples(VALUES, st.integers(1, 12)).map(lambda pair: [pair[0]] * pair[1]),
)


def state():
    """What belongs to the caller."""
    return (
        random.getstate(),
        str(np.random.get_state()),
        torch.get_rng_state().tolist(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        [own for own in warnings.filters if "sympy" not in str(own)],  # it adds one when imported
    )


@settings(max_examples=EXAMPLES)
@given(space=SPACES, history=HISTORIES, seed=st.integers(0, 2**31 - 1), exact=st.booleans())
def test_any_history_is_followed_by_something_valid_and_new(space, history, seed, exact):
    search = Search(space, seed=seed, initial=1, candidates=4)
    told = space.sample(len(history), torch.Generator().manual_seed(seed))
    before = state()
    torch.use_deterministic_algorithms(exact)
    try:
        search.tell(told, history)
        known = {space.canonical(arch) for arch in told}
        left = None if space.size is None else space.size - len(known)
        if left == 0:
            return
        (arch,) = search.ask()
    finally:
        torch.use_deterministic_algorithms(False)
    assert space.is_valid(arch)
    assert space.canonical(arch) not in known
    assert state() == before


@pytest.mark.parametrize("bad", ["good", "nan?", None, [1.0, 2.0], object()])
def test_what_is_no_number_is_refused_before_it_is_recorded(bad):
    search = Search(ProductSpace([Real(0, 1)]), seed=0, initial=1)
    arch = search.ask()
    with pytest.raises((TypeError, ValueError)):
        search.tell(arch, [bad])
    assert search.trials == []
    search.tell(arch, [1.0])


def test_an_interrupted_ask_and_tell_can_be_repeated(monkeypatch):
    search, twin = (Search(ProductSpace([Real(0, 1)] * 2), seed=0, initial=2) for _ in range(2))
    for one in (search, twin):
        for value in range(3):
            one.tell(one.ask(), [float(value)])

    def interrupt(*_, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("naslib_diffusion.surrogates.ObjectiveScale.of", interrupt)
        with pytest.raises(KeyboardInterrupt):
            search.ask()
    assert search.ask() == twin.ask()
