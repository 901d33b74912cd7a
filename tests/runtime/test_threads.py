"""The engine works in whatever context it is called, and leaves it as it was."""

import threading

import pytest
import torch
from threadpoolctl import threadpool_info

from naslib_diffusion import Search
from naslib_diffusion.runtime.threads import one_thread
from naslib_diffusion.spaces import Categorical, ProductSpace, Real


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


def asked():
    space = ProductSpace([Categorical(["a", "b", "c"]), Real(0, 1)])
    search = Search(space, seed=0, initial=2, device="cpu")
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
