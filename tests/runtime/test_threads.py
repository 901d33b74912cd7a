"""The engine works in whatever context it is called, and leaves it as it was."""

import threading
from contextlib import contextmanager

import pytest
import torch
from threadpoolctl import threadpool_info

from naslib_diffusion import Search
from naslib_diffusion.optimize import GuidedGenerator, Maximizer
from naslib_diffusion.runtime.threads import one_thread
from naslib_diffusion.spaces import Categorical, NASBench201, ProductSpace, Real
from naslib_diffusion.surrogates import NeuralEnsemble


def state():
    return torch.get_num_threads(), [library["num_threads"] for library in threadpool_info()]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield state()
    torch.set_num_threads(before)


def test_overlapping_blocks_restore_what_was_before_the_first(two_threads):
    entered, leave = [threading.Event() for _ in range(2)], [threading.Event() for _ in range(2)]

    def hold(i):
        with one_thread(), one_thread():
            assert torch.get_num_threads() == 1
            entered[i].set()
            assert leave[i].wait(60)

    threads = [threading.Thread(target=hold, args=(i,)) for i in range(2)]
    for i, thread in enumerate(threads):
        thread.start()
        assert entered[i].wait(60)
    for i, thread in enumerate(threads):  # the first to come is the first to go
        leave[i].set()
        thread.join()
    assert state() == two_threads
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert found == [2]


def test_nested_blocks(two_threads):
    with one_thread():
        with one_thread():
            pass
        assert torch.get_num_threads() == 1
    assert state() == two_threads


def mixed():
    return ProductSpace([Categorical(["a", "b", "c"]), Real(0, 1)])


def asked(space=mixed, surrogate="gp"):
    where = space()
    if surrogate == "ensemble":
        surrogate = NeuralEnsemble(where, steps=10)
    search = Search(where, surrogate, seed=0, initial=2, device="cpu")
    for i in range(4):
        search.tell(search.ask(), [float(i)])
    assert search.predict(search.trials[0].arch) is not None
    return [trial.arch for trial in search.trials]


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, found):
        ctx.found = found
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        ctx.found.extend(asked())
        return gradient, None


def in_backward():
    found = []
    x = torch.ones((), requires_grad=True)
    _Backward.apply(x, found).backward()
    return found


def under(context):
    with context:
        return asked()


@pytest.mark.parametrize(
    "run",
    [
        lambda: under(torch.no_grad()),
        lambda: under(torch.inference_mode()),
        in_backward,
    ],
    ids=["no_grad", "inference_mode", "backward"],
)
def test_a_search_asks_the_same_in_every_context(run):
    assert run() == asked()


@contextmanager
def default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("space", [mixed, NASBench201])
@pytest.mark.parametrize("surrogate", ["gp", "ensemble"])
@pytest.mark.parametrize(
    "context", [default_dtype, lambda: torch.device("meta")], ids=["float64", "meta"]
)
def test_a_search_asks_the_same_whatever_the_defaults(context, surrogate, space):
    with context():
        found = asked(space, surrogate)
    assert found == asked(space, surrogate)


def test_a_guide_maximised_under_another_default_device():
    def guide(x):
        return x.sum(1)

    def found():
        generator = GuidedGenerator(mixed(), seed=0, device="cpu")
        return generator.generate(3, guide), Maximizer(mixed(), seed=0)(guide, 2).archs

    with torch.device("meta"):
        there = found()
    assert there == found()
