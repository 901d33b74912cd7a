"""Where and how small tensors are computed: one thread, the CPU."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch
from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch and BLAS use one CPU thread inside the block (usable as a decorator too).

    The engine works in many small steps, for which handing work to threads costs more than the
    work: beside another busy process, two threads were measured up to 50 times slower than one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _libraries().limit(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def on_cpu(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function make its tensors on the CPU, unless told, whatever the user's default is.

    Where they are anyway, it does nothing: PyTorch's own context doubles the time of small steps.
    """

    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> T:
        if torch.get_default_device().type == "cpu":
            return function(*args, **kwargs)
        with torch.device("cpu"):
            return function(*args, **kwargs)

    return inner


@functools.cache
def _libraries() -> ThreadpoolController:
    """Return the BLAS libraries that are loaded, of NumPy and of SciPy; finding them is slow."""
    import scipy.optimize  # noqa: F401 - brings its own BLAS

    return ThreadpoolController()
