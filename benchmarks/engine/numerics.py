"""Histories that nobody would tell on purpose, and what must hold after them.

Drawn by Hypothesis, so that what fails is shrunk to the smallest history that still does.
"""

from __future__ import annotations

import math
import random
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hypothesis
import numpy as np
import optuna
import torch
from hypothesis import HealthCheck, Verbosity, given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from naslib_diffusion import DiffusionNAGSampler, Search
from naslib_diffusion.spaces import Categorical, Integer, ProductSpace, Real

PARAMETERS = st.one_of(
    st.integers(2, 5).map(lambda n: Categorical([f"c{i}" for i in range(n)])),
    st.builds(lambda low, span: Integer(low, low + span), st.integers(-9, 9), st.integers(1, 20)),
    st.just(Real(0, 1)),
    st.just(Real(1e-6, 1e3, log=True)),
)
SPACES = st.lists(PARAMETERS, min_size=1, max_size=4).map(ProductSpace)
DISTRIBUTIONS: st.SearchStrategy[BaseDistribution] = st.one_of(
    st.integers(2, 5).map(lambda n: CategoricalDistribution([f"c{i}" for i in range(n)])),
    st.builds(
        lambda low, span: IntDistribution(low, low + span), st.integers(-9, 9), st.integers(1, 20)
    ),
    st.just(IntDistribution(1, 1000, log=True)),
    st.just(FloatDistribution(0, 1)),
    st.just(FloatDistribution(-1, 1, step=0.25)),
    st.just(FloatDistribution(1e-6, 1e3, log=True)),
)
VALUES = st.one_of(
    st.floats(width=64),  # NaN and infinities too
    st.sampled_from([0.0, -0.0, 1.0, 1e-300, -1e-300, 1e300, -1e300, 5e-324, 1.7e308]),
)
HISTORIES = st.one_of(
    st.lists(VALUES, max_size=12),
    st.tuples(VALUES, st.integers(1, 12)).map(lambda pair: [pair[0]] * pair[1]),
)
SEEDS = st.integers(0, 2**31 - 1)
STARTUPS = st.integers(0, 4)


@contextmanager
def _deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def _precision(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


CONTEXTS: dict[str, Callable[[], Any]] = {
    "none": torch.enable_grad,
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "meta": lambda: torch.device("meta"),
    "float64": lambda: _precision(torch.float64),
    "bfloat16": lambda: _precision(torch.bfloat16),
    "deterministic": _deterministic,
}
"""What the caller may have set."""
KINDS = st.sampled_from(sorted(CONTEXTS))


def state() -> tuple[object, ...]:
    """Return what belongs to the caller."""
    return (
        random.getstate(),
        str(np.random.get_state()),
        torch.get_rng_state().tolist(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        [own for own in warnings.filters if "sympy" not in str(own)],  # it adds one when imported
    )


def follow_search(
    space: ProductSpace, history: Sequence[float], seed: int, twice: bool, context: str
) -> None:
    """Tell a search a history, some of it twice; what it asks then is valid and new.

    Raises:
        AssertionError: if not, or if it leaves something else to the caller than it found.
    """
    told = space.sample(len(history), torch.Generator().manual_seed(seed))
    if twice:
        told = [*told, *told[:3]]
        history = [*history, *history[2::-1]]
    known = {space.canonical(arch) for arch in told}
    with CONTEXTS[context]():
        before = state()
        search = Search(space, seed=seed, initial=1, candidates=4)
        search.tell(told, history)
        if space.size is None or len(known) < space.size:
            (arch,) = search.ask()
            assert space.is_valid(arch), f"{arch} is not valid"
            assert space.canonical(arch) not in known, f"{arch} is not new"
        assert state() == before, "the caller's state was changed"


def follow_sampler(
    distributions: Sequence[BaseDistribution],
    history: Sequence[float],
    seed: int,
    startup: int,
    context: str,
) -> None:
    """Add a history to a study; what the sampler proposes then is within and new.

    It is new once a trial has told the search space, which one that failed does not.

    Raises:
        AssertionError: if not, or if it leaves something else to the caller than it found.
    """
    space = {f"p{i}": own for i, own in enumerate(distributions)}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    for value in history:
        params = study.ask(space).params
        failed = math.isnan(value)
        study.add_trial(
            create_trial(
                state=TrialState.FAIL if failed else TrialState.COMPLETE,
                value=None if failed else value,
                params=params,
                distributions=space,
            )
        )
    trials = study.get_trials(deepcopy=False)
    known = {tuple(t.params.items()) for t in trials}
    told = any(t.state == TrialState.COMPLETE for t in trials)
    with CONTEXTS[context]():
        before = state()
        study.sampler = DiffusionNAGSampler(seed=seed, n_startup_trials=startup, candidates=4)
        params = study.ask(space).params
        for name, own in space.items():
            assert own._contains(own.to_internal_repr(params[name])), f"{name} is outside"
        if told and len(known) < _size(space.values()):
            assert tuple(params.items()) not in known, f"{params} is not new"
        assert state() == before, "the caller's state was changed"


ANY = {
    follow_search: given(
        space=SPACES, history=HISTORIES, seed=SEEDS, twice=st.booleans(), context=KINDS
    ),
    follow_sampler: given(
        distributions=st.lists(DISTRIBUTIONS, min_size=1, max_size=4),
        history=HISTORIES,
        seed=SEEDS,
        startup=STARTUPS,
        context=KINDS,
    ),
}
"""What histories each law is held to."""


def count(law: Callable[..., None], histories: int, first: int) -> dict[str, object]:
    """Hold a law above to so many histories; return how many it kept, and the first that broke it.

    Args:
        law: `follow_search` or `follow_sampler`.
        histories: to draw.
        first: seed of the drawing.
    """
    bounds = settings(
        max_examples=histories,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    start, broken = time.process_time(), ""
    try:
        bounds(hypothesis.seed(first)(ANY[law](law)))()
    except Exception as error:
        broken = " ".join([type(error).__name__, str(error), *getattr(error, "__notes__", [])])
    seconds = round(time.process_time() - start)
    return {"histories": histories, "broken": broken or "none", "CPU seconds": seconds}


def _is_continuous(own: BaseDistribution) -> bool:
    return isinstance(own, FloatDistribution) and own.step is None


def _size(distributions: Any) -> float:
    """Return how many points there are."""
    size = 1.0
    for own in distributions:
        if isinstance(own, CategoricalDistribution):
            size *= len(own.choices)
        elif _is_continuous(own):
            return float("inf")
        else:
            size *= (own.high - own.low) // (own.step or 1) + 1
    return size
